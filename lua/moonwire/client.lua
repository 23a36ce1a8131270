-- client.lua - `moonwire.connect`: WebSockets as a client, with the rules that every front end writes anew:
-- reconnecting with growing delays, heartbeats, and messages read in a loop.
-- Owns the timers of these rules; the connection is core's. One attempt goes on at a time, and none after the script
-- closed the WebSocket.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local headers_module = require "moonwire.headers"
local options = require "moonwire.options"
local time = require "moonwire.time"
local url = require "moonwire.url"
local ws_module = require "moonwire.ws"

local M = {}

local DEFAULT_TIMEOUT = 10
local RECONNECT = { retries = 10, delay = 0.5, max_delay = 30, factor = 2, jitter = 0.5 }
local HEARTBEAT = { interval = 30, timeout = 10 }
-- Messages kept for a loop over `ws:messages()`; then the server is made to wait.
local INBOX_MAX = 256
-- Seconds; what a `delay` function may ask for at most.
local DELAY_MAX = 2000000

local OURS = { "Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
  "Sec-WebSocket-Extensions" }

local CONNECT_OPTIONS = {
  protocols = options.list_of(ws_module.protocol_name, 1),
  headers = options.table,
  tls = options.group { ca = options.string, verify = options.boolean, server_name = options.string },
  timeout = options.either("a number of seconds, or false", options.seconds(0.001), options.off),
  proxy = url.proxy_fault,
  path = options.string,
  wait = options.boolean,
  reconnect = options.either("true, false or a table", options.boolean, options.group {
    retries = options.either("an integer, or false for no limit", options.integer(0), options.off),
    delay = options.either("a number of seconds, or a function", options.seconds(0), options.func),
    max_delay = options.seconds(0),
    factor = options.either("a number from 1", options.seconds(1)),
    jitter = options.either("a number from 0 to 1", options.seconds(0, 1)),
  }),
  heartbeat = options.either("false or a table", options.off, options.group {
    message = options.either("a string or a function", options.text, options.func),
    interval = options.seconds(0.001),
    timeout = options.seconds(0.001),
  }),
  data = function() end,
  open = options.func,
  message = options.func,
  drain = options.func,
  pong = options.func,
  close = options.func,
  error = options.func,
  reconnecting = options.func,
}
for name, check in pairs(ws_module.SETTINGS) do
  CONNECT_OPTIONS[name] = check
end

-- Ends a connection without being the script's own wish.
local terminate = core.websocket_methods.terminate

-- What is known about a client's WebSocket beside core's own account; weak, so that it goes with it.
---@type table<userdata, moonwire.client.State>
local states = setmetatable({}, { __mode = "k" })

-- A process that was told to end connects nowhere again.
local is_ending = false
core.on_exit(function()
  is_ending = true
end)

---@class moonwire.client.State
local State = {}
State.__index = State

-- ---- reconnecting ----

-- Seconds until attempt `n` (1 is the first repetition).
local function delay_before(rule, n)
  if type(rule.delay) == "function" then
    return rule.delay(n)
  end
  if rule.delay == 0 then
    return 0 -- the power below becomes infinite some day
  end
  local delay = math.min(rule.delay * rule.factor ^ (n - 1), rule.max_delay)
  return delay * (1 - rule.jitter * math.random())
end

-- Call a function of the script's in the middle of a rule, which has to go on whatever happens in there: a failure is
-- logged and told, as C does it for handlers. Returns what the function returned.
function State:call(ws, fn, ...)
  local ok, result = xpcall(fn, debug.traceback, ...)
  if ok then
    return result
  end
  core.log("error", ("WebSocket %d on %s: %s"):format(ws.id, self.address, result))
  if self.handlers.error then
    core.task(self.handlers.error, ws, result, "handler")
  end
end

-- Plan the next attempt, unless the rules forbid it. False when there will be none and nobody has been told yet. What
-- the script does in here may take its time, and meanwhile it may close the WebSocket.
function State:retry(ws, message, code)
  local rule = self.reconnect
  if not rule or self.closed_by_hand or is_ending or (rule.retries and self.attempts >= rule.retries) then
    return false
  end
  self.attempts = self.attempts + 1
  local delay = self:call(ws, delay_before, rule, self.attempts)
  if type(delay) ~= "number" or delay ~= delay then
    return false
  end
  delay = math.min(math.max(delay, 0), DELAY_MAX)
  local due = core.now() + delay
  if self.handlers.reconnecting and not self.closed_by_hand then
    self:call(ws, self.handlers.reconnecting, ws, self.attempts, delay, message, code)
  end
  if self.closed_by_hand then
    self:finish(ws, nil, "closed before the connection was open", "cancelled")
    return true
  end
  self.timer = time.after(math.max(due - core.now(), 0), function()
    self.timer = nil
    if is_ending then
      self:finish(ws, nil, message, code)
    else
      core.connect(self.target, self.route, ws)
    end
  end)
  return true
