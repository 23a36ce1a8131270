-- time.lua - waiting and doing things later.
-- Owns the timers of the clock that it started, each stopped as soon as it is done with. Every function of a script runs in
-- a task, so it may wait itself; nothing blocks.
-- SPDX-License-Identifier: MIT

local clock = require "moonwire.clock"
local core = require "moonwire.core"
local options = require "moonwire.options"

local M = {}

local YEAR = 31536000
local DURATION = options.seconds(0, YEAR)
local PERIOD = options.seconds(0.001, YEAR)

---Wait. Everything else goes on meanwhile.
---@param seconds number 0 lets everybody else have a turn
function M.sleep(seconds)
  options.argument(DURATION, seconds, 1, "sleep")
  if not coroutine.isyieldable() then
    error("sleep: can only wait inside a handler or a task (moonwire.spawn)", 2)
  end
  local task = coroutine.running()
  local stop = clock.start(seconds, false, function()
    core.resume(task)
  end)
  coroutine.yield()
  stop()
end

---Start a function in a task of its own. It runs at once, until it first waits; an error in it is logged.
---@param fn fun(...)
function M.spawn(fn, ...)
  options.argument(options.func, fn, 1, "spawn")
  core.task(fn, ...)
end

---@class moonwire.Timer
local Timer = {}
Timer.__index = Timer
Timer.__name = "moonwire.Timer"

---Don't call the function any more. Calling it twice, or late, is fine.
---@return boolean pending whether it would have been called (again)
function Timer:cancel()
  local stop = self.stop
  self.stop = nil
  if stop then
    stop()
  end
  return stop ~= nil
end

---Call a function once, later.
---@param seconds number
---@param fn fun()
---@return moonwire.Timer
function M.after(seconds, fn)
  options.argument(DURATION, seconds, 1, "after")
  options.argument(options.func, fn, 2, "after")
  local timer = setmetatable({}, Timer)
  timer.stop = clock.start(seconds, false, function()
    timer:cancel()
    core.timer(fn)
  end)
  return timer
end

local Busy = {}

-- Runs whether the tick ends well, ends in an error, or is thrown away while it waits.
function Busy.__close(busy)
  busy.timer.busy = false
end

-- An error is the task's to tell; the next tick comes all the same.
local function tick(timer, fn)
  timer.busy = true
  local _ <close> = setmetatable({ timer = timer }, Busy)
  fn()
end

---Call a function again and again. It never overlaps itself: while it still waits, ticks are left out.
---@param seconds number at least 0.001
---@param fn fun()
---@return moonwire.Timer
function M.every(seconds, fn)
  options.argument(PERIOD, seconds, 1, "every")
  options.argument(options.func, fn, 2, "every")
  local timer = setmetatable({ busy = false }, Timer)
  timer.stop = clock.start(seconds, true, function()
    if not timer.busy then
      core.timer(tick, timer, fn)
    end
  end)
  return timer
end

return M
