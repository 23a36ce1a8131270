-- plot.lua - curves on two logarithmic axes as an SVG file: axes, grid, legend; light or dark as the reader's page is.
-- SPDX-License-Identifier: MIT

local report = require "spec.bench.report"

local M = {}

local WIDTH, HEIGHT = 720, 420
local LEFT, RIGHT, TOP, BOTTOM = 72, 24, 76, 56
local LEGEND_ENTRY = 168
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
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
</style>]]

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

-- The powers of ten around all values of one coordinate.
local function range(series, coordinate)
  local low, high = math.huge, -math.huge
  for _, curve in ipairs(series) do
    for _, point in ipairs(curve.points) do
      low, high = math.min(low, point[coordinate]), math.max(high, point[coordinate])
    end
  end
  low = math.floor(math.log(low, 10) + 1e-9)
  return low, math.max(math.ceil(math.log(high, 10) - 1e-9), low + 1)
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
  local x_low, x_high = range(chart.series, 1)
  local y_low, y_high = range(chart.series, 2)
  local function x_of(value)
    return LEFT + (math.log(value, 10) - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)
  end
  local function y_of(value)
    return HEIGHT - BOTTOM - (math.log(value, 10) - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
  end
  local lines = {}
  local function add(format, ...)
    table.insert(lines, format:format(...))
  end

  add('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">', WIDTH, HEIGHT)
  add("<title>%s</title>", escape(chart.title))
  table.insert(lines, STYLE)
  add('<rect width="%d" height="%d" fill="var(--paper)"/>', WIDTH, HEIGHT)
  add('<text class="title" x="%d" y="26">%s</text>', LEFT, escape(chart.title))
  for power = x_low, x_high do
    local x = x_of(10.0 ^ power)
    add('<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>', x, TOP, x, HEIGHT - BOTTOM)
    add('<text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>', x, HEIGHT - BOTTOM + 18,
      report.number(10.0 ^ power))
  end
  for power = y_low, y_high do
    local y = y_of(10.0 ^ power)
    add('<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>', LEFT, y, WIDTH - RIGHT, y)
    add('<text class="tick" x="%d" y="%.1f" text-anchor="end">%s</text>', LEFT - 8, y + 4, report.number(10.0 ^ power))
  end
  add('<text x="%d" y="%d" text-anchor="middle">%s</text>', (LEFT + WIDTH - RIGHT) // 2, HEIGHT - 14, escape(chart.x))
  add('<text transform="translate(20 %d) rotate(-90)" text-anchor="middle">%s</text>', (TOP + HEIGHT - BOTTOM) // 2,
    escape(chart.y))

  for i, curve in ipairs(chart.series) do
    local pen = ('stroke="var(--c%d)" stroke-dasharray="%s"'):format((curve.colour - 1) % COLOURS + 1,
      DASHES[(curve.dash - 1) % #DASHES + 1])
    local coordinates = {}
    for j, point in ipairs(curve.points) do
      coordinates[j] = ("%.1f,%.1f"):format(x_of(point[1]), y_of(point[2]))
      add('<circle r="3" cx="%.1f" cy="%.1f" fill="var(--c%d)"/>', x_of(point[1]), y_of(point[2]),
        (curve.colour - 1) % COLOURS + 1)
    end
    add('<polyline class="curve" %s points="%s"/>', pen, table.concat(coordinates, " "))
    local x, y = LEFT + (i - 1) % 4 * (LEGEND_ENTRY - 8), 48 + (i - 1) // 4 * 18
    add('<path class="curve" %s d="M%d %dh26"/>', pen, x, y - 4)
    add('<text x="%d" y="%d">%s</text>', x + 32, y, escape(curve.name))
  end
  add "</svg>"

  local file = assert(io.open(path, "w"))
  assert(file:write(table.concat(lines, "\n"), "\n"))
  file:close()
end

return M
