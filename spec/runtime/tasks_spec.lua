-- tasks_spec.lua - spawn, sleep, after and every on the real loop. (What they do with wrong arguments: time_spec.lua.)
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"

local inbox
before_each(function()
  inbox = async.mailbox()
end)

describe("tasks and timers", function()
  it("spawn runs at once until it waits, with its arguments", function()
    local order = {}
    moonwire.spawn(function(...)
      table.insert(order, table.concat({ ... }, " "))
      moonwire.sleep(0)
      table.insert(order, "later")
      inbox:put "done"
    end, "a", "b")
    table.insert(order, "next")
    inbox:take "done"
    assert.same({ "a b", "next", "later" }, order)
  end)

  it("after fires once, in the order of its times; cancelled ones never", function()
    local timers = {}
    for _, seconds in ipairs { 0.03, 0, 0.015 } do
      moonwire.after(seconds, function()
        inbox:put(seconds)
      end)
      table.insert(timers, moonwire.after(seconds, inbox:putter "cancelled"))
    end
    for _, timer in ipairs(timers) do
      assert.is_true(timer:cancel())
      assert.is_false(timer:cancel())
    end
    for _, seconds in ipairs { 0, 0.015, 0.03 } do
      assert.equal(seconds, (inbox:take()))
    end
    assert.equal(0, inbox:count())
  end)

  it("every never overlaps itself, goes on after an error's turn, and ends when it is cancelled", function()
    local running, count, timer = 0, 0, nil
    timer = moonwire.every(0.001, function()
      running, count = running + 1, count + 1
      assert.equal(1, running)
      moonwire.sleep(0.005)
      running = running - 1
      if count == 5 then
        timer:cancel()
        inbox:put "done"
      end
    end)
    inbox:take "done"
    async.quiet(0.02)
    assert.equal(5, count)
  end)

  it("a thousand tasks wait side by side", function()
    local done = 0
    for i = 1, 1000 do
      moonwire.spawn(function()
        moonwire.sleep(i % 10 / 1000)
        done = done + 1
      end)
    end
    async.wait_until(function()
      return done == 1000
    end)
  end)
end)
