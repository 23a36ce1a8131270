-- report.lua - figures for people: medians, spreads, numbers with separators, tables in columns.
-- SPDX-License-Identifier: MIT

local M = {}

---Median, least and greatest of what a function finds in each result; nil when it finds nothing.
---@param results table[]
---@param find fun(result: table): number|nil
---@return {median: number, min: number, max: number}|nil
function M.spread(results, find)
  local list = {}
  for _, result in ipairs(results) do
    table.insert(list, find(result))
  end
  if #list == 0 then
    return nil
  end
  table.sort(list)
  local upper, lower = list[#list // 2 + 1], list[(#list + 1) // 2]
  return { median = (upper + lower) / 2, min = list[1], max = list[#list] }
end

---A number for reading: three digits at least, 12,345 or 1.23; "-" for none.
---@param value number|nil not negative
---@return string
function M.number(value)
  if not value or value ~= value then
    return "-"
  end
  if value < 100 then
    return math.tointeger(value) and ("%d"):format(value) or ("%.3g"):format(value)
  end
  local text = ("%.0f"):format(value):reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return text
end

---How far the least and the greatest are from the median, in percent: "-3..+5"; "-" where all are the same, as one is.
---@param spread {median: number, min: number, max: number}|nil
---@return string
function M.percent(spread)
  if not spread or spread.min == spread.max then
    return "-"
  end
  local function share(value)
    return 100 * (value / spread.median - 1)
  end
  return ("%.0f..%+.0f"):format(share(spread.min), share(spread.max))
end

---A table whose lines are printed as they come.
---@param columns {[1]: string, [2]: integer}[] heading and width; a negative width puts text to the left
---@return fun(cells: string[]) line
function M.table(columns)
  local format = {}
  for i, column in ipairs(columns) do
    format[i] = ("%%%ds"):format(column[2])
  end
  format = table.concat(format, "  ")
  local function line(cells)
    local texts = {}
    for i = 1, #columns do
      texts[i] = cells[i] or ""
    end
    print((format:format(table.unpack(texts)):gsub("%s+$", "")))
  end
  local headings = {}
  for i, column in ipairs(columns) do
    headings[i] = column[1]
  end
  line(headings)
  return line
end

return M
