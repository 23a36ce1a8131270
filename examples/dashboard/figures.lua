-- figures.lua - the data sets: read from data/ once, and moved a little with every step, as sales do.
-- Owns the present figures; the files are never written.
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local json = moonwire.json

local M = {}

M.NAMES = { "trend", "seller", "map", "rank", "hot", "stock" }

local MOVING = { value = true, sold = true } -- fields that move; of a list of values only the last
local STEP = 0.04 -- the most a figure moves at once, as a share of what its file has

---@class dashboard.Figures
---@field texts table<string, string> name -> the present figures as JSON
local Figures = {}
Figures.__index = Figures

local function moved(present, start, most)
  local change = (math.random() * 2 - 1) * STEP * start
  return math.floor(math.max(start * 0.6, math.min(present + change, most or start * 1.6)) + 0.5)
end

local function move(present, start)
  for key, value in pairs(present) do
    if key == "values" then
      value[#value] = moved(value[#value], start.values[#value])
    elseif type(value) == "table" then
      move(value, start[key])
    elseif MOVING[key] then
      present[key] = moved(value, start[key], present.stock)
    end
  end
end

---Read the data sets.
---@param directory string
---@return dashboard.Figures
function M.read(directory)
  local self = setmetatable({ start = {}, present = {}, texts = {} }, Figures)
  for _, name in ipairs(M.NAMES) do
    local file <close> = assert(io.open(("%s/%s.json"):format(directory, name)))
    local text = file:read "a"
    self.start[name], self.present[name] = assert(json.decode(text)), assert(json.decode(text))
    self.texts[name] = text
  end
  return self
end

---Let time pass: all figures move.
function Figures:step()
  for _, name in ipairs(M.NAMES) do
    move(self.present[name], self.start[name])
    self.texts[name] = json.encode(self.present[name])
  end
end

---The few numbers that a home page shows.
---@return {revenue: integer, orders: integer, sold: integer, cities: integer}
function Figures:summary()
  local revenue, orders, sold = 0, 0, 0
  for _, series in ipairs(self.present.trend.series) do
    revenue = revenue + series.values[#series.values]
  end
  for _, city in ipairs(self.present.map) do
    orders = orders + city.value
  end
  for _, article in ipairs(self.present.stock) do
    sold = sold + article.sold
  end
  return { revenue = revenue, orders = orders, sold = sold, cities = #self.present.map }
end

return M
