-- app.lua - an application: routes, middleware, files, topics, and the ports it listens on.
-- Owns its router, its hub of topics and the account of what is open. What a request goes through is in http.lua and
-- upgrade.lua. Several apps live side by side in one process.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local http = require "moonwire.http"
local json = require "moonwire.json"
local options = require "moonwire.options"
local response_module = require "moonwire.response"
local router = require "moonwire.router"
local static = require "moonwire.static"
local time = require "moonwire.time"
local upgrade = require "moonwire.upgrade"

local M = {}

local DEFAULT_MAX_BODY = 1 << 20
local CLOSE_REASON_MAX = 123
local STREAM_PAUSE = 0.01

-- Limits that an app sets for all of its ports, or `listen` for one.
local LIMITS = {
  max_head_bytes = options.integer(256, 1 << 20),
  max_request_line = options.integer(256, 1 << 20),
  max_headers = options.integer(1, 256),
  head_timeout = options.seconds(0.001),
  body_timeout = options.seconds(0.001),
  min_body_rate = options.integer(0),
  keep_alive_timeout = options.seconds(0.001),
  write_timeout = options.seconds(0.001),
  max_connections = options.integer(0),
  max_per_address = options.integer(0),
  max_connects_per_address = options.integer(0),
}

local function with_limits(schema)
  for name, check in pairs(LIMITS) do
    schema[name] = check
  end
  return schema
end

local APP_OPTIONS = with_limits { max_body = options.integer(0), error = options.func }
local ROUTE_OPTIONS = { max_body = options.integer(0) }
-- A string of digits will do: ports come from the command line and the environment.
local PORT = options.integer(0, 65535)
local TLS_OPTIONS = {
  cert = options.string,
  key = options.string,
  also = options.list_of(options.group { cert = options.string, key = options.string }),
  min_version = options.one_of("1.2", "1.3"),
  reload = options.either("a number of seconds from 0.1 to 86400, or false", options.seconds(0.1, 86400), options.off),
  client_ca = options.string,
  client_certificates = options.one_of("required", "optional"),
}
local LISTEN_OPTIONS = with_limits {
  host = options.string,
  port = function(port)
    return PORT(type(port) == "string" and port:find "^%d+$" and tonumber(port) or port)
  end,
  path = options.string,
  inherited = options.string,
  backlog = options.integer(1, 65535),
  reserved_descriptors = options.integer(0, 1 << 20),
  tls = options.group(TLS_OPTIONS),
}
local CLOSE_OPTIONS = {
  code = function(code)
    local sendable = math.type(code) == "integer"
      and (code >= 1000 and code <= 1014 and (code < 1004 or code > 1006) or code >= 3000 and code <= 4999)
    return not sendable and "must be a close code that can be sent (1000-1003, 1007-1014, 3000-4999)" or nil
  end,
  reason = function(reason)
    if type(reason) ~= "string" or #reason > CLOSE_REASON_MAX or not utf8.len(reason) then
      return "must be a string of at most 123 bytes of UTF-8"
    end
  end,
  timeout = options.seconds(0),
}

---@class moonwire.App
local App = { __name = "moonwire.App" }
App.__index = App

---Make an application. Its options are limits that hold for all of its routes and ports, and who hears of errors.
---@param app_options? table
---@return moonwire.App
function M.new(app_options)
  local checked = options.check("moonwire.app", APP_OPTIONS, app_options)
  checked.max_body = checked.max_body or DEFAULT_MAX_BODY
  local app = setmetatable({
    settings = checked,
    router = router.new(),
    middleware = {},
    mounts = {},
    listeners = {},
    hub = core.topics(),
    responses = {},
    idle_waiters = {},
    closing = false,
  }, App)
  app.on_response_done = function(response)
    app.responses[response] = nil
    app:check_idle()
  end
  return app
end

