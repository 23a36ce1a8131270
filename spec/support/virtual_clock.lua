-- virtual_clock.lua - time that a spec moves: everything in Lua that waits, waits for `advance`; sockets stay real.
-- Owns the timers started while it is in use.
-- SPDX-License-Identifier: MIT

local clock = require "moonwire.clock"

local M = {}

---@class spec.VirtualClock
---@field chance number what chance gives, from 0 to 1
local VirtualClock = {}
VirtualClock.__index = VirtualClock

---Make time stand still, until `release`.
---@return spec.VirtualClock
function M.take()
  local self = setmetatable({ time = 1000, timers = {}, started = 0, chance = 0 }, VirtualClock)
  clock.use {
    now = function()
      return self.time
    end,
    random = function()
      return self.chance
    end,
    start = function(seconds, is_repeating, callback)
      self.started = self.started + 1
      local timer = { due = self.time + seconds, period = is_repeating and seconds, callback = callback, order = self.started }
      self.timers[timer] = true
      return function()
        self.timers[timer] = nil
      end
    end,
  }
  return self
end

-- The timer that is due first, of several the one that was started first.
local function first(self)
  local found
  for timer in pairs(self.timers) do
    if not found or timer.due < found.due or timer.due == found.due and timer.order < found.order then
      found = timer
    end
  end
  return found
end

---Let time pass: whatever becomes due is called at its moment, also what that starts.
---@param seconds number
function VirtualClock:advance(seconds)
  local stop = self.time + seconds
  local timer = first(self)
  while timer and timer.due <= stop + 1e-9 do
    self.time = math.max(self.time, timer.due)
    if timer.period then
      timer.due = timer.due + timer.period
    else
      self.timers[timer] = nil
    end
    timer.callback()
    timer = first(self)
  end
  self.time = stop
end

---How many timers are waiting.
---@return integer
function VirtualClock:count()
  local count = 0
  for _ in pairs(self.timers) do
    count = count + 1
  end
  return count
end

---Back to the time of everybody.
function VirtualClock:release()
  clock.use()
end

return M
