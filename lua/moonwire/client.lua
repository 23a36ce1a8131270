-- client.lua - `moonwire.connect`: WebSockets as a client, with the rules that every front end writes anew:
-- reconnecting with growing delays, heartbeats (heartbeat.lua), messages read in a loop (inbox.lua) and kept until the
-- connection is open (outbox.lua).
-- Owns the state of these rules; the connection is core's. One attempt goes on at a time, and none after the script
-- closed the WebSocket.
-- SPDX-License-Identifier: MIT

local clock = require "moonwire.clock"
local core = require "moonwire.core"
local failure = require "moonwire.failure"
local heartbeat = require "moonwire.heartbeat"
local inbox = require "moonwire.inbox"
local options = require "moonwire.options"
local outbox = require "moonwire.outbox"
local target_module = require "moonwire.target"
local time = require "moonwire.time"
local url = require "moonwire.url"
local ws_module = require "moonwire.ws"

local M = {}

local RECONNECT = { retries = 10, delay = 0.5, max_delay = 30, factor = 2, jitter = 0.5 }
-- Seconds; what a `delay` function may ask for at most.
local DELAY_MAX = 2000000
-- Values of ready_state.
local CONNECTING, OPEN, CLOSING = 0, 1, 2
local CLOSED_BY_HAND = "closed before the connection was open"
local NO_ADDRESS = "there is no address to connect to"

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
  heartbeat = options.either("false or a table", options.off, options.group(heartbeat.OPTIONS)),
  queue = options.either("true, false or a table", options.boolean, options.group(outbox.OPTIONS)),
  data = function() end,
  open = options.func,
  message = options.func,
  drain = options.func,
  dropped = options.func,
  pong = options.func,
  close = options.func,
  error = options.func,
  reconnecting = options.func,
}
for name, check in pairs(ws_module.SETTINGS) do
  CONNECT_OPTIONS[name] = check
end

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
  return delay * (1 - rule.jitter * clock.random())
end

-- Call a function of the script's in the middle of a rule, which has to go on whatever happens in there: a failure is
-- logged and told, as C does it for handlers. Returns what the function returned.
function State:call(ws, event, fn, ...)
  local ok, result = xpcall(fn, failure.traceback, ...)
  if ok then
    return result
  end
  core.fail(result, "client", self.name, event, ws.id)
  if self.handlers.error then
    core.task(self.handlers.error, ws, result, "handler")
  else
    failure.of_websocket(nil, ws, self.name, event, result)
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
  local delay = self:call(ws, "delay", delay_before, rule, self.attempts)
  if type(delay) ~= "number" or delay ~= delay then
    return false
  end
  delay = math.min(math.max(delay, 0), DELAY_MAX)
  local due = clock.now() + delay
  if self.handlers.reconnecting and not self.closed_by_hand then
    self:call(ws, "reconnecting", self.handlers.reconnecting, ws, self.attempts, delay, message, code)
  end
  if self.closed_by_hand then
    self:finish(ws, nil, CLOSED_BY_HAND, "cancelled")
    return true
  end
  self.timer = time.after(math.max(due - clock.now(), 0), function()
    self.timer = nil
    self:attempt(ws, message, code)
  end)
  return true
end

-- Make the next attempt, with the address that is the right one by now. `message` and `code` are why it is necessary.
function State:attempt(ws, message, code)
  local target = self:call(ws, "address", self.next_target)
  if not target then
    self:finish(ws, nil, NO_ADDRESS, "cancelled")
  elseif is_ending then
    self:finish(ws, nil, message, code)
  elseif self.closed_by_hand then -- while the address was being found out
    self:finish(ws, nil, CLOSED_BY_HAND, "cancelled")
  else
    core.connect(target, self.route, ws)
  end
end

-- ---- messages in a loop ----

---Read the messages of a client in a loop: `for data, kind in ws:messages() do … end`. Waits for each; ends when the
---connection is closed and will not be opened again.
function core.websocket_methods.messages(ws)
  local state = states[ws]
  if not state then
    error("messages: only for WebSockets from moonwire.connect; a server has the `message` handler", 2)
  elseif state.handlers.message then
    error("messages: this WebSocket has a `message` handler, which gets them all", 2)
  end
  state.inbox.is_read = true
  return function()
    return state.inbox:take()
  end
end

-- ---- events ----

-- A message that can't leave now is kept, or refused with the reason. Called by core instead of sending.
function State:unsent(ws, data, kind)
  local is_over = self.closed_by_hand or self.ended or not (self.reconnect or ws.ready_state == CONNECTING)
  if not is_over and self.outbox then
    if self.outbox:put(data, kind) then
      return true, "queued"
    end
    return nil, "the queue for the time until the connection is open is full", "full"
  elseif ws.ready_state == CLOSING then
    return nil, "the connection is closing", "closing"
  elseif is_over then
    return nil, "closed", "closed"
  end
  return nil, "the connection is not open yet", "connecting"
end

