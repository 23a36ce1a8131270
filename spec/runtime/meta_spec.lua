-- meta_spec.lua - every function, field and option that moonwire has is declared in lua/moonwire/meta, and nothing is
-- declared that isn't there. What is compared is alive: modules, an app, both sides of a WebSocket, requests, responses.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local declarations = require "spec.support.declarations"
local options = require "moonwire.options"
local uv = require "luv"
local walk = require "spec.support.walk"

local META = walk.ROOT .. "/moonwire/meta/"
-- Declared in these: what modules offer one another.
local INTERNAL_FILES = { ["core.lua"] = true, ["internal.lua"] = true }

local classes = {}
for _, file in ipairs(walk.files_of(META)) do
  declarations.read(classes, walk.read(META .. file), file)
end

local live, schemas

setup(function()
  async.run(function()
    live, schemas = walk.everything()
  end)
end)

-- ---- options ----

-- Classes of options, by the name under which they are checked.
local CHECKED_AS = {
  ["moonwire.app"] = "moonwire.AppOptions",
  ["app:get '/:name'"] = "moonwire.RouteOptions",
  ["app:ws '/ws/:room'"] = "moonwire.Behaviour",
  ["listen"] = "moonwire.ListenOptions",
  ["app:close"] = "moonwire.CloseOptions",
  ["static"] = "moonwire.StaticOptions",
  ["res:file"] = "moonwire.FileOptions",
  ["fetch"] = "moonwire.FetchOptions",
  ["connect"] = "moonwire.ConnectOptions",
}

local function is_schema(value)
  if type(value) ~= "table" or value == options or next(value) == nil then
    return false
  end
  for name, accepts in pairs(value) do
    if type(name) ~= "string" or type(accepts) ~= "function" then
      return false
    end
  end
  return true
end

-- The schema of a nested table of options, which the check of that option keeps somewhere among its upvalues.
local function nested_schema(accepts, depth)
  for i = 1, 10 do
    local _, value = debug.getupvalue(accepts, i)
    if is_schema(value) then
      return value
    end
    local inner = type(value) == "function" and { value } or type(value) == "table" and value ~= options and value or {}
    for _, each in ipairs(depth > 0 and inner or {}) do
      local schema = type(each) == "function" and nested_schema(each, depth - 1)
      if schema then
        return schema
      end
    end
  end
end

-- Collects what differs between a schema and a class, and goes on with the options that are tables themselves.
local function compare_options(schema, class, problems, seen)
  seen[class] = true
  local declared = declarations.members(classes, class)
  for name, accepts in pairs(schema) do
    local member = declared[name]
    local nested = nested_schema(accepts, 3)
    local nested_class = member and declarations.option_classes(member)[1]
    if not member then
      table.insert(problems, ("%s: option %s is not declared"):format(class, name))
    elseif (nested ~= nil) ~= (nested_class ~= nil) then
      table.insert(problems, ("%s: option %s is a table with options of its own, or is not"):format(class, name))
    elseif nested then
      compare_options(nested, nested_class, problems, seen)
    end
  end
  for name, member in pairs(declared) do
    if not schema[name] then
      table.insert(problems, ("%s: option %s is declared and not accepted (%s)"):format(class, name, member.at))
    elseif not member.optional and class ~= "moonwire.HeartbeatOptions" then
      table.insert(problems, ("%s: option %s is declared as if it had to be given"):format(class, name))
    end
  end
end

-- Every class that these options are made of, parents included.
local function with_parents(seen)
  local all = {}
  local function add(class)
    all[class] = true
    for _, parent in ipairs(classes[class].parents) do
      add(parent)
    end
  end
  for class in pairs(seen) do
    add(class)
  end
  return all
end

-- ---- the specs ----

