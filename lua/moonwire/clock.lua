-- clock.lua - the one place where Lua code reads the time, asks to be called later, and leaves something to chance.
-- Owns one luv timer per start, closed as soon as it is done with. All of it can be replaced by another source, so that a
-- test moves the time itself.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local uv = require "luv"

local M = {}

---@class moonwire.clock.Source what time is made of
---@field now fun(): number
---@field start fun(seconds: number, is_repeating: boolean, callback: fun()): fun()
---@field random fun(): number
local real = { now = core.now, random = math.random }

-- luv counts whole milliseconds from the loop's last look at the clock; look again, or the timer comes early.
function real.start(seconds, is_repeating, callback)
  local timer = uv.new_timer()
  local period = math.ceil(seconds * 1000)
  uv.update_time()
  timer:start(period, is_repeating and period or 0, callback)
  return function()
    if not timer:is_closing() then
      timer:close()
    end
  end
end

local source = real

---Seconds since some moment; never goes back.
---@return number
function M.now()
  return source.now()
end

---Call a function later, and again and again if it is repeating.
---@param seconds number
---@param is_repeating boolean
---@param callback fun()
---@return fun() stop must be called when it is done with, also after it came
function M.start(seconds, is_repeating, callback)
  return source.start(seconds, is_repeating, callback)
end

---A number from 0 to 1, at random.
---@return number
function M.random()
  return source.random()
end

---Take the time from somewhere else; without an argument from where it really comes.
---@param other? moonwire.clock.Source
function M.use(other)
  source = other or real
end

return M
