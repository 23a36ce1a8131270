-- options.lua - checks the tables of options that scripts hand in, so that a typing error is told and not ignored.
-- A schema maps option names to checks; a check takes a value and returns what is wrong with it, or nothing.
-- Pure: raises or returns, owns nothing.
-- SPDX-License-Identifier: MIT

local M = {}

local function describe(value)
  if type(value) == "string" then
    return ("%q"):format(#value > 40 and value:sub(1, 40) .. "…" or value)
  elseif type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return "a " .. type(value)
end

-- A check that accepts what `test` accepts, and names `expected` otherwise.
local function check(expected, test)
  return function(value)
    if not test(value) then
      return ("must be %s, not %s"):format(expected, describe(value))
    end
  end
end

---@param expected string
---@return fun(value: any): string?
local function of_type(expected, kind)
  return check(expected, function(value)
    return type(value) == kind
  end)
end

M.boolean = of_type("true or false", "boolean")
M.func = of_type("a function", "function")
M.text = of_type("a string", "string")
M.table = of_type("a table", "table")
M.string = check("a string that is not empty", function(value)
  return type(value) == "string" and value ~= "" and not value:find("\0", 1, true)
end)

---A whole number within bounds.
---@param least integer
---@param most? integer
function M.integer(least, most)
  local expected = ("an integer, at least %d"):format(least)
  if most then
    expected = ("an integer from %d to %d"):format(least, most)
  end
  return check(expected, function(value)
    local integer = type(value) == "number" and math.tointeger(value)
    return integer and integer >= least and (not most or integer <= most)
  end)
end

---A duration: a finite number of seconds.
---@param least number smallest value; above 0 means "more than", unless it is itself allowed
---@param most? number 2,000,000 by default, which is as long as core counts
function M.seconds(least, most)
  most = most or 2000000
  local expected = ("a number of seconds from %g to %g"):format(least, most)
  return check(expected, function(value)
    return type(value) == "number" and value >= least and value <= most
  end)
end

---One of a few values.
function M.one_of(...)
  local allowed, names = {}, {}
  for i, value in ipairs({ ... }) do
    allowed[value], names[i] = true, describe(value)
  end
  return check(table.concat(names, ", "):gsub(", ([^,]*)$", " or %1"), function(value)
    return value ~= nil and allowed[value] == true
  end)
end

---What any of several checks accepts; `expected` describes them together. Where a table is meant, the fault is what is wrong
---inside of it.
function M.either(expected, ...)
  local checks = { ... }
  return function(value)
    local inside
    for _, accepts in ipairs(checks) do
      local wrong = accepts(value)
      if not wrong then
        return nil
      end
      inside = inside or wrong:find "^[%.%[]" and wrong
    end
    return inside or ("must be %s, not %s"):format(expected, describe(value))
  end
end

M.off = check("false", function(value)
  return value == false
end)

---A list (1..n without holes) whose items all pass a check.
function M.list_of(item_check, least)
  return function(value)
    if type(value) ~= "table" then
      return ("must be a list, not %s"):format(describe(value))
    end
    local count = 0
    for _ in next, value do
      count = count + 1
    end
    if count ~= #value or count < (least or 0) then
      return count == 0 and "must not be an empty list" or "must be a list without holes or names"
    end
    for i, item in ipairs(value) do
      local wrong = item_check(item)
      if wrong then
        local inner, rest = wrong:match "^([%.%[]%S+) (.*)"
        return ("[%d]%s %s"):format(i, inner or "", rest or wrong)
      end
    end
  end
end

---A nested table with a schema of its own.
function M.group(schema)
  return function(value)
    if type(value) ~= "table" then
      return ("must be a table, not %s"):format(describe(value))
    end
    local name, wrong = M.find_fault(schema, value)
    if name then
      return (".%s %s"):format(name, wrong)
    end
  end
end

-- How many single-letter edits lead from one word to the other (Levenshtein, one row at a time).
local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local above = row[j]
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(above + 1, row[j - 1] + 1, diagonal + cost)
      diagonal = above
    end
  end
  return row[#b]
end

---The name in the schema that was probably meant.
---@param schema table<string, any>
---@param name string
---@return string?
function M.nearest(schema, name)
  local best, best_distance = nil, math.min(3, #name // 2 + 1)
  for candidate in pairs(schema) do
    local d = distance(name:lower():gsub("%-", "_"), candidate)
    if d < best_distance or (d == best_distance and best and candidate < best) then
      best, best_distance = candidate, d
    end
  end
  return best
end

---Look for the first thing that is wrong with `given`.
---@param schema table<string, fun(value: any): string?>
---@param given table
---@return string? name
---@return string? wrong
function M.find_fault(schema, given)
  local names = {}
  for name in pairs(given) do
    names[#names + 1] = name
  end
  table.sort(names, function(a, b)
    return tostring(a) < tostring(b)
  end)
  for _, name in ipairs(names) do
    if type(name) ~= "string" or not schema[name] then
      local nearest = type(name) == "string" and M.nearest(schema, name)
      return tostring(name), nearest and ("is unknown; did you mean '%s'?"):format(nearest) or "is unknown"
    end
    local wrong = schema[name](given[name])
    if wrong then
      local inner, rest = wrong:match("^([%.%[]%S+) (.*)")
      return name .. (inner or ""), rest or wrong
    end
  end
end

---Check `given` against a schema and copy it. Raises "who: unknown option 'prot'; did you mean 'port'?" or
---"who: option 'port' must be an integer from 0 to 65535, not "x"", at the script's own line.
---@param who string the function that was called, for the message
---@param schema table<string, fun(value: any): string?>
---@param given? table
---@param level? integer as the caller would give it to `error`, 2 by default
---@return table copy shallow
function M.check(who, schema, given, level)
  level = (level or 2) + 1
  if given == nil then
    return {}
  elseif type(given) ~= "table" then
    error(("%s: the options must be a table, not %s"):format(who, describe(given)), level)
  end
  local name, wrong = M.find_fault(schema, given)
  if name and wrong:find("^is unknown") then
    error(("%s: unknown option '%s'%s"):format(who, name, wrong:sub(#"is unknown" + 1)), level)
  elseif name then
    error(("%s: option '%s' %s"):format(who, name, wrong), level)
  end
  local copy = {}
  for key, value in pairs(given) do
    copy[key] = value
  end
  return copy
end

---Check one argument of a public function; raises "bad argument #1 to 'sleep' (…)" at the script's own line.
---@param accepts fun(value: any): string?
---@param value any
---@param position integer
---@param who string
---@param level? integer as the caller would give it to `error`, 2 by default
function M.argument(accepts, value, position, who, level)
  local wrong = accepts(value)
  if wrong then
    error(("bad argument #%d to '%s' (%s)"):format(position, who, wrong), (level or 2) + 1)
  end
end

return M