end

-- ---- heartbeat ----

function State:start_heartbeat(ws)
  local rule = self.heartbeat
  if not rule then
    return
  end
  self.last_received, self.last_message, self.asked = core.now(), core.now(), nil
  local period = math.max(math.min(rule.interval, rule.timeout) / 4, 0.001)
  local looked = core.now()
  local timer
  timer = time.every(period, function()
    local now = core.now()
    if self.is_busy then
      -- What the server sends waits until our own handler returns: nothing can be said about it.
      self.last_received = now
    end
    if self.asked and self.last_received < self.asked then
      if now - looked > period + rule.timeout / 2 then
        self.asked = now -- it was us who slept: nothing left or was read meanwhile
      elseif now - self.asked >= rule.timeout then
        self.gave_up = true
        terminate(ws)
      end
    elseif now - math.max(self.last_message, self.asked or 0) >= rule.interval then
      self.asked = now
      local message = rule.message
      if type(message) == "function" then
        message = message()
      end
      -- The function may have waited, and this be another connection by now.
      if self.heartbeat_timer == timer then
        ws:send(message)
      end
    end
    looked = now
  end)
  self.heartbeat_timer = timer
end

function State:stop_heartbeat()
  if self.heartbeat_timer then
    self.heartbeat_timer:cancel()
    self.heartbeat_timer = nil
  end
end

-- ---- messages in a loop ----

function State:wake_reader(...)
  local reader = self.reader
  if reader then
    self.reader = nil
    core.resume(reader, ...)
    return true
  end
end

-- Keep a message until the loop asks for it. While the inbox is full this handler waits, and so does the server.
function State:keep(data, kind)
  if self:wake_reader(data, kind) then
    return
  end
  local inbox = self.inbox
  inbox.last = inbox.last + 1
  inbox[inbox.last] = { data, kind }
  if inbox.last - inbox.first + 1 >= INBOX_MAX and self.is_read then
    self.writer = coroutine.running()
    coroutine.yield()
  elseif inbox.last - inbox.first + 1 > INBOX_MAX then
    inbox[inbox.first] = nil
    inbox.first = inbox.first + 1
    if not self.has_warned then
      self.has_warned = true
      core.log("warning", self.address .. ": the oldest messages are dropped, because nobody reads them "
        .. "(there is no `message` handler and no loop over ws:messages())")
    end
  end
end

-- Let the handler go on that waits for room in the inbox.
function State:wake_writer()
  local writer = self.writer
  if writer then
    self.writer = nil
    core.resume(writer)
  end
end

function State:take()
  local inbox = self.inbox
  local message = inbox[inbox.first]
  if message then
    inbox[inbox.first] = nil
    inbox.first = inbox.first + 1
    self:wake_writer()
    return message[1], message[2]
  elseif self.ended then
    return nil
  elseif self.reader then
    error("messages: another task waits for the next message already", 3)
  end
  self.reader = coroutine.running()
  return coroutine.yield()
end

---Read the messages of a client in a loop: `for data, kind in ws:messages() do … end`. Waits for each; ends when the
---connection is closed and will not be opened again.
function core.websocket_methods.messages(ws)
  local state = states[ws]
  if not state then
    error("messages: only for WebSockets from moonwire.connect; a server has the `message` handler", 2)
  elseif state.handlers.message then
    error("messages: this WebSocket has a `message` handler, which gets them all", 2)
  end
  state.is_read = true
  return function()
    return state:take()
  end
end

-- ---- events ----

-- The end of everything: tell whoever waits.
function State:finish(ws, ...)
  self.ended = true
  self:wake_reader(nil)
  local opener = self.opener
  if opener then
    self.opener = nil
    core.resume(opener, ...)
  elseif select("#", ...) > 0 and self.handlers.error then
    self.handlers.error(ws, select(2, ...))
  end
end

local function handlers_of(state)
  local script = state.handlers
  return {
    open = function(ws)
      state.attempts, state.gave_up = 0, nil
      state:start_heartbeat(ws)
      if script.open then
        state.is_busy = true
        script.open(ws)
      end
      state.is_busy = false
      local opener = state.opener
      if opener then
        state.opener = nil
        core.resume(opener, ws)
      end
    end,
    message = function(ws, data, kind)
      state.last_received = core.now()
      state.last_message = state.last_received
      state.is_busy = true
      if script.message then
        script.message(ws, data, kind)
      else
        state:keep(data, kind)
      end
      state.is_busy = false
    end,
    pong = function(ws, data)
      state.last_received = core.now()
      if script.pong then
        script.pong(ws, data)
      end
    end,
    drain = script.drain,
    close = function(ws, code, reason)
      state:stop_heartbeat()
      if state.gave_up then
        reason = "no answer to the heartbeat in time"
      end
      if script.close then
        state:call(ws, script.close, ws, code, reason)
      end
      if state:retry(ws, reason, "closed") then
        return
      elseif state.opener then
        -- The `open` handler failed: `connect` still waits.
        state:finish(ws, nil, reason, "closed")
      else
        state:finish(ws)
      end
    end,
    failed = function(ws, message, code)
      if not state:retry(ws, message, code) then
        state:finish(ws, nil, message, code)
      end
    end,
    error = function(ws, traceback)
      if script.error then
        script.error(ws, traceback, "handler")
      end
    end,
  }