-- The end of everything: tell whoever waits, and what never left.
function State:finish(ws, ...)
  self.ended = true
  self.inbox:finish()
  if self.outbox then
    self.outbox:drain(function(data, kind)
      if self.handlers.dropped then
        self:call(ws, "dropped", self.handlers.dropped, ws, data, kind or "text")
      end
      return true
    end)
  end
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
      state.attempts = 0
      if state.heartbeat then
        state.heartbeat:start()
      end
      if script.open then
        state.is_busy = true
        script.open(ws)
      end
      state.is_busy = false
      if state.outbox then
        state.outbox:drain(function(data, kind)
          return ws.ready_state == OPEN and ws:send(data, kind)
        end)
      end
      local opener = state.opener
      if opener then
        state.opener = nil
        core.resume(opener, ws)
      end
    end,
    message = function(ws, data, kind)
      if state.heartbeat and state.heartbeat:hear(data, kind) then
        return
      end
      state.is_busy = true
      if script.message then
        script.message(ws, data, kind)
      else
        state.inbox:put(data, kind)
      end
      state.is_busy = false
    end,
    pong = function(ws, data)
      if state.heartbeat then
        state.heartbeat:pong()
      end
      if script.pong then
        script.pong(ws, data)
      end
    end,
    unsent = function(ws, data, kind)
      return state:unsent(ws, data, kind)
    end,
    drain = script.drain,
    close = function(ws, code, reason)
      if state.heartbeat then
        state.heartbeat:stop()
      end
      state.is_busy = false
      if script.close then
        state:call(ws, "close", script.close, ws, code, reason)
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
    error = function(ws, traceback, event)
      if script.error then
        script.error(ws, traceback, "handler")
      else
        failure.of_websocket(nil, ws, state.name, event, traceback)
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
      state:finish(ws, nil, CLOSED_BY_HAND, "cancelled")
      return true
    end
    state.inbox:release()
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

-- An address for the log, without what may be secret in it: user and query.
local function shown(target)
  return (target.tls and "wss://" or "ws://") .. target.host_header .. target.target:match "^[^?]*"
end

local function core_behaviour(settings, handlers, shown_name)
  local behaviour = { name = shown_name }
  for name in pairs(ws_module.SETTINGS) do
    behaviour[name] = settings[name]
  end
  for name, handler in pairs(handlers) do
    behaviour[name] = handler
  end
  return behaviour
end

-- What can't be right whatever the server does. `level` as for `error`.
local function check(settings, level)
  ws_module.normalise("connect", settings, level + 1)
  local beat_fault = settings.heartbeat and heartbeat.fault(settings.heartbeat)
  if beat_fault then
    error("connect: option 'heartbeat' " .. beat_fault, level + 1)
  end
  local queue = outbox.new(settings.queue or true)
  if queue.max_bytes > (settings.max_backpressure or ws_module.MAX_BACKPRESSURE) then
    error("connect: option 'queue.max_bytes' must not be above 'max_backpressure'", level + 1)
  end
end

-- What the heartbeat does with its connection.
local function peer_of(state, ws)
  return {
    send = function(text)
      ws:send(text)
    end,
    ping = function()
      ws:ping()
    end,
    call = function(fn, ...)
      return state:call(ws, "heartbeat", fn, ...)
    end,
    is_busy = function()
      return state.is_busy
    end,
    lost = function()
      core.close(ws, "heartbeat_timeout", 1006, "no answer to the heartbeat in time")
    end,
  }
end

---Open a WebSocket to a server. See the reference for all options.
---@param address string|fun(): string? ws:// or wss://; a function is asked before each attempt
---@param connect_options? moonwire.ConnectOptions
---@return moonwire.WebSocket? ws
---@return string? message
---@return string? code
function M.connect(address, connect_options)
  options.argument(options.either("a string or a function", options.string, options.func), address, 1, "connect")
  local settings = options.check("connect", CONNECT_OPTIONS, connect_options)
  check(settings, 2)
  local address_of = type(address) == "function" and address or nil
  if address_of then
    address = address_of()
    if address == nil then
      return nil, NO_ADDRESS, "cancelled"
    end
  end
  local target = target_module.of(settings, address, 2)
  local state = setmetatable({
    name = shown(target),
    handlers = settings,
    reconnect = with_defaults(settings.reconnect, RECONNECT),
    attempts = 0,
    inbox = inbox.new(shown(target)),
    outbox = settings.queue and outbox.new(settings.queue),
  }, State)
  function state.next_target()
    if address_of then
      address = address_of()
      target = address ~= nil and target_module.of(settings, address, 0)
    end
    return target
  end
  state.route = core.route(core_behaviour(settings, handlers_of(state), state.name))
  local ws = core.connect(target, state.route)
  state.heartbeat = settings.heartbeat and heartbeat.new(settings.heartbeat, peer_of(state, ws))
  states[ws] = state
  ws.data = settings.data
  if settings.wait == false or not coroutine.isyieldable() then
    return ws
  end
  state.opener = coroutine.running()
  return coroutine.yield()
end

return M
