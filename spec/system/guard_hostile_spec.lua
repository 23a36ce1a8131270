-- guard_hostile_spec.lua - where the guard of handlers is easily missed: what a failed handler still closes, how its error is
-- shown, hooks that a script sets itself, coroutines that come out of one handler into the next, and a process that was
-- stopped. In processes of their own, with short limits.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local uv = require "luv"

local SLOW = program.is_sanitized and 3 or 1
local LIMIT = tostring(0.1 * SLOW)
-- Seconds: how long a process stands still, and until the guard has surely looked at a handler.
local STOPPED, LOOKED_AT = 2, 0.4
local OPTIONS = { "--handler-warning", "0", "--handler-limit", LIMIT }

after_each(peer.stop_all)

-- Every loop must have ended by being interrupted; then the script says so.
local function expect_interruptions(body, options)
  local child = program.start(body, {}, options or OPTIONS)
  child:expect "over"
  return program.expect_clean_end(child, 1)
end

local LOOP = "local function loop() while true do end end "

describe("a handler that never ends", function()
  local CASES = {
    ["in what it closes when it fails"] = [[
      local _ <close> = setmetatable({}, { __close = loop })
      error "on purpose"
    ]],
    ["in what a coroutine closes when it fails"] = [[
      coroutine.wrap(function()
        local _ <close> = setmetatable({}, { __close = loop })
        error "on purpose"
      end)()
    ]],
    ["in the words of its error"] = [[
      error(setmetatable({}, { __tostring = loop }))
    ]],
    ["in a coroutine that a waiter resumes"] = [[
      coroutine.wrap(function() moonwire.sleep(0.001) loop() end)()
    ]],
    ["under a hook of its own"] = [[
      while true do debug.sethook(function() end, "crl", 3) end
    ]],
    ["in the code it loads"] = [[
      assert(load(function() loop() end))
    ]],
    ["in tail calls"] = [[
      local function again() return again() end
      again()
    ]],
    ["in a stack that overflows"] = [[
      local function deep() pcall(deep) while true do end end
      deep()
    ]],
  }
  for name, body in pairs(CASES) do
    it("is interrupted " .. name, function()
      -- Each in its own task, started by the loop and not by another script.
      expect_interruptions(([[%s
        moonwire.after(0, function() %s end)
        moonwire.after(0.01, function() tell "over" end)
      ]]):format(LOOP, body))
    end)
  end

  it("cannot hide behind a hook that failed in an earlier handler", function()
    expect_interruptions(LOOP .. [[
      moonwire.after(0, function()
        debug.sethook(function() debug.sethook() error "in the hook" end, "l")
        local _ = 1
      end)
      moonwire.after(0.001, function() loop() end)
      moonwire.after(0.002, function() tell "over" end)
    ]])
  end)

  it("is not blamed for a hook that the handler before it has left", function()
    local child = program.start(
      [[
      local calls = 0
      moonwire.after(0, function()
        debug.sethook(function() calls = calls + 1 end, "l")
        error "on purpose"
      end)
      moonwire.after(0.001, function()
        local before = calls
        local _ = 1
        local _ = 2
        tell("over", { calls = calls - before })
      end)
    ]],
      {},
      OPTIONS
    )
    assert.equal(0, child:expect("over").calls)
    program.expect_clean_end(child, 1)
  end)
end)

describe("a process that was stopped", function()
  local function wait(seconds)
    local timer = uv.new_timer()
    local is_over = false
    timer:start(seconds * 1000, 0, function()
      is_over = true
      timer:close()
      async.wake()
    end)
    async.wait_until(function()
      return is_over
    end, "a timer")
  end

  it("blames no handler for that time", function()
    local child = program.start(
      [[
      moonwire.after(0, function()
        tell "busy"
        io.read "a"
        tell "over"
      end)
    ]],
      {},
      { "--handler-warning", "0", "--handler-limit", tostring(STOPPED) }
    )
    child:expect "busy"
    wait(LOOKED_AT)
    child:kill "sigstop"
    wait(STOPPED + LOOKED_AT)
    child:kill "sigcont"
    child.stdin:shutdown()
    child:expect "over"
    program.expect_clean_end(child)
  end)
end)

describe("a handler that has eaten all memory", function()
  -- Handles are made in several steps; without memory for one of them nothing half-made may be left.
  for _, limit in ipairs { "2400K", "2500K", "2600K" } do
    it("may still make handles of luv's, with " .. limit, function()
      local child = program.start(
        [[
        moonwire.after(0, function()
          local handles, kept = {}, {}
          for i = 1, 2000 do handles[i] = false end
          pcall(function() while true do kept[#kept + 1] = ("x"):rep(50) .. #kept end end)
          -- Room for small things, and none for a larger list of them.
          for _ = 1, 3000 do kept[#kept] = nil end
          collectgarbage()
          for i = 1, #handles do
            local ok, timer = pcall(uv.new_timer)
            handles[i] = ok and timer
          end
          for i, timer in ipairs(handles) do
            if timer then timer:close() end
            handles[i] = false
          end
          kept = nil
          collectgarbage()
        end)
        moonwire.after(0.01, function() collectgarbage() tell "over" end)
      ]],
        {},
        { "--memory-limit", limit }
      )
      child:expect "over"
      program.expect_clean_end(child)
    end)
  end

  it("hears when there is no memory for a task", function()
    local child = program.start(
      [[
      moonwire.after(0, function()
        local count = 0
        tell("failed", { message = select(2, pcall(function()
          while true do
            moonwire.spawn(function() moonwire.sleep(0.01) end)
            count = count + 1
          end
        end)) })
      end)
    ]],
      {},
      { "--memory-limit", "4M" }
    )
    assert.matches("not enough memory", child:expect("failed").message)
    child:kill "sigterm"
    program.expect_clean_end(child)
  end)
end)