end

-- What is wrong with an argument is told at the script's line, as if there were no function in between.
local function pass_on(name, ok, ...)
  if ok then
    return ...
  end
  error(tostring(...):gsub("#([23]) to '%?'", function(position)
    return ("#%d to '%s'"):format(position - 1, name)
  end), 2)
end

-- The script's own `close` also ends the waiting between two attempts, and for room in the inbox.
local function closing(name)
  local method = core.websocket_methods[name]
  core.websocket_methods[name] = function(ws, ...)
    local state = states[ws]
    if not state then
      return pass_on(name, pcall(method, ws, ...))
    end
    local before = state.closed_by_hand
    state.closed_by_hand = true
    local results = table.pack(pcall(method, ws, ...))
    if not results[1] then
      state.closed_by_hand = before
    elseif state.timer then
      state.timer:cancel()
      state.timer = nil
      state:finish(ws, nil, "closed before the connection was open", "cancelled")
      return true
    end
    state:wake_writer()
    return pass_on(name, table.unpack(results, 1, results.n))
  end
end
closing "close"
closing "terminate"

-- ---- the call ----

local function with_defaults(rule, defaults)
  if not rule then
    return nil
  end
  local full = {}
  for name, value in pairs(defaults) do
    full[name] = value
  end
  for name, value in pairs(rule == true and {} or rule) do
    full[name] = value
  end
  return full
end

-- Header lines for the request.
local function header_lines(given, target)
  local set = headers_module.copy(given, 4)
  for _, name in ipairs(OURS) do
    if set[name] ~= nil then
      error(("connect: header '%s' is chosen by moonwire"):format(name), 4)
    end
  end
  if target.user and set["Authorization"] == nil then
    set["Authorization"] = url.basic_auth(target)
  end
  local lines = {}
  headers_module.append_lines(set, lines)
  lines[#lines + 1] = ""
  return table.concat(lines, "\r\n")
end

local function core_target(settings, target)
  local proxy = settings.proxy and url.parse(settings.proxy)
  local tls = settings.tls or {}
  return {
    host = target.host,
    port = target.port,
    path = settings.path,
    proxy_host = proxy and proxy.host,
    proxy_port = proxy and proxy.port,
    tls = target.secure and { ca = tls.ca, verify = tls.verify ~= false, server_name = tls.server_name },
    timeout = settings.timeout == false and 0 or settings.timeout or DEFAULT_TIMEOUT,
    host_header = target.authority,
    target = target.target,
    protocols = settings.protocols and table.concat(settings.protocols, ", "),
    headers = header_lines(settings.headers, target),
  }
end

local function core_behaviour(settings, handlers, address)
  local behaviour = { name = address:sub(1, 60) }
  for name in pairs(ws_module.SETTINGS) do
    behaviour[name] = settings[name]
  end
  for name, handler in pairs(handlers) do
    behaviour[name] = handler
  end
  return behaviour
end

---Open a WebSocket to a server. See the reference for all options.
---@param address string ws:// or wss://
---@param connect_options? moonwire.ConnectOptions
---@return moonwire.WebSocket? ws
---@return string? message
---@return string? code
function M.connect(address, connect_options)
  options.argument(options.string, address, 1, "connect")
  local settings = options.check("connect", CONNECT_OPTIONS, connect_options)
  ws_module.normalise("connect", settings, 2)
  local target, message = url.parse(address)
  if not target or (target.scheme ~= "ws" and target.scheme ~= "wss") then
    error(("connect: %s: %s"):format(message or "the scheme must be ws or wss", address), 2)
  end
  if settings.heartbeat and not settings.heartbeat.message then
    error("connect: option 'heartbeat.message' is missing (pings are sent anyway, see 'ping_interval')", 2)
  end
  local state = setmetatable({
    address = address,
    handlers = settings,
    reconnect = with_defaults(settings.reconnect, RECONNECT),
    heartbeat = with_defaults(settings.heartbeat, HEARTBEAT),
    attempts = 0,
    inbox = { first = 1, last = 0 },
  }, State)
  state.target = core_target(settings, target)
  state.route = core.route(core_behaviour(settings, handlers_of(state), address))
  local ws = core.connect(state.target, state.route)
  states[ws] = state
  ws.data = settings.data
  if settings.wait == false or not coroutine.isyieldable() then
    return ws
  end
  state.opener = coroutine.running()
  return coroutine.yield()
end

return M
