-- picture.lua - what the soak saw as an SVG file: one small chart above the other, each from zero, with its least and greatest
-- value; light or dark as the reader's page is.
-- SPDX-License-Identifier: MIT

local M = {}

local WIDTH, HEIGHT, GAP = 720, 90, 34
local LEFT, RIGHT = 16, 16

local HEAD = [[
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img">
<title>%s</title>
<style>
  svg { --paper: #ffffff; --ink: #1f2328; --faint: #d8dee4; --curve: #0b63c4; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #e6edf3; --faint: #2b323b; --curve: #6cb6ff; }
  }
  text { font: 13px system-ui, sans-serif; fill: var(--ink); }
  line { stroke: var(--faint); }
  polyline { fill: none; stroke: var(--curve); stroke-width: 1.5; stroke-linejoin: round; }
</style>
<rect width="%d" height="%d" fill="var(--paper)"/>]]

local function add_chart(add, series, top)
  local low, high = math.huge, -math.huge
  for _, point in ipairs(series.points) do
    low, high = math.min(low, point[2]), math.max(high, point[2])
  end
  local first, last = series.points[1][1], series.points[#series.points][1]
  local coordinates = {}
  for i, point in ipairs(series.points) do
    coordinates[i] = ("%.1f,%.1f"):format(LEFT + (point[1] - first) / (last - first) * (WIDTH - LEFT - RIGHT),
      top + HEIGHT - point[2] / math.max(high, 1e-9) * HEIGHT)
  end
  add('<text x="%d" y="%d">%s, %.1f to %.1f</text>', LEFT, top - 8, series.name, low, high)
  add('<line x1="%d" y1="%d" x2="%d" y2="%d"/>', LEFT, top + HEIGHT, WIDTH - RIGHT, top + HEIGHT)
  add('<polyline points="%s"/>', table.concat(coordinates, " "))
end

---@param path string
---@param title string
---@param all {name: string, points: number[][]}[] time in seconds, and value
function M.write(path, title, all)
  local lines = {}
  local function add(format, ...)
    table.insert(lines, format:format(...))
  end
  local height = #all * (HEIGHT + GAP) + 24
  add(HEAD, WIDTH, height, title, WIDTH, height)
  for i, series in ipairs(all) do
    add_chart(add, series, (i - 1) * (HEIGHT + GAP) + GAP - 4)
  end
  local points = all[1].points
  add('<text x="%d" y="%d" text-anchor="end">over %.0f s</text>', WIDTH - RIGHT, height - 6,
    points[#points][1] - points[1][1])
  add "</svg>"
  local file = assert(io.open(path, "w"))
  assert(file:write(table.concat(lines, "\n"), "\n"))
  assert(file:close())
end

return M
