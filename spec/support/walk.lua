-- walk.lua - meets everything that scripts can get hold of, alive: modules, an app, both sides of a WebSocket, requests,
-- responses, timers, userdata. For specs that compare it with something.
-- Owns the app it listens with, and closes it. Call `everything` in a task, once: it watches the checking of options.
-- SPDX-License-Identifier: MIT

local options = require "moonwire.options"
local tls = require "spec.support.tls"
local uv = require "luv"

local M = {}

M.ROOT = assert(package.searchpath("moonwire", package.path)):match "^(.*)/moonwire/init%.lua$"

---What each type of userdata is declared as.
M.USERDATA = {
  ["moonwire.ws"] = "moonwire.WebSocket",
  ["moonwire.listener"] = "moonwire.Listener",
  ["moonwire.exchange"] = "moonwire.core.Exchange",
  ["moonwire.response"] = "moonwire.core.Response",
  ["moonwire.hub"] = "moonwire.core.Hub",
  ["moonwire.route"] = "moonwire.core.Route",
}

---@param path string
---@return string
function M.read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

---The Lua files of a directory, in order.
---@param directory string
---@return string[] names
function M.files_of(directory)
  local names, request = {}, assert(uv.fs_scandir(directory))
  for name in uv.fs_scandir_next, request do
    names[#names + 1] = name:match "^.*%.lua$"
  end
  table.sort(names)
  return names
end

-- Everything found so far: class -> name -> value.
local live = {}

local function found(class, members)
  live[class] = live[class] or {}
  for name, value in pairs(members) do
    if type(name) == "string" and not name:find "^__" then
      live[class][name] = value
    end
  end
end

-- A table made by a module: its own fields, and the methods of its class.
local function found_object(class, object)
  local fields = {}
  for name, value in next, object do
    fields[name] = value
  end
  found(class, fields)
  found(class, getmetatable(object) or {})
end

-- The table of fields that C keeps with a userdata, as one of its user values.
local function found_userdata(class, object, index)
  local fields = debug.getuservalue(object, index)
  if type(fields) == "table" then
    found(class, fields)
  end
end

-- The methods of a userdata type: the table that its __index is, or has as an upvalue.
local function methods_of(metatable)
  local index = metatable.__index
  if type(index) == "function" then
    index = select(2, debug.getupvalue(index, 1))
  end
  return index or {}
end

local moonwire, core, modules

local function load_modules()
  modules = {}
  for _, file in ipairs(M.files_of(M.ROOT .. "/moonwire")) do
    local name = file:match "^(.*)%.lua$"
    if name ~= "init" then
      modules["moonwire." .. name] = require("moonwire." .. name)
    end
  end
  moonwire, core = require "moonwire", require "moonwire.core"
  modules["moonwire"], modules["moonwire.core"] = moonwire, core
  for name, module in pairs(modules) do
    found(name, module)
  end
end

local function nothing() end

local function look_at_plain_objects()
  found_object("moonwire.ClientCertificate", core.parse_certificate(tls.der(tls.files().cert)))
  found_object("moonwire.Rejection", moonwire.reject(403, "no", { ["X-A"] = "b" }))
  found_object("moonwire.url.Parts", assert(modules["moonwire.url"].parse "http://user:secret@host:81/path?query"))
  local router = modules["moonwire.router"].new()
  found_object("moonwire.Route", router:add("GET", "/:a", true))
  found_object("moonwire.Router", router)
  found_object("moonwire.static.Mount", modules["moonwire.static"].mount("/", M.ROOT, { max_age = 1, dotfiles = true }))
  local timer = moonwire.every(1000, nothing)
  found_object("moonwire.Timer", timer)
  timer:cancel()
  local repl = modules["moonwire.repl"].new { write = nothing, on_end = nothing }
  repl:feed "x = {\n"
  found_object("moonwire.Repl", repl)
end

-- One app that is asked for everything: HTTP, a file, both sides of a WebSocket.
local function look_at_connections()
  local app = moonwire.app {
    error = function(_, context)
      found_object("moonwire.ErrorContext", context)
    end,
  }
  local server_side, is_answered
  app:ws("/ws/:room", {
    protocols = { "a" },
    upgrade = function()
      return {}, nil, { ["X-A"] = "b" }
    end,
    ping_interval = 0.001,
    pong = function()
      is_answered = true
    end,
    open = function(ws)
      server_side = ws
    end,
  })
  app:get("/:name", {}, function(req, res)
    found("moonwire.Request", { query = req.query, query_lists = req.query_lists })
    found_object("moonwire.Request", req)
    res:on_abort(nothing)
    res:before_send(nothing)
    found_object("moonwire.Response", res)
    res:file("/nowhere", {})
    found_object("moonwire.Response", res)
    res:write "x"
    res:finish()
    found_object("moonwire.Response", res)
  end)
  app:use("/failing", function()
    error "as planned"
  end)
  app:static("/files", M.ROOT, {})
  local listener = assert(app:listen { host = "127.0.0.1", port = 0 })
  local authority = "127.0.0.1:" .. listener:address().port
  found_object("moonwire.FetchResponse", assert(moonwire.fetch("http://" .. authority .. "/page?a=b", {})))
  local fail = core.fail -- that one error is nobody's to read
  core.fail = nothing
  assert(moonwire.fetch("http://" .. authority .. "/failing"))
  core.fail = fail
  local ws = assert(moonwire.connect("ws://" .. authority .. "/ws/a", { protocols = { "a" } }))
  found_object("moonwire.App", app)
  -- Made when somebody looks at them.
  found("moonwire.WebSocket", { params = server_side.params, request = server_side.request })
  for _, side in ipairs { ws, server_side } do
    found_userdata("moonwire.WebSocket", side, 2)
    -- Among the methods stand those fields that C computes.
    for name in pairs(methods_of(debug.getregistry()["moonwire.ws"])) do
      found("moonwire.WebSocket", { [name] = side[name] })
    end
  end
  -- All that can be told of an ending: it was pinged, it was being closed, and then it broke.
  repeat
    moonwire.sleep(0.001)
  until is_answered
  server_side:close()
  ws:terminate()
  app:close {}
  found("moonwire.Ending", server_side.ending)
end

-- Core's own: an exchange, and the answer to a request.
local function look_at_core()
  local listener = assert(core.listen({ host = "127.0.0.1", port = 0 }, function(exchange)
    found_userdata("moonwire.core.Exchange", exchange, 1)
    exchange:write "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    exchange:finish(false)
  end))
  local port = listener:address().port
  local response = assert(core.request { host = "127.0.0.1", port = port, head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n" })
  found_userdata("moonwire.core.Response", response, 1)
  response:close()
  listener:close()
  for name, class in pairs(M.USERDATA) do
    if name ~= "moonwire.ws" then
      found(class, methods_of(debug.getregistry()[name]))
    end
  end
end

---Meet everything.
---@return table<string, table<string, any>> live class -> name -> value
---@return table<string, table> schemas of options, by the name under which they are checked
function M.everything()
  local check, schemas = options.check, {}
  options.check = function(who, schema, given, level)
    schemas[who] = schema
    return check(who, schema, given, level)
  end
  load_modules()
  look_at_plain_objects()
  look_at_connections()
  look_at_core()
  options.check = check
  return live, schemas
end

return M