describe("comparing declarations", function()
  local known = {}
  declarations.read(known, table.concat({
    "---@class Thing: Base",
    "---@field size integer bytes",
    "---@field owner? string",
    "local Thing = {}",
    "",
    "---Turn it.",
    "---@param angle number",
    "function Thing:turn(angle) end",
    "",
    "---@class Base",
    "---@field private id integer",
  }, "\n"), "made-up.lua")
  local declared = declarations.members(known, "Thing")

  local function thing(changes)
    local members = { size = 1, id = 2, turn = function(_, _) end }
    for name, value in pairs(changes) do
      members[name] = value
    end
    return members
  end

  it("finds nothing where all is declared and there", function()
    assert.same({}, declarations.compare(declared, thing {}))
    assert.same({}, declarations.compare(declared, thing { owner = "me" }))
    assert.is_nil(declarations.compare_parameters(declared.turn, thing({}).turn))
  end)

  it("finds what is not declared", function()
    assert.same({ "made_up is not declared" }, declarations.compare(declared, thing { made_up = print }))
    assert.same({ "hidden is not declared" }, declarations.compare(declared, thing { hidden = false }))
  end)

  it("finds what does not exist", function()
    assert.same({ "turn is declared and does not exist" }, declarations.compare(declared, { size = 1, id = 2 }))
    assert.same({ "id is declared and does not exist" }, declarations.compare(declared, { size = 1, turn = print }))
  end)

  it("finds what is something else", function()
    local problems = declarations.compare(declared, thing { turn = "x" })
    assert.same({ "turn is a string, and declared as a function" }, problems)
  end)

  it("finds wrong parameters", function()
    local function problem(fn)
      return declarations.compare_parameters(declared.turn, fn)
    end
    assert.equal("it takes 1 arguments, and 2 are declared", problem(function(_) end))
    assert.equal("it takes 3 arguments, and 2 are declared", problem(function(_, _, _) end))
    declared.turn.documented.angle = nil
    assert.equal("its parameter angle is not described", problem(print))
  end)

  it("finds options that are not declared, also nested ones", function()
    classes["made.up"] = { name = "made.up", parents = {}, members = {}, files = {} }
    local problems = {}
    compare_options({ made_up = options.string }, "made.up", problems, {})
    assert.same({ "made.up: option made_up is not declared" }, problems)
    classes["made.up"].members.tls = { kind = "field", optional = true, type = "moonwire.TlsOptions" }
    problems = {}
    compare_options({
      tls = options.either("…", options.off, options.group { ca = options.string, made_up = options.string }),
    }, "made.up", problems, {})
    table.sort(problems)
    assert.equal("moonwire.TlsOptions: option made_up is not declared", problems[1])
    assert.matches("^moonwire.TlsOptions: option verify is declared and not accepted %(fetch.lua:%d+%)$", problems[2])
    assert.equal(2, #problems)
    classes["made.up"] = nil
  end)
end)

describe("the declarations", function()
  it("name every function and field that is there, and no other", function()
    local problems = {}
    for class, members in pairs(live) do
      if not classes[class] then
        table.insert(problems, class .. ": the class is not declared")
      else
        for _, problem in ipairs(declarations.compare(declarations.members(classes, class), members)) do
          table.insert(problems, class .. ": " .. problem)
        end
      end
    end
    table.sort(problems)
    assert.same({}, problems)
  end)

  it("of optional fields are those that can be there", function()
    -- A field that no sample had is at least set somewhere in the sources.
    local source = ""
    for _, file in ipairs(walk.files_of(walk.ROOT .. "/moonwire")) do
      source = source .. walk.read(walk.ROOT .. "/moonwire/" .. file)
    end
    local problems = {}
    for class, members in pairs(live) do
      for name, member in pairs(classes[class].members) do
        if members[name] == nil and not source:find("[%.%s]" .. name .. "%f[^%w_][^\n]- =%f[^=]") then
          table.insert(problems, ("%s: %s is declared and never set (%s)"):format(class, name, member.at))
        end
      end
    end
    assert.same({}, problems)
  end)

  it("of functions have the parameters that these take, each with a description", function()
    local problems, count = {}, 0
    for class, members in pairs(live) do
      for name, member in pairs(declarations.members(classes, class)) do
        if type(members[name]) == "function" then
          count = count + 1
          local problem = declarations.compare_parameters(member, members[name])
            or not member.text and not member.at:find "^internal" and "nothing is said about it"
          table.insert(problems, problem and ("%s.%s: %s (%s)"):format(class, name, problem, member.at) or nil)
        end
      end
    end
    assert.same({}, problems)
    assert.is_true(count > 150, "the walk found almost nothing")
  end)

  it("name every type of userdata", function()
    for name, value in pairs(debug.getregistry()) do
      if type(name) == "string" and name:find "^moonwire%." and type(value) == "table" and value.__name then
        assert.is_not_nil(classes[walk.USERDATA[name]], name)
      end
    end
  end)

  it("of options are those that are accepted, and no other", function()
    local problems, seen = {}, {}
    for who, schema in pairs(schemas) do
      if CHECKED_AS[who] then
        compare_options(schema, CHECKED_AS[who], problems, seen)
      else
        table.insert(problems, "options checked as “" .. who .. "” belong to no class that this spec knows")
      end
    end
    for who in pairs(CHECKED_AS) do
      assert.is_not_nil(schemas[who], who .. " was never called")
    end
    table.sort(problems)
    assert.same({}, problems)
    -- What is declared and was seen by nobody would be declared in vain.
    seen = with_parents(seen)
    for class, declaration in pairs(classes) do
      if not seen[class] and not live[class] then
        assert.same({ ["core.lua"] = true }, declaration.files, class .. " is declared, and nothing like it was met")
      end
    end
  end)

  it("of core's options are those that C reads", function()
    local root = walk.ROOT:match "^(.*)/lua$"
    if not uv.fs_stat(root .. "/src/bind") then
      return pending "the sources of C are not here"
    end
    local declared = {}
    for class in pairs(classes) do
      for name in pairs(declarations.members(classes, class)) do
        declared[name] = true
      end
    end
    for _, file in ipairs { "client.c", "request.c", "server.c", "route.c", "upgrade.c" } do
      local source = walk.read(root .. "/src/bind/" .. file)
      for _, pattern in ipairs { 'mw_option_%a+%(L, [%w_]+, "([%w_]+)"', 'lua_getfield%(L, [%w_]+, "([%w_]+)"' } do
        for name in source:gmatch(pattern) do
          assert.is_true(declared[name], file .. " reads an option that is not declared: " .. name)
        end
      end
    end
  end)
end)

describe("the reference", function()
  local path = walk.ROOT:match "^(.*)/lua$" .. "/docs/reference.md"
  if not uv.fs_stat(path) then
    return pending "is not beside an installed program"
  end
  local text = walk.read(path)

  local function is_public(class)
    for file in pairs(classes[class].files) do
      if not INTERNAL_FILES[file] then
        return true
      end
    end
    return false
  end

  it("names every function, field and option for scripts", function()
    local missing = {}
    for class, declaration in pairs(classes) do
      for name, member in pairs(is_public(class) and declaration.members or {}) do
        local is_named
        if member.kind == "function" and member.parameters then
          is_named = text:find("[%.:]" .. name .. "%f[^%w_]")
        else
          is_named = text:find("`[^`\n]*%f[%w_]" .. name .. "%f[^%w_][^`\n]*`")
        end
        if not is_named and not member.is_private then
          table.insert(missing, class .. "." .. name)
        end
      end
    end
    table.sort(missing)
    assert.same({}, missing)
  end)
end)
