-- fake_core.lua - a stand-in for the C module, so that the Lua layer can be tested by plain Lua.
-- Tasks are coroutines on luv's own loop; exchanges keep what was written to them; nothing touches the network.
-- Call `install` before the first `require "moonwire.…"` of a spec file (busted forgets loaded modules between files).
-- SPDX-License-Identifier: MIT

local uv = require "luv"

local M = {}

-- Where the specs are run by moonwire itself its loop is running already, and a test waits like any other task.
local real_core = package.loaded["moonwire.core"]

-- Tasks that wait, and timers that were made, since the last `run` began.
local waiting, timers = {}, {}

local function resume(co, ...)
  local ok, message = coroutine.resume(co, ...)
  waiting[co] = coroutine.status(co) == "suspended" or nil
  if not ok then
    local trace = debug.traceback(co, tostring(message))
    coroutine.close(co)
    M.core.log("error", trace)
  end
end

---@return table core with `logged` (lines as "level: text"), `routes`, `listeners`, `exit_handlers`
function M.install()
  local core = {
    version = "0.0.0-test",
    logged = {},
    routes = {},
    listeners = {},
    exit_handlers = {},
    requests = {},
    websocket_methods = {},
    on_restore = function() end,
  }
  M.core = core
  function core.task(fn, ...)
    resume(coroutine.create(fn), ...)
  end
  core.resume = resume
  function core.now()
    return uv.hrtime() / 1e9
  end
  function core.log(level, text)
    core.logged[#core.logged + 1] = level .. ": " .. text
  end
  -- As a line of the log for people; the peer is left out.
  function core.fail(text, kind, route, event, id, _, _, _, path)
    local where = kind == "http" and event .. " " .. (route or path)
      or (id and "WebSocket " .. id or kind) .. (route and " on " .. route or "") .. (event and ", " .. event or "")
    core.log("error", where .. ": " .. text)
  end
  function core.on_error(fn)
    core.error_hook = fn
  end
  function core.traceback(message)
    return debug.traceback(tostring(message), 2)
  end
  core.timer = core.task
  function core.on_exit(fn)
    core.exit_handlers[#core.exit_handlers + 1] = fn
  end
  function core.count_error()
    core.errors = (core.errors or 0) + 1
  end
  function core.close(ws, _, code, reason)
    if code == 1006 then
      return ws:terminate()
    end
    ws:close(code, reason)
  end
  function core.route(behaviour)
    core.routes[#core.routes + 1] = behaviour
    return behaviour
  end
  function core.topics()
    local hub = { published = {}, members = {}, when_finished_list = {} }
    function hub:publish(topic, data, kind)
      self.published[#self.published + 1] = { topic, data, kind }
      return 0
    end
    function hub.count()
      return 7
    end
    function hub:sockets()
      return { table.unpack(self.members) }
    end
    function hub:open()
      return #self.members
    end
    hub.unfinished = hub.open
    function hub:when_finished(fn)
      self.when_finished_list[#self.when_finished_list + 1] = fn
    end
    function hub:leave(ws)
      for i, member in ipairs(self.members) do
        if member == ws then
          table.remove(self.members, i)
        end
      end
      if #self.members == 0 then
        local list = self.when_finished_list
        self.when_finished_list = {}
        for _, fn in ipairs(list) do
          fn()
        end
      end
    end
    return hub
  end
  function core.listen(settings, handler)
    local listener = { settings = settings, handler = handler }
    function listener.address()
      return { host = settings.host, port = settings.port }
    end
    function listener:close()
      self.closed = true
    end
    core.listeners[#core.listeners + 1] = listener
    return listener
  end
  -- Answers of `core.request`: a test pushes functions(options) onto `core.requests`.
  core.answers = {}
  function core.request(settings)
    core.requests[#core.requests + 1] = settings
    local answer = table.remove(core.answers, 1)
    return answer(settings)
  end
  package.loaded["moonwire.core"] = core
  return core
end

---The response of a fake client request.
function M.client_response(status, headers, chunks)
  local response = { status = status, reason = "Fake", minor = 1, headers = headers or {}, closed = false }
  chunks = chunks or {}
  function response.read()
    local chunk = table.remove(chunks, 1)
    if type(chunk) == "table" then
      return nil, chunk[1], chunk[2]
    end
    return chunk
  end
  function response:close()
    self.closed = true
  end
  return response
end

local function is_busy()
  for _, timer in ipairs(timers) do
    if not timer:is_closing() and timer:is_active() then
      return true
    end
  end
  return next(waiting) ~= nil
end

-- Let the loop turn, so that timers and files can go on.
local function turn(new_timer)
  if not real_core then
    -- All of it, closing handles too: luv can't be left in the middle of that when the process ends.
    return uv.run()
  end
  local task, timer = coroutine.running(), new_timer()
  timer:start(1, 0, function()
    timer:close()
    real_core.resume(task)
  end)
  coroutine.yield()
end

---Run a function in a task, and the loop until no task waits and no timer is set; errors are the test's.
function M.run(fn, ...)
  local results
  local arguments = table.pack(...)
  local new_timer = uv.new_timer
  waiting, timers = {}, {}
  uv.new_timer = function()
    timers[#timers + 1] = new_timer()
    return timers[#timers]
  end
  resume(coroutine.create(function()
    results = table.pack(xpcall(fn, debug.traceback, table.unpack(arguments, 1, arguments.n)))
  end))
  local idle_turns = 0
  repeat
    turn(new_timer)
    idle_turns = is_busy() and 0 or idle_turns + 1
  until idle_turns >= 2 -- newer libuv stops all timers that are due before it calls the first
  uv.new_timer = new_timer
  assert(results, "the task never ended")
  assert(results[1], results[2])
  return table.unpack(results, 2, results.n)
end

---Timers of the last `run` that nobody closed.
---@return integer
function M.open_timers()
  local count = 0
  for _, timer in ipairs(timers) do
    count = count + (timer:is_closing() and 0 or 1)
  end
  return count
end

---Call a function where nothing can wait: below a C function that can't be left.
function M.where_nothing_waits(fn)
  local results
  table.sort({ 1, 2 }, function()
    results = results or table.pack(fn())
    return false
  end)
  return table.unpack(results, 1, results.n)
end

local Exchange = {}
Exchange.__index = Exchange

function Exchange:head()
  return self.method, self.request_target, self.minor, self.headers
end

function Exchange:peer()
  return "192.0.2.7", 4711, self.is_secure
end

function Exchange:opening()
  if self.headers.upgrade == "websocket" then
    return self.request_target, self.headers.origin, self.headers.host
  end
end

function Exchange:has_body()
  return self.request_body ~= nil or self.body_fault ~= nil
end

function Exchange:body(limit)
  if self.body_fault then
    return nil, "fault", self.body_fault
  elseif #self.request_body > limit then
    return nil, "too large", "too_large"
  end
  self.is_body_read = true
  return self.request_body
end

function Exchange:write(bytes)
  if self.is_gone then
    return nil, "closed"
  end
  assert(not self.is_finished, "written after finish")
  self.out[#self.out + 1] = bytes
  if self.is_slow then
    return true, "backpressure"
  end
  return true
end

function Exchange:drain()
  self.drained = (self.drained or 0) + 1
  if self.is_gone then
    return nil, "the connection is closed", "closed"
  end
  return true
end

function Exchange:finish(keep_alive)
  assert(not self.is_finished, "finished twice")
  self.is_finished, self.kept_alive = true, keep_alive
end

function Exchange:target()
  return self.request_target
end

function Exchange:keep_alive()
  return self.allows_keep_alive and (self.is_body_read or not self:has_body())
end

function Exchange:on_abort(fn)
  if self.is_gone then
    return nil, "closed", "closed"
  end
  self.abort_handler = fn
end

function Exchange:handshake()
  if self.handshake_fault then
    return nil, self.handshake_fault, "bad handshake"
  end
  local offered = {}
  for name in (self.headers["sec-websocket-protocol"] or ""):gmatch("[^,%s]+") do
    offered[#offered + 1] = name
  end
  return true, offered
end

function Exchange:accept(route, data, protocol, headers)
  self.accepted = { data = data, protocol = protocol, headers = headers }
  self.accepted_route = route
  local ws = { data = data, closed = false }
  function ws.close(this, code, reason)
    if not this.closed then
      this.closed, this.close_code, this.close_reason = true, code, reason
      if route.close then
        route.close(this, code, reason)
      end
      route.hub:leave(this)
    end
  end
  function ws.terminate(this)
    ws.close(this, 1006, "")
  end
  self.ws = ws
  table.insert(route.hub.members, ws)
  if route.open then
    route.open(ws)
  end
  return ws
end

---The bytes written so far.
function Exchange:text()
  return table.concat(self.out)
end

---What was written, taken apart: status, reason, headers (lower-case; repeated ones as a list), body (chunks joined).
function Exchange:response()
  local text = self:text()
  local head, rest = text:match("^(.-)\r\n\r\n(.*)$")
  assert(head, "no complete head was written: " .. text)
  local response = { headers = {}, lines = {}, raw_body = rest }
  for line in (head .. "\r\n"):gmatch("(.-)\r\n") do
    response.lines[#response.lines + 1] = line
  end
  response.status, response.reason = response.lines[1]:match("^HTTP/1%.1 (%d%d%d) (.*)$")
  response.status = math.tointeger(tonumber(response.status))
  for i = 2, #response.lines do
    local name, value = response.lines[i]:match("^([^:]+): (.*)$")
    assert(name, "malformed header line: " .. response.lines[i])
    name = name:lower()
    local old = response.headers[name]
    if type(old) == "table" then
      old[#old + 1] = value
    else
      response.headers[name] = old and { old, value } or value
    end
  end
  response.body = rest
  if response.headers["transfer-encoding"] == "chunked" then
    local pieces, at = {}, 1
    while at <= #rest do
      local size, start = rest:match("^(%x+)\r\n()", at)
      size = tonumber(size, 16)
      if size == 0 then
        response.is_complete = rest:sub(start) == "\r\n"
        break
      end
      pieces[#pieces + 1] = rest:sub(start, start + size - 1)
      assert(rest:sub(start + size, start + size + 1) == "\r\n", "malformed chunk")
      at = start + size + 2
    end
    response.body = table.concat(pieces)
  end
  return response
end

---@param fields? {method: string?, target: string?, minor: integer?, headers: table?, request_body: string?}
function M.exchange(fields)
  local exchange = { method = "GET", target = "/", minor = 1, headers = {}, out = {}, allows_keep_alive = true }
  for name, value in pairs(fields or {}) do
    exchange[name] = value
  end
  exchange.request_target, exchange.target = exchange.target, nil
  return setmetatable(exchange, Exchange)
end

return M
