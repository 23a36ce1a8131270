-- talkers.lua - well-behaved clients of an echo route that talk without a pause while others misbehave: each sends its next
-- message when the one before has come back. What does not come back as it was sent, or in another order, is a problem.
-- Owns its connections until `stop`.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local M = {}

---@class spec.Talkers
---@field rounds integer[] of each talker, how many messages came back
---@field problem? string
local Talkers = {}
Talkers.__index = Talkers

local function say(self, i)
  self.expected[i] = ("%d: %d"):format(i, self.rounds[i] + 1)
  self.sockets[i]:write(visitor.frame(visitor.TEXT, self.expected[i]))
end

-- Take what came apart; messages are shorter than 126 bytes.
local function hear(self, i, bytes)
  local rest = (self.rest[i] or "") .. bytes
  local head_end = not self.is_open[i] and select(2, rest:find("\r\n\r\n", 1, true))
  if head_end then
    self.is_open[i], rest = rest:find "^HTTP/1.1 101" ~= nil, rest:sub(head_end + 1)
    if self.is_open[i] then
      say(self, i)
    else
      self.problem = "no WebSocket"
    end
  end
  while self.is_open[i] and #rest >= 2 and #rest >= 2 + rest:byte(2) do
    local length = rest:byte(2)
    local payload = rest:sub(3, 2 + length)
    if rest:byte(1) == 0x89 then
      self.sockets[i]:write(visitor.frame(visitor.PONG, payload))
    elseif rest:byte(1) ~= 0x81 or payload ~= self.expected[i] then
      self.problem = ("%q came instead of %q"):format(rest:sub(1, 2 + length), self.expected[i])
      return
    else
      self.rounds[i] = self.rounds[i] + 1
      say(self, i)
      if self.rounds[i] >= self.wanted then
        async.wake()
      end
    end
    rest = rest:sub(3 + length)
  end
  self.rest[i] = rest
end

---Connect so many; waits until each has had its first message back.
---@param port integer
---@param target string
---@param count integer
---@return spec.Talkers
function M.start(port, target, count)
  local self = setmetatable({ sockets = {}, rounds = {}, expected = {}, rest = {}, is_open = {}, wanted = 1 }, Talkers)
  for i = 1, count do
    local socket = uv.new_tcp()
    self.sockets[i], self.rounds[i] = socket, 0
    socket:connect("127.0.0.1", port, function(problem)
      if problem then
        self.problem = problem
        return
      end
      socket:write(visitor.opening(target))
      socket:read_start(function(failure, bytes)
        if bytes then
          hear(self, i, bytes)
        else
          self.problem = self.problem or failure or ("talker %d was cut off"):format(i)
        end
      end)
    end)
  end
  self:go_on(1)
  return self
end

---Wait until each has had so many more messages back; fails when one had to wait much longer than another.
---@param count integer
function Talkers:go_on(count)
  local before = table.move(self.rounds, 1, #self.rounds, 1, {})
  self.wanted = 0
  async.wait_until(function()
    for i, rounds in ipairs(self.rounds) do
      if rounds < before[i] + count then
        return self.problem
      end
    end
    return true
  end, ("%d messages of each of those who behave"):format(count))
  self:check()
  local least, most = math.huge, 0
  for i, rounds in ipairs(self.rounds) do
    least, most = math.min(least, rounds - before[i]), math.max(most, rounds - before[i])
  end
  if count > 1 and most > 4 * least then
    error(("one had %d messages back while another had %d"):format(most, least), 2)
  end
end

---Fails if anything was lost, changed or cut off so far.
function Talkers:check()
  if self.problem then
    error("of those who behave: " .. self.problem, 2)
  end
end

function Talkers:stop()
  for _, socket in ipairs(self.sockets) do
    socket:close()
  end
end

return M
