-- declarations.lua - reads LuaCATS declarations (lua/moonwire/meta) and compares them with what is there.
-- Knows what these files use of LuaCATS: classes with parents and fields, functions below a local that stands for a
-- class. Pure: text in, tables out.
-- SPDX-License-Identifier: MIT

local M = {}

---@class spec.Member
---@field kind "function"|"field"
---@field optional boolean
---@field type? string of a field, with the text behind it
---@field parameters? string[] of a function, "self" included
---@field documented? table<string, true> parameters that have a @param
---@field text boolean whether anything at all is said about it
---@field is_private boolean
---@field at string file and line

---@class spec.Class
---@field name string
---@field parents string[]
---@field members table<string, spec.Member>
---@field files table<string, true>

local function parse_parameters(text, is_method)
  local list = { is_method and "self" or nil }
  for name in text:gmatch "[^,%s]+" do
    list[#list + 1] = name
  end
  return list
end

-- What the comment above a function says.
local function parse_comment(lines)
  local documented, text, is_private = {}, false, false
  for _, line in ipairs(lines) do
    local parameter = line:match "^%-%-%-@param ([%w_%.]+)"
    if parameter then
      documented[parameter] = true
    end
    is_private = is_private or line:find "^%-%-%-@private" ~= nil
    text = text or line:find "^%-%-%-[^@]" ~= nil or line:find "^%-%-%-@return" ~= nil
  end
  return documented, text, is_private
end

---Read one file into `classes`.
---@param classes table<string, spec.Class>
---@param text string
---@param file string for messages
function M.read(classes, text, file)
  local locals, comment = {}, {}
  local class, number = nil, 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local at = file .. ":" .. number
    local class_name, rest = line:match "^%-%-%-@class ([%w_%.]+)(.*)"
    local is_private = line:find "^%-%-%-@field private " ~= nil
    local name, optional, type_text = line:gsub("@field private ", "@field "):match "^%-%-%-@field ([%w_]+)(%??) (.*)"
    local variable = line:match "^local ([%w_]+) = {}$"
    local owner, mark, method, parameters = line:match "^function ([%w_]+)([%.:])([%w_]+)%((.*)%) end$"
    if class_name then
      class = classes[class_name] or { name = class_name, parents = {}, members = {}, files = {} }
      classes[class_name], class.files[file] = class, true
      for parent in (rest:match "^: ([%w_%., ]+)" or ""):gmatch "[%w_%.]+" do
        table.insert(class.parents, parent)
      end
    elseif name then
      assert(class, at .. ": a field without a class")
      assert(not class.members[name], at .. ": declared twice: " .. name)
      class.members[name] = {
        kind = type_text:find "^fun%(" and "function" or "field",
        optional = optional == "?",
        type = type_text,
        text = true,
        is_private = is_private,
        at = at,
      }
    elseif variable and class then
      locals[variable], class = class, nil
    elseif owner then
      local target = assert(locals[owner], at .. ": a function of no class")
      assert(not target.members[method], at .. ": declared twice: " .. method)
      local documented, has_text, is_internal = parse_comment(comment)
      target.members[method] = {
        kind = "function",
        optional = false,
        parameters = parse_parameters(parameters, mark == ":"),
        documented = documented,
        text = has_text,
        is_private = is_internal,
        at = at,
      }
    end
    if line:find "^%-%-%-" then
      table.insert(comment, line)
    else
      comment = {}
    end
  end
end

---All members of a class, those of its parents included.
---@param classes table<string, spec.Class>
---@param name string
---@return table<string, spec.Member>
function M.members(classes, name)
  local class = assert(classes[name], "no such class: " .. name)
  local all = {}
  for _, parent in ipairs(class.parents) do
    for member, declaration in pairs(M.members(classes, parent)) do
      all[member] = declaration
    end
  end
  for member, declaration in pairs(class.members) do
    all[member] = declaration
  end
  return all
end

---The options classes that a field's type names, such as { "moonwire.TlsOptions" }.
---@param member spec.Member
---@return string[]
function M.option_classes(member)
  local found = {}
  for name in (member.type or ""):match("^%S*"):gmatch "moonwire%.[%w_%.]*Options" do
    table.insert(found, name)
  end
  return found
end

---What is there and not declared, and what is declared and not there. Optional members need not be there.
---@param declared table<string, spec.Member>
---@param live table<string, any> by name; a function must be declared as one
---@return string[] problems sorted; empty when all is well
function M.compare(declared, live)
  local problems = {}
  for name, value in pairs(live) do
    local member = declared[name]
    if not member then
      table.insert(problems, name .. " is not declared")
    elseif (type(value) == "function") ~= (member.kind == "function") then
      table.insert(problems, ("%s is a %s, and declared as a %s"):format(name, type(value), member.kind))
    end
  end
  for name, member in pairs(declared) do
    if live[name] == nil and not member.optional then
      table.insert(problems, name .. " is declared and does not exist")
    end
  end
  table.sort(problems)
  return problems
end

---Whether a function takes as many arguments as its declaration says, and all of those are described.
---@param member spec.Member
---@param fn function
---@return string? problem
function M.compare_parameters(member, fn)
  local parameters = member.parameters
  if not parameters then
    return nil
  end
  for _, name in ipairs(parameters) do
    if name ~= "self" and not member.documented[name] then
      return "its parameter " .. name .. " is not described"
    end
  end
  for name in pairs(member.documented) do
    if not (" " .. table.concat(parameters, " ") .. " "):find(" " .. name .. " ", 1, true) then
      return "it describes a parameter that it does not declare: " .. name
    end
  end
  local info = debug.getinfo(fn, "Su")
  if info.what == "C" then
    return nil
  end
  local is_vararg = parameters[#parameters] == "..."
  local count = #parameters - (is_vararg and 1 or 0)
  if info.nparams > count or (info.nparams < count and not info.isvararg) then
    return ("it takes %d arguments, and %d are declared"):format(info.nparams, count)
  end
end

return M
