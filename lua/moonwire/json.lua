-- json.lua - JSON as moonwire reads and writes it.
-- Owns its own lua-cjson instance, so that a script's settings never reach it. What lua-cjson 2.1 can't say exactly
-- (empty arrays, integers from 1e14 on) goes through a small encoder written here. Never blocks.
-- SPDX-License-Identifier: MIT

local cjson = require("cjson").new()

local M = {}

local MAX_DEPTH = 128
-- cjson prints numbers with 14 digits and crashes in C on longer strings.
local EXACT_BELOW = 1e14
local MAX_STRING = 357913941
-- cjson's own idea of a table with too many holes: more than twice as long as what it holds.
local SPARSE_RATIO, SPARSE_SAFE = 2, 10

cjson.decode_max_depth(MAX_DEPTH)
cjson.encode_max_depth(MAX_DEPTH)
cjson.decode_invalid_numbers(false)
cjson.encode_invalid_numbers(false)

local array_mt = { __name = "moonwire.json.array" }

---JSON's `null`, in both directions. (`nil` can't stand in a table.)
M.null = cjson.null

---An array without elements, encoded as `[]`; a plain `{}` is encoded as `{}`. Don't fill it.
M.empty_array = setmetatable({}, array_mt)

---Mark a table as an array, so that it is encoded as `[]` even while it is empty.
---@generic T: table
---@param t? T
---@return T t the same table, or a new one
function M.array(t)
  if t ~= nil and type(t) ~= "table" then
    error(("bad argument #1 to 'array' (table expected, got %s)"):format(type(t)), 2)
  end
  return setmetatable(t or {}, array_mt)
end

-- True when cjson writes the table exactly; raises for what nobody can write.
local function is_plain(t, depth)
  if depth > MAX_DEPTH then
    error("nested deeper than " .. MAX_DEPTH .. " (or a table contains itself)", 0)
  end
  local plain = next(t) ~= nil or getmetatable(t) ~= array_mt
  for _, item in next, t do
    local kind = type(item)
    if kind == "string" then
      if #item > MAX_STRING then
        error("a string is longer than 341 MiB", 0)
      end
    elseif kind == "number" then
      plain = plain and item > -EXACT_BELOW and item < EXACT_BELOW
    elseif kind == "table" then
      plain = is_plain(item, depth + 1) and plain
    end
  end
  return plain
end

-- The length of a table that is to become an array; nil for an object.
local function array_length(t)
  local count, longest = 0, 0
  for key in next, t do
    if math.type(key) ~= "integer" or key < 1 then
      return nil
    end
    count = count + 1
    longest = math.max(longest, key)
  end
  if count == 0 then
    return getmetatable(t) == array_mt and 0 or nil
  end
  if longest > SPARSE_SAFE and longest > count * SPARSE_RATIO then
    error("Cannot serialise table: excessively sparse array", 0)
  end
  return longest
end

local encode_exactly

local function encode_object(t)
  local parts = {}
  for key, item in next, t do
    if type(key) ~= "string" and type(key) ~= "number" then
      error("table key must be a number or string, not a " .. type(key), 0)
    end
    parts[#parts + 1] = cjson.encode(tostring(key)) .. ":" .. encode_exactly(item)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode_exactly(value)
  if type(value) == "table" then
    local length = array_length(value)
    if not length then
      return encode_object(value)
    end
    local parts = {}
    for i = 1, length do
      local item = rawget(value, i)
      parts[i] = item == nil and "null" or encode_exactly(item)
    end
    return "[" .. table.concat(parts, ",") .. "]"
  elseif type(value) == "number" then
    local integer = math.tointeger(value)
    if integer then
      return ("%d"):format(integer)
    end
  end
  return cjson.encode(value)
end

local function encode(value)
  if type(value) == "table" and is_plain(value, 1) then
    return cjson.encode(value)
  elseif type(value) == "string" and #value > MAX_STRING then
    error("a string is longer than 341 MiB", 0)
  end
  return encode_exactly(value)
end

---Write a value as JSON text. Integers are exact; other numbers have 14 digits. Raises for what JSON can't express
---(NaN, functions, tables that contain themselves, arrays with many holes).
---@param value any
---@return string text
function M.encode(value)
  local ok, text = pcall(encode, value)
  if not ok then
    error("json.encode: " .. text:gsub("^%S+:%d+: ", ""), 2)
  end
  return text
end

-- cjson decodes every number to a float; "12" should print as 12 again.
local function restore_integers(t)
  for key, item in next, t do
    local kind = type(item)
    if kind == "number" then
      t[key] = math.tointeger(item) or item
    elseif kind == "table" then
      restore_integers(item)
    end
  end
  return t
end

-- Control characters have no place in JSON (RFC 8259 §7), but for the line ends and tabs between its tokens. cjson lets
-- them stand in strings, and takes a NUL for the end.
local function has_stray_control(text)
  if text:find "[\0-\8\11\12\14-\31]" then
    return true
  elseif not text:find "[\t\n\r]" then
    return false
  end
  for content in text:gsub("\\.", ""):gmatch '"([^"]*)"' do
    if content:find "[\t\n\r]" then
      return true
    end
  end
  return false
end

---Read JSON text. Numbers without a fraction become integers; `null` becomes `json.null`; nesting is limited to 128.
---@param text string
---@return any value
---@return string? message
---@return "json"? code
function M.decode(text)
  if type(text) ~= "string" then
    error(("bad argument #1 to 'decode' (string expected, got %s)"):format(type(text)), 2)
  end
  local ok, value = pcall(cjson.decode, text)
  if not ok then
    return nil, value, "json"
  elseif has_stray_control(text) then
    return nil, "a control character that is not escaped", "json"
  elseif type(value) == "table" then
    return restore_integers(value)
  elseif type(value) == "number" then
    return math.tointeger(value) or value
  end
  return value
end

return M
