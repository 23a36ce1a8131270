-- Every function that a script can reach is declared in lua/moonwire/meta, and nothing is declared that isn't there.
local fake = require "support.fake_core"
local core = fake.install()
local url = require "moonwire.url"

local function declared(file)
  local path = assert(package.searchpath("moonwire.meta." .. file, package.path))
  local handle = assert(io.open(path))
  local text = handle:read "a"
  handle:close()
  return text
end

local function functions_of(text, class)
  local names = {}
  for name in text:gmatch("\nfunction " .. class .. "[%.:]([%w_]+)%(") do
    names[name] = true
  end
  return names
end

local function fields_of(text, class)
  local names = {}
  local block = text:match("%-%-%-@class " .. class:gsub("%.", "%%.") .. "\n(.-)\nlocal") or ""
  for name in block:gmatch("%-%-%-@field ([%w_]+)") do
    names[name] = true
  end
  return names
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

local function parts_of(live)
  local functions, fields = {}, {}
  for name, value in pairs(live) do
    if type(name) == "string" and not name:find("^__") then
      (type(value) == "function" and functions or fields)[name] = true
    end
  end
  return functions, fields
end

describe("the declarations", function()
  for _, name in ipairs { "url", "json", "mime", "http_date" } do
    it("of moonwire." .. name .. " are complete", function()
      local functions, fields = parts_of(require("moonwire." .. name))
      assert.same(sorted(functions), sorted(functions_of(declared(name), name)))
      assert.same(sorted(fields), sorted(fields_of(declared(name), "moonwire." .. name)))
    end)
  end

  it("of moonwire are complete", function()
    local functions, fields = parts_of(require "moonwire")
    assert.same(sorted(functions), sorted(functions_of(declared "moonwire", "moonwire")))
    assert.same(sorted(fields), sorted(fields_of(declared "moonwire", "moonwire")))
  end)

  -- Methods that one module of moonwire offers to another.
  local INTERNAL = { App = { enter = true, leave = true, check_idle = true } }

  local function check_methods(file, class, live)
    local functions = parts_of(live)
    for name in pairs(INTERNAL[class] or {}) do
      functions[name] = nil
    end
    assert.same(sorted(functions), sorted(functions_of(declared(file), class)))
  end

  it("of an app are complete", function()
    check_methods("app", "App", getmetatable(require("moonwire.app").new()))
  end)

  it("of requests and responses are complete", function()
    local exchange = fake.exchange()
    local req = require("moonwire.request").new(exchange, url.parse_target "/")
    local res = require("moonwire.response").new(exchange, req)
    check_methods("response", "Response", getmetatable(res))
    -- A request's __index is a function: its methods are where that function looks.
    assert.same({ "header", "json", "query_values" }, sorted(functions_of(declared "request", "Request")))
    for name in pairs(functions_of(declared "request", "Request")) do
      assert.is_function(req[name])
    end
    for name in pairs(fields_of(declared "request", "moonwire.Request")) do
      assert.is_not_nil(req[name], name)
    end
    for name in pairs(fields_of(declared "response", "moonwire.Response")) do
      assert.is_not_nil(res[name], name)
    end
  end)

  it("of timers are complete", function()
    local timer = require("moonwire.time").after(0, print)
    timer:cancel()
    check_methods("time", "Timer", getmetatable(timer))
  end)

  it("of an answer of fetch are complete", function()
    core.answers = { function()
      return fake.client_response(200)
    end }
    local response = fake.run(require("moonwire.fetch").fetch, "http://h/")
    check_methods("fetch", "FetchResponse", getmetatable(response))
    response.body = response.body or ""
    for name in pairs(fields_of(declared "fetch", "moonwire.FetchResponse")) do
      assert.is_not_nil(response[name], name)
    end
  end)

  it("of options are those that are checked", function()
    local function option_names(text, class)
      local names = {}
      local block = text:match("%-%-%-@class " .. class:gsub("%.", "%%.") .. "[^\n]*\n(.-)\n\n")
      for name in block:gmatch("%-%-%-@field ([%w_]+)%?") do
        names[name] = true
      end
      return names
    end
    local app_module = require "moonwire.app"
    local app = app_module.new()
    local refusals = {
      ["moonwire.Limits"] = function(given)
        app_module.new(given)
      end,
      ["moonwire.AppOptions"] = function(given)
        app_module.new(given)
      end,
      ["moonwire.ListenOptions"] = function(given)
        app:listen(given)
      end,
      ["moonwire.Behaviour"] = function(given)
        app:ws("/", given)
      end,
      ["moonwire.ConnectionSettings"] = function(given)
        app:ws("/", given)
      end,
      ["moonwire.StaticOptions"] = function(given)
        app:static("/", "lua", given)
      end,
      ["moonwire.CloseOptions"] = function(given)
        app:close(given)
      end,
    }
    for class, use in pairs(refusals) do
      local names = option_names(declared "app", class)
      assert.is_not_nil(next(names), class)
      for name in pairs(names) do
        -- A value that fits no option: what is unknown is told before what is wrong.
        local ok, message = pcall(use, { [name] = coroutine.create(print) })
        assert.is_false(ok)
        assert.matches("option '" .. name, message)
        assert.not_matches("unknown", message)
      end
    end
  end)
end)
