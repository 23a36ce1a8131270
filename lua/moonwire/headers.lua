-- headers.lua - the headers of an outgoing message: names in any case, checked when they are set.
-- A table of headers keeps the order and the spelling they were first set with. Nothing that could end a line gets in,
-- so no value, wherever it came from, can add a header or a body of its own. Pure.
-- SPDX-License-Identifier: MIT

local M = {}

-- The key under which the proxy keeps its contents: lower-case name -> value, and the names in order as 1..n.
local CONTENT = {}

---Check a header's name; raises, naming it.
---@param name any
---@param level? integer as the caller would give it to `error`, 2 by default
function M.check_name(name, level)
  if type(name) ~= "string" or not name:find("^[%w!#%$%%&'%*%+%-%.%^_`|~]+$") then
    local shown = type(name) == "string" and ("%q"):format(name) or "a " .. type(name)
    error(("header name %s: only letters, digits and !#$%%&'*+-.^_`|~ are allowed"):format(shown), (level or 2) + 1)
  end
end

---Check a single value; raises, naming the header.
---@param name string
---@param value any a string or a number
---@param level? integer as the caller would give it to `error`, 2 by default
---@return string
function M.check_value(name, value, level)
  if math.type(value) == "integer" then
    return tostring(value)
  elseif type(value) ~= "string" and type(value) ~= "number" then
    error(("header '%s': a value must be a string or a number, not a %s"):format(name, type(value)), (level or 2) + 1)
  end
  local text = tostring(value)
  local bad = text:match("[\0-\8\10-\31\127]")
  if bad then
    local which = bad == "\r" and "CR" or bad == "\n" and "LF" or bad == "\0" and "NUL" or "a control character"
    error(("header '%s': the value contains %s"):format(name, which), (level or 2) + 1)
  end
  return text
end

local Headers = { __name = "moonwire.Headers" }

function Headers.__index(headers, name)
  return type(name) == "string" and rawget(headers, CONTENT)[name:lower()] or nil
end

function Headers.__newindex(headers, name, value)
  M.check_name(name)
  if type(value) == "table" then
    local list = {}
    for i, item in ipairs(value) do
      list[i] = M.check_value(name, item)
    end
    value = list
  elseif value ~= nil then
    value = M.check_value(name, value)
  end
  local content, key = rawget(headers, CONTENT), name:lower()
  if not content.names[key] then
    content.names[key] = name
    content[#content + 1] = key
  end
  content[key] = value
end

local function next_header(headers, name)
  local content = rawget(headers, CONTENT)
  local index = 0
  if name ~= nil then
    local key = name:lower()
    repeat
      index = index + 1
    until content[index] == key or content[index] == nil
  end
  local key
  repeat
    index = index + 1
    key = content[index]
  until key == nil or content[key] ~= nil
  if key then
    return content.names[key], content[key]
  end
end

function Headers.__pairs(headers)
  return next_header, headers, nil
end

---An empty table of headers.
---@return table<string, string|string[]>
function M.new()
  return setmetatable({ [CONTENT] = { names = {} } }, Headers)
end

---Copy headers a script gave as a plain table; raises at `level` for what can't be sent.
---@param given? table<string, string|number|(string|number)[]>
---@param level? integer as the caller would give it to `error`, 2 by default
---@return table<string, string|string[]>
function M.copy(given, level)
  local headers = M.new()
  local names = {}
  for name in pairs(given or {}) do
    M.check_name(name, (level or 2) + 1)
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = given[name]
    for _, item in ipairs(type(value) == "table" and value or { value }) do
      M.check_value(name, item, (level or 2) + 1)
    end
    headers[name] = value
  end
  return headers
end

---What a script put in the place of a table of headers, as one.
---@param given table
---@return table<string, string|string[]>
function M.adopt(given)
  return getmetatable(given) == Headers and given or M.copy(given, 0)
end

---Append the header lines, without line ends, to a list.
---@param headers table from `new` or `copy`
---@param lines string[]
function M.append_lines(headers, lines)
  local content = rawget(headers, CONTENT)
  for _, key in ipairs(content) do
    local name, value = content.names[key], content[key]
    if type(value) == "table" then
      -- The list is the script's to change, so look again.
      for _, item in ipairs(value) do
        lines[#lines + 1] = name .. ": " .. M.check_value(name, item)
      end
    elseif value then
      lines[#lines + 1] = name .. ": " .. value
    end
  end
end

return M