-- app:get(pattern, [route_options,] handler)
local function add_route(app, method, name, pattern, route_options, handler)
  if handler == nil then
    route_options, handler = nil, route_options
  end
  local who = "app:" .. name
  if type(pattern) ~= "string" then
    error(("bad argument #1 to '%s' (string expected, got %s)"):format(name, type(pattern)), 3)
  elseif type(handler) ~= "function" then
    error(("%s '%s': the handler must be a function, not a %s"):format(who, pattern, type(handler)), 3)
  end
  local value = options.check(("%s '%s'"):format(who, pattern), ROUTE_OPTIONS, route_options, 3)
  value.handler = handler
  app.router:add(method, pattern, value, 3)
end

for _, name in ipairs { "get", "post", "put", "patch", "delete", "options", "head", "any" } do
  local method = name == "any" and router.ANY or name:upper()
  App[name] = function(self, pattern, route_options, handler)
    add_route(self, method, name, pattern, route_options, handler)
    return self
  end
end

---Add a WebSocket route.
---@param pattern string
---@param behaviour table
---@return moonwire.App
function App:ws(pattern, behaviour)
  if type(pattern) ~= "string" then
    error(("bad argument #1 to 'ws' (string expected, got %s)"):format(type(pattern)), 2)
  end
  router.check_pattern(pattern, 2)
  self.router:add(router.WEBSOCKET, pattern, upgrade.compile(self, pattern, behaviour), 2)
  return self
end

