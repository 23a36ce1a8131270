local fake = require "support.fake_core"
local core = fake.install()
local time = require "moonwire.time"
local uv = require "luv"

local function milliseconds()
  return uv.hrtime() / 1e6
end

describe("moonwire.sleep", function()
  it("never comes early, even after the loop's clock went stale", function()
    local waited = fake.run(function()
      local until_then = milliseconds() + 20
      repeat until milliseconds() > until_then
      local before = milliseconds()
      time.sleep(0.02)
      return milliseconds() - before
    end)
    assert.is_true(waited >= 19, "slept " .. waited .. " ms")
  end)

  it("lets others go on", function()
    local order = {}
    fake.run(function()
      time.spawn(function()
        time.sleep(0.02)
        order[#order + 1] = "slow"
      end)
      time.spawn(function(name)
        time.sleep(0)
        order[#order + 1] = name
      end, "quick")
      order[#order + 1] = "first"
    end)
    assert.same({ "first", "quick", "slow" }, order)
  end)

  for _, seconds in ipairs { -1, 1 / 0, 0 / 0, "1", false } do
    it("refuses " .. tostring(seconds), function()
      assert.error_matches(function()
        time.sleep(seconds)
      end, "bad argument #1 to 'sleep'")
    end)
  end

  it("says where it can be used", function()
    local _, text = fake.where_nothing_waits(function()
      return pcall(time.sleep, 0)
    end)
    assert.matches("can only wait inside a handler or a task", text)
  end)
end)

describe("moonwire.after", function()
  it("calls once, in a task", function()
    local calls = 0
    fake.run(function()
      time.after(0.001, function()
        time.sleep(0)
        calls = calls + 1
      end)
    end)
    assert.equal(1, calls)
  end)

  it("can be cancelled, once", function()
    local calls = 0
    local first, second
    fake.run(function()
      local timer = time.after(0.01, function()
        calls = calls + 1
      end)
      first, second = timer:cancel(), timer:cancel()
    end)
    assert.equal(0, calls)
    assert.is_true(first)
    assert.is_false(second)
  end)

  it("says that it was too late", function()
    local timer
    fake.run(function()
      timer = time.after(0, function() end)
    end)
    assert.is_false(timer:cancel())
  end)

  it("checks its arguments", function()
    assert.error_matches(function()
      time.after(1)
    end, "bad argument #2 to 'after' %(must be a function, not a nil%)")
    assert.error_matches(function()
      time.after(-1, print)
    end, "bad argument #1 to 'after'")
  end)
end)

describe("moonwire.every", function()
  it("calls until cancelled", function()
    local calls, timer = 0, nil
    fake.run(function()
      timer = time.every(0.001, function()
        calls = calls + 1
        if calls == 5 then
          timer:cancel()
        end
      end)
    end)
    assert.equal(5, calls)
  end)

  it("never overlaps itself", function()
    local running, most, calls, timer = 0, 0, 0, nil
    fake.run(function()
      timer = time.every(0.002, function()
        running = running + 1
        most = math.max(most, running)
        time.sleep(0.02)
        running = running - 1
        calls = calls + 1
        if calls == 3 then
          timer:cancel()
        end
      end)
    end)
    assert.equal(1, most)
    assert.equal(3, calls)
  end)

  it("goes on after an error, which is logged", function()
    local calls, timer = 0, nil
    core.logged = {}
    fake.run(function()
      timer = time.every(0.001, function()
        calls = calls + 1
        if calls == 3 then
          timer:cancel()
        end
        error "broken tick"
      end)
    end)
    assert.equal(3, calls)
    assert.equal(3, #core.logged)
    assert.matches("time_spec%.lua:%d+: broken tick", core.logged[1])
  end)

  it("refuses a period of nothing", function()
    assert.error_matches(function()
      time.every(0, print)
    end, "bad argument #1 to 'every' %(must be a number of seconds from 0.001")
  end)
end)

describe("moonwire.spawn", function()
  it("logs errors", function()
    core.logged = {}
    time.spawn(error, "lost")
    assert.matches("error: lost", core.logged[1])
  end)

  it("wants a function", function()
    assert.error_matches(function()
      time.spawn "x"
    end, "bad argument #1 to 'spawn'")
  end)
end)

describe("timers", function()
  it("are all closed", function()
    fake.run(function()
      time.sleep(0)
      time.after(0, print):cancel()
      time.after(0, function() end)
      local timer
      timer = time.every(0.001, function()
        timer:cancel()
      end)
    end)
    assert.equal(0, fake.open_timers())
  end)
end)
