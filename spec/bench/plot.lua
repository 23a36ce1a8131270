-- plot.lua - curves on two logarithmic axes as an SVG file: axes, grid, legend; light or dark as the reader's page is.
-- SPDX-License-Identifier: MIT

local report = require "spec.bench.report"

local M = {}

local WIDTH, HEIGHT = 720, 420
local LEFT, RIGHT, BOTTOM = 84, 36, 56
local LEGEND_COLUMNS, LEGEND_WIDTH = 3, 208
local LEGEND_TOP, LEGEND_LINE = 48, 18
local LEAST_STEPS = 3 -- a decade: less would make noise look like a slope
local MOST_STEPS = 7 -- with more, only powers of ten get a line
local COLOURS = 5
local DASHES = { "none", "7 4", "2 3" }

local STYLE = [[
<style>
  svg { --paper: #ffffff; --ink: #1f2328; --faint: #59636e; --grid: #d8dee4;
        --c1: #0b63c4; --c2: #c2410c; --c3: #1a7f37; --c4: #7c3aed; --c5: #b3166b; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1; --grid: #2b323b;
          --c1: #6cb6ff; --c2: #ff9e64; --c3: #57d273; --c4: #c4a7ff; --c5: #ff8ac6; }
  }
  text { font: 13px system-ui, sans-serif; fill: var(--ink); }
  .title { font-size: 16px; font-weight: 600; }
  .tick { fill: var(--faint); font-size: 12px; }
  .grid { stroke: var(--grid); }
  .frame { fill: none; stroke: var(--faint); }
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
</style>]]

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

-- The numbers 1, 2, 5, 10, 20 … by their index: where axes begin and end.
local function step(index)
  return ({ [0] = 1.0, 2.0, 5.0 })[index % 3] * 10.0 ^ (index // 3)
end

-- The steps around all values of one coordinate, as indices.
local function range(series, coordinate)
  local low, high = math.huge, -math.huge
  for _, curve in ipairs(series) do
    for _, point in ipairs(curve.points) do
      low, high = math.min(low, point[coordinate]), math.max(high, point[coordinate])
    end
  end
  local first = math.floor(math.log(low, 10)) * 3
  while step(first + 1) <= low do
    first = first + 1
  end
  local last = first + LEAST_STEPS
  while step(last) < high do
    last = last + 1
  end
  return first, last
end

-- An axis from one pixel to another: `at(value)` is where a value lies, `ticks` are the values that get a line.
local function new_axis(series, coordinate, from, to)
  local first, last = range(series, coordinate)
  local low, high = math.log(step(first), 10), math.log(step(last), 10)
  local ticks = {}
  for i = first, last do
    if last - first <= MOST_STEPS or i % 3 == 0 then
      table.insert(ticks, step(i))
    end
  end
  return {
    ticks = ticks,
    at = function(value)
      return from + (math.log(value, 10) - low) / (high - low) * (to - from)
    end,
  }
end

-- The axes with their lines, numbers and names.
local function add_axes(add, chart, x_axis, y_axis, top)
  local right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
  for _, value in ipairs(x_axis.ticks) do
    local x = x_axis.at(value)
    add('<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>', x, top, x, bottom)
    add('<text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>', x, bottom + 18, report.number(value))
  end
  for _, value in ipairs(y_axis.ticks) do
    local y = y_axis.at(value)
    add('<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>', LEFT, y, right, y)
    add('<text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>', LEFT - 8, y + 4, report.number(value))
  end
  add('<path class="frame" d="M%d %dV%dH%dV%dz"/>', LEFT, top, bottom, right, top)
  add('<text x="%d" y="%d" text-anchor="middle">%s</text>', (LEFT + right) // 2, HEIGHT - 14, escape(chart.x))
  add('<text transform="translate(20 %d) rotate(-90)" text-anchor="middle">%s</text>', (top + bottom) // 2,
    escape(chart.y))
end

-- One curve, with a dot for each point.
local function add_curve(add, points, x_axis, y_axis, colour, pen)
  local coordinates = {}
  for i, point in ipairs(points) do
    local x, y = x_axis.at(point[1]), y_axis.at(point[2])
    coordinates[i] = ("%.1f,%.1f"):format(x, y)
    add('<circle r="3" cx="%.1f" cy="%.1f" fill="%s"/>', x, y, colour)
  end
  add('<polyline %s points="%s"/>', pen, table.concat(coordinates, " "))
end

---@class bench.Curve
---@field name string
---@field colour integer from 1
---@field dash integer from 1
---@field points number[][] pairs of coordinates, all above 0

---Write curves to a file.
---@param path string
---@param chart {title: string, x: string, y: string, series: bench.Curve[]} `x` and `y` name the axes
function M.write(path, chart)
  local lines = {}
  local function add(format, ...)
    table.insert(lines, format:format(...))
  end
  add('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">', WIDTH, HEIGHT)
  add("<title>%s</title>", escape(chart.title))
  table.insert(lines, STYLE)
  add('<rect width="%d" height="%d" fill="var(--paper)"/>', WIDTH, HEIGHT)
  add('<text class="title" x="%d" y="26">%s</text>', LEFT, escape(chart.title))

  local top = LEGEND_TOP + math.ceil(#chart.series / LEGEND_COLUMNS) * LEGEND_LINE + 6
  local x_axis = new_axis(chart.series, 1, LEFT, WIDTH - RIGHT)
  local y_axis = new_axis(chart.series, 2, HEIGHT - BOTTOM, top)
  add_axes(add, chart, x_axis, y_axis, top)
  for i, curve in ipairs(chart.series) do
    local colour = ("var(--c%d)"):format((curve.colour - 1) % COLOURS + 1)
    local dash = DASHES[(curve.dash - 1) % #DASHES + 1]
    local pen = ('class="curve" stroke="%s" stroke-dasharray="%s"'):format(colour, dash)
    add_curve(add, curve.points, x_axis, y_axis, colour, pen)
    local x, y = LEFT + (i - 1) % LEGEND_COLUMNS * LEGEND_WIDTH, LEGEND_TOP + (i - 1) // LEGEND_COLUMNS * LEGEND_LINE
    add('<path %s d="M%d %dh26"/>', pen, x, y - 4)
    add('<text x="%d" y="%d">%s</text>', x + 32, y, escape(curve.name))
  end
  add "</svg>"

  local file = assert(io.open(path, "w"))
  assert(file:write(table.concat(lines, "\n"), "\n"))
  file:close()
end

return M