---Add middleware: it runs before the routes, in order, for every request whose path begins with `path`.
---@param path string|fun(req, res, next)
---@param fn? fun(req: moonwire.Request, res: moonwire.Response, next: fun())
---@return moonwire.App
function App:use(path, fn)
  if fn == nil then
    path, fn = "/", path
  end
  if type(path) ~= "string" then
    error(("bad argument #1 to 'use' (string expected, got %s)"):format(type(path)), 2)
  elseif type(fn) ~= "function" then
    error(("app:use: the middleware must be a function, not a %s"):format(type(fn)), 2)
  end
  self.middleware[#self.middleware + 1] = { prefix = router.parse_prefix(path, 2), fn = fn }
  return self
end

---Serve the files of a directory where no route answers.
---@param prefix string
---@param directory string
---@param mount_options? {index: string|false|nil, max_age: number?, dotfiles: boolean?}
---@return moonwire.App
function App:static(prefix, directory, mount_options)
  self.mounts[#self.mounts + 1] = static.mount(prefix, directory, mount_options)
  return self
end

local function keys_of(set)
  local list = {}
  for key in pairs(set) do
    list[#list + 1] = key
  end
  return list
end

-- Running requests are their connections' last. Returns the event streams, which would never end by themselves.
local function let_finish(app)
  local streams = {}
  app.closing = true
  for _, response in ipairs(keys_of(app.responses)) do
    response.must_close = true
    response_module.watch(response)
    if response.deferred and response.sent then
      streams[#streams + 1] = response
    end
  end
  return streams
end

-- The process was told to end, and has `seconds` for it. Event streams end one after the other, as WebSockets do, which core
-- closes: their clients shall not come back all at once.
local function retire(app, seconds)
  local streams = let_finish(app)
  local begun, pause = core.now(), math.min(STREAM_PAUSE, seconds / 2 / #streams)
  for i, response in ipairs(streams) do
    local early = begun + (i - 1) * pause - core.now()
    if early > 0 then
      time.sleep(early)
    end
    core.task(response_module.abandon, response)
  end
end

-- What options of TLS need of one another; raises at the script's line.
local function check_tls(tls)
  if not (tls.cert and tls.key) then
    error("listen: option 'tls' needs both 'cert' and 'key'", 3)
  elseif tls.client_certificates and not tls.client_ca then
    error("listen: option 'tls.client_certificates' needs 'client_ca', the authorities that sign them", 3)
  end
  for i, pair in ipairs(tls.also or {}) do
    if not (pair.cert and pair.key) then
      error(("listen: option 'tls.also[%d]' needs both 'cert' and 'key'"):format(i), 3)
    end
  end
end

---Open a port or a Unix socket.
---@param listen_options table
---@return table? listener with `address()`, `close()` and `reload_tls()`
---@return string? message
---@return string? code
function App:listen(listen_options)
  if listen_options == nil then
    error("listen: the options must be a table, such as { port = 8080 }", 2)
  end
  local settings = options.check("listen", LISTEN_OPTIONS, listen_options)
  if settings.path and (settings.port or settings.host) then
    error("listen: option 'path' (a Unix socket) excludes 'host' and 'port'", 2)
  elseif settings.inherited and settings.host and not settings.port then
    error("listen: option 'host' needs 'port' beside it", 2)
  elseif not settings.path and not settings.port and not settings.inherited then
    error("listen: option 'port' is missing (0 takes any free one)", 2)
  elseif settings.tls then
    check_tls(settings.tls)
  end
  settings.port = settings.port and math.tointeger(settings.port)
  for name in pairs(LIMITS) do
    if settings[name] == nil then
      settings[name] = self.settings[name]
    end
  end
  local listener, message, code = core.listen(settings, function(exchange)
    http.serve(self, exchange)
  end)
  if not listener then
    return nil, message, code
  end
  self.listeners[#self.listeners + 1] = listener
  self.closing = false
  if not self.is_exit_watched then
    self.is_exit_watched = true
    core.on_exit(function(seconds)
      core.task(retire, self, seconds)
    end)
  end
  return listener
end

---Send to all subscribers of a topic.
---@param topic string
---@param data string
---@param kind? "text"|"binary"
function App:publish(topic, data, kind)
  return self.hub:publish(topic, data, kind)
end

---Send a value as JSON to all subscribers of a topic.
---@param topic string
---@param value any
function App:publish_json(topic, value)
  return self.hub:publish(topic, json.encode(value))
end

---How many connections are subscribed to a topic.
---@param topic string
---@return integer
function App:subscribers(topic)
  return self.hub:count(topic)
end

---How many WebSockets are open.
---@return integer
function App:count()
  return self.hub:open()
end

local function is_idle(app)
  return app.hub:unfinished() == 0 and next(app.responses) == nil
end

-- Wake those who wait in `close` when nothing is open any more.
function App:check_idle()
  if next(self.idle_waiters) and is_idle(self) then
    local waiters = self.idle_waiters
    self.idle_waiters = {}
    for task in pairs(waiters) do
      core.resume(task, true)
    end
  end
end

-- Wait until everything is closed, or for `seconds`.
local function wait_until_idle(app, seconds)
  if is_idle(app) then
    return true
  end
  local task = coroutine.running()
  app.idle_waiters[task] = true
  if app.hub:unfinished() > 0 then
    app.hub:when_finished(function()
      app:check_idle()
    end)
  end
  local timer = time.after(seconds, function()
    app.idle_waiters[task] = nil
    core.resume(task, false)
  end)
  local is_in_time = coroutine.yield()
  timer:cancel()
  return is_in_time
end

---Stop listening, say good-bye to every WebSocket and let running requests finish. Waits until all is done.
---@param close_options? {code: integer?, reason: string?, timeout: number?}
---@return true? ok
---@return string? message
---@return string? code "timeout" when something had to be cut off
function App:close(close_options)
  local settings = options.check("app:close", CLOSE_OPTIONS, close_options)
  if not coroutine.isyieldable() then
    core.task(self.close, self, close_options)
    return true
  end
  local streams = let_finish(self)
  for _, listener in ipairs(self.listeners) do
    listener:close()
  end
  self.listeners = {}
  for _, ws in ipairs(self.hub:sockets()) do
    core.close(ws, "shutdown", settings.code or 1001, settings.reason or "")
  end
  for _, response in ipairs(streams) do
    core.task(response_module.abandon, response)
  end
  if wait_until_idle(self, settings.timeout or 30) then
    return true
  end
  for _, ws in ipairs(self.hub:sockets()) do
    core.close(ws, "shutdown", 1006, "the app was closed, and had no time left")
  end
  for _, response in ipairs(keys_of(self.responses)) do
    core.task(response_module.abandon, response)
  end
  return nil, "not everything closed in time", "timeout"
end

return M
