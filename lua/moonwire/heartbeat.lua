-- heartbeat.lua - a sign of life that a client and a server give each other, beside the pings that happen anyway.
-- Either the client beats (with a message or a ping) and waits for an answer, or the server beats and the client may
-- answer. Owns one timer, for whatever is due next; what it does, it does through the functions it is given.
-- SPDX-License-Identifier: MIT

local clock = require "moonwire.clock"
local options = require "moonwire.options"
local time = require "moonwire.time"

local M = {}

local DEFAULTS = { interval = 30, timeout = 10 }

M.OPTIONS = {
  message = options.either("a string or a function", options.text, options.func),
  ping = options.boolean,
  expect = options.either("a string or a function", options.text, options.func),
  answer = options.either("a string or a function", options.text, options.func),
  interval = options.seconds(0.001),
  timeout = options.seconds(0.001),
  always = options.boolean,
}

---What is wrong with a rule whose options are fine one by one.
---@param rule moonwire.HeartbeatOptions
---@return string?
function M.fault(rule)
  local beats = rule.message or rule.ping
  if rule.message and rule.ping then
    return "has 'message' and 'ping'; choose one"
  elseif not beats and not rule.expect then
    return "needs 'message' or 'ping', or 'expect' for a server that beats"
  elseif rule.answer and not rule.expect then
    return "has 'answer', but not in 'expect' what it answers"
  elseif rule.always and not beats then
    return "has 'always', but it is the server that beats"
  end
end

---@class moonwire.heartbeat.Heartbeat
---@field rule moonwire.HeartbeatOptions
---@field peer moonwire.heartbeat.Peer
local Heartbeat = {}
Heartbeat.__index = Heartbeat

---@class moonwire.heartbeat.Peer
---@field send fun(text: string)
---@field ping fun()
---@field call fun(fn: function, ...): any calls a function of the script's; nil when that fails, which is told elsewhere
---@field is_busy fun(): boolean whether messages of the server wait for a handler of ours
---@field lost fun() no sign of life in time

---@param rule moonwire.HeartbeatOptions
---@param peer moonwire.heartbeat.Peer
---@return moonwire.heartbeat.Heartbeat
function M.new(rule, peer)
  local full = {}
  for _, given in ipairs { DEFAULTS, rule } do
    for name, value in pairs(given) do
      full[name] = value
    end
  end
  return setmetatable({ rule = full, peer = peer, beats = full.message ~= nil or full.ping }, Heartbeat)
end

-- Look again in so many seconds, and not before.
local function look_in(self, seconds)
  self:stop()
  self.due = clock.now() + seconds
  local timer
  timer = time.after(seconds, function()
    if self.timer == timer then
      self:look()
    end
  end)
  self.timer = timer
end

---The connection is open.
function Heartbeat:start()
  self.last, self.asked = clock.now(), false
  look_in(self, self.beats and self.rule.interval or self.rule.interval + self.rule.timeout)
end

---The connection is not open any more.
function Heartbeat:stop()
  if self.timer then
    self.timer:cancel()
    self.timer = nil
  end
end

local function beat(self)
  local rule = self.rule
  self.last, self.asked = clock.now(), true
  look_in(self, rule.timeout)
  if rule.ping then
    return self.peer.ping()
  end
  local message, timer = rule.message, self.timer
  if type(message) == "function" then
    message = self.peer.call(message)
  end
  -- The function may have waited, and this be another connection by now.
  if self.timer == timer then
    if type(message) == "string" then
      self.peer.send(message)
    else
      self.asked = false -- nothing to say this time
      look_in(self, rule.interval)
    end
  end
end

-- Something is due: a beat, or the end.
function Heartbeat:look()
  local rule, now = self.rule, clock.now()
  local rest = self.last + (self.beats and rule.interval or rule.interval + rule.timeout) - now
  if not self.asked and rest > 0 then
    return look_in(self, rest)
  elseif self.beats and not self.asked then
    return beat(self)
  end
  -- What waits for our own handler may be the answer; and if we come late ourselves, nothing was read meanwhile.
  if self.peer.is_busy() or now - self.due > rule.timeout / 2 then
    return look_in(self, rule.timeout)
  end
  self.peer.lost()
end

-- The answer is here: on to the next beat.
local function answered(self)
  if self.asked then
    self.asked = false
    look_in(self, math.max(self.last + self.rule.interval - clock.now(), 0))
  end
end

---A message has come.
---@param data string
---@param kind "text"|"binary"
---@return boolean consumed it was a sign of life and nothing else
function Heartbeat:hear(data, kind)
  local rule, expect = self.rule, self.rule.expect
  local is_beat = false
  if type(expect) == "function" then
    is_beat = expect(data, kind) and true or false
  elseif expect then
    is_beat = expect == data
  end
  if self.beats and not rule.always or not self.beats and is_beat then
    self.last = clock.now()
  end
  if is_beat or not expect then
    answered(self)
  end
  if is_beat and rule.answer then
    local answer = rule.answer
    self.peer.send(type(answer) == "function" and answer(data) or answer)
  end
  return is_beat
end

---A pong has come.
function Heartbeat:pong()
  if self.rule.ping or not self.rule.expect then
    answered(self)
  end
end

return M
