-- drain_spec.lua - the end of a process that serves: in what order and how fast clients are sent away, what is waited for
-- and what is not, and what on_stop may do. (signals_spec.lua: what each kind of connection sees.)
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local visitor = require "spec.support.visitor"

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

-- Starts a script that serves; returns it and its port.
local function start(script, program_options, ...)
  local child = program.start(script, { ... }, program_options)
  return child, child:expect("listening").port
end

local function has_line(child, pattern)
  async.wait_until(function()
    return child.stderr:find(pattern)
  end, child:report("no line " .. pattern))
end

-- Opens WebSockets that answer Close frames; returns a list that grows by the code of each good-bye.
local function crowd(port, count)
  local codes = {}
  local inbox = async.mailbox()
  for _ = 1, count do
    moonwire.connect(("ws://127.0.0.1:%d/"):format(port), {
      wait = false,
      open = inbox:putter "open",
      close = function(_, code)
        codes[#codes + 1] = code
        async.wake()
      end,
    })
  end
  for _ = 1, count do
    inbox:take "open"
  end
  return codes
end

local function wait_for(list, count)
  async.wait_until(function()
    return #list >= count
  end, ("%d good-byes"):format(count))
end

-- How long the log says that the end took.
local function seconds_taken(child)
  return assert(tonumber(child.stderr:match "everything is closed, (%S+) s later"), child.stderr)
end

local ECHO = [[
  serve(moonwire.app():ws("/", {}):get("/", function(_, res) res:send "x" end), { max_per_address = 0 })
]]

describe("good-byes", function()
  it("are spread, and told in the log", function()
    local child, port = start(ECHO)
    local codes = crowd(port, 41)
    child:kill "sigterm"
    wait_for(codes, 41)
    local stderr = program.wait(child).stderr
    assert.truthy(stderr:find("SIGTERM: closing 41 connections within 30 s", 1, true), stderr)
    assert.is_true(seconds_taken(child) >= 0.4) -- 40 times 10 ms
    for _, code in ipairs(codes) do
      assert.equal(1001, code)
    end
  end)

  it("take half of the time at most", function()
    local child, port = start(ECHO, { "--drain=2" })
    local codes = crowd(port, 200)
    child:kill "sigterm"
    program.expect_clean_end(child)
    wait_for(codes, 200)
    for _, code in ipairs(codes) do
      assert.equal(1001, code)
    end
    local seconds = seconds_taken(child) -- 10 ms for each would be 2 s, and too late for some
    assert.is_true(seconds >= 1 and seconds < 2, child.stderr)
  end)

  it("are said at once with --drain 0, and nobody is waited for", function()
    local child, port = start([[
      serve(moonwire.app():ws("/", {}):get("/", function() tell "asked" next_order() end))
    ]], { "--drain", "0" })
    local ws, slow = visitor.connect(port), visitor.connect(port)
    ws:upgrade()
    slow:request "/"
    child:expect "asked"
    child:kill "sigterm"
    assert.equal(1001, (ws:expect_close()))
    assert.equal("", slow:expect_end())
    assert.equal("", program.expect_clean_end(child))
    has_line(child, "SIGTERM: 0 s are over, cut off: 2 connections")
  end)

  it("go to those who came before those that the process went to", function()
    local inbox = async.mailbox()
    local behind = moonwire.app():ws("/", {
      close = function()
        inbox:put "behind"
      end,
    })
    local listener = assert(behind:listen { host = "127.0.0.1", port = 0 })
    local child, port = start([[
      local url = "ws://127.0.0.1:" .. arg[1] .. "/"
      serve(moonwire.app():ws("/", { open = function(ws) ws.data.behind = moonwire.connect(url, {}) ws:send "ready" end }),
        { max_per_address = 0 })
    ]], nil, tostring(listener:address().port))
    for _ = 1, 60 do
      moonwire.connect(("ws://127.0.0.1:%d/"):format(port), {
        wait = false,
        message = inbox:putter "ready",
        close = function()
          inbox:put "before"
        end,
      })
    end
    for _ = 1, 60 do
      inbox:take "ready"
    end
    child:kill "sigterm"
    assert.equal("", program.expect_clean_end(child))
    -- The last of one kind leave together with the first of the other, on a busy machine more of them.
    for _ = 1, 30 do
      assert.equal("before", (inbox:take()))
    end
    behind:close()
  end)

  it("end event streams one after the other", function()
    local child, port = start [[
      serve(moonwire.app():get("/", function(_, res) res:write "data: 1\n\n" res:defer() end))
    ]]
    local ended = {}
    for _ = 1, 21 do
      local stream = visitor.connect(port)
      stream:request "/"
      stream:expect "data: 1\n\n"
      moonwire.spawn(function()
        stream:expect_end()
        stream:close() -- or the server lingers
        ended[#ended + 1] = stream
        async.wake()
      end)
    end
    child:kill "sigterm"
    wait_for(ended, 21)
    assert.equal("", program.expect_clean_end(child))
    assert.is_true(seconds_taken(child) >= 0.2) -- 20 times 10 ms
  end)

  it("are not spoken of where nobody is", function()
    local child = start(ECHO)
    child:kill "sigterm"
    program.expect_clean_end(child)
    assert.equal("", child.stderr)
  end)
end)

describe("the end does not wait for", function()
  it("a request to another server that nobody asked for", function()
    local asked = async.mailbox()
    local app = moonwire.app():get("/", function(_, res)
      asked:put "asked"
      asked:take "never"
      res:send ""
    end)
    local port = assert(app:listen { host = "127.0.0.1", port = 0 }):address().port
    local child = program.start([[
      moonwire.spawn(function() moonwire.fetch("http://127.0.0.1:" .. arg[1] .. "/") end)
      serve(moonwire.app())
    ]], { tostring(port) }, { "--drain=1000" })
    asked:take "asked"
    child:kill "sigterm"
    assert.equal("", program.expect_clean_end(child))
    asked:put "never"
    app:close()
  end)

  it("a request that takes longer than the time", function()
    local child, port = start([[
      serve(moonwire.app():get("/", function(_, res) tell "asked" next_order() end))
    ]], { "--drain=0.2" })
    local slow = visitor.connect(port)
    slow:request "/"
    child:expect "asked"
    child:kill "sigint"
    assert.equal("", slow:expect_end())
    assert.equal("", program.expect_clean_end(child))
    has_line(child, "warning: SIGINT: 0%.2 s are over, cut off: 1 connection\n")
  end)
end)

describe("on_stop", function()
  it("is called at the signal, before the good-byes, and waited for", function()
    local child, port = start [[
      local app = moonwire.app():ws("/", {
        open = function(ws) ws:subscribe "news" end,
        close = function() tell "closed" end,
      })
      serve(app)
      moonwire.on_stop(function()
        app:publish("news", "good-bye")
        tell "first"
        moonwire.sleep(0.01)
        tell "first goes on"
        next_order()
        tell "first is done"
      end)
      moonwire.on_stop(function() tell "second" end)
    ]]
    local ws = visitor.connect(port)
    ws:upgrade()
    child:kill "sigterm"
    assert.equal("good-bye", (ws:message()))
    assert.equal(1001, (ws:expect_close()))
    ws:send_close(1001)
    ws:expect_end()
    child:expect "closed"
    child:expect "first goes on"
    assert.equal(0, child:count "exit")
    has_line(child, "SIGTERM: closing 1 connection and 1 on_stop handler within 30 s")
    child.stdin:write "go\n"
    assert.equal("", program.expect_clean_end(child))
    local order = {}
    for _, event in ipairs(child.events) do
      order[#order + 1] = event.event
    end
    assert.same({ "first", "second", "first is done" }, order)
  end)

  it("may close the app itself, and see the end of it", function()
    local child, port = start [[
      local app = moonwire.app():ws("/", {})
      serve(app)
      moonwire.on_stop(function()
        assert(app:close { code = 4000, reason = "mine" })
        tell("alone", { count = app:count() })
      end)
    ]]
    local ws = visitor.connect(port)
    ws:upgrade()
    child:kill "sigterm"
    assert.same({ 4000, "mine" }, { ws:expect_close() })
    ws:send_close(4000)
    ws:expect_end()
    assert.equal(0, child:expect("alone").count)
    assert.equal("", program.expect_clean_end(child))
  end)

  it("may ask another server", function()
    local app = moonwire.app():get("/", function(_, res)
      moonwire.sleep(0.01)
      res:send "noted"
    end)
    local listener = assert(app:listen { host = "127.0.0.1", port = 0 })
    local child = program.start([[
      moonwire.on_stop(function() tell("told", moonwire.fetch("http://127.0.0.1:" .. arg[1] .. "/")) end)
      serve(moonwire.app())
    ]], { tostring(listener:address().port) })
    child:expect "listening"
    child:kill "sigterm"
    assert.equal("noted", child:expect("told").body)
    assert.equal("", program.expect_clean_end(child))
    app:close()
  end)

  it("has no longer than the time", function()
    local child = program.start([[
      moonwire.on_stop(function() tell "stopping" moonwire.sleep(1000) end)
      serve(moonwire.app())
      tell "ready"
    ]], {}, { "--drain=0.1" })
    child:expect "ready"
    child:kill "sigterm"
    child:expect "stopping"
    assert.equal("", program.expect_clean_end(child))
    has_line(child, "SIGTERM: 0%.1 s are over, cut off: 1 on_stop handler\n")
  end)

  it("is called once when nothing is left to do, and waited for", function()
    local child = program.start [[
      moonwire.on_stop(function() tell "stop" moonwire.sleep(0.01) tell "done" end)
      moonwire.after(0.01, function() tell "last" end)
    ]]
    assert.equal("", program.expect_clean_end(child))
    local order = {}
    for i, event in ipairs(child.events) do
      order[i] = event.event
    end
    assert.same({ "last", "stop", "done" }, order)
  end)

  it("that fails is told, and makes the exit code 1", function()
    local child = program.start [[
      moonwire.on_stop(function() error "oops" end)
      moonwire.on_stop(function() tell "next" end)
    ]]
    local stderr = program.expect_clean_end(child, 1)
    assert.truthy(stderr:find("on_stop: .-oops\n  stack traceback"))
    assert.equal(1, child:count "next")
  end)

  it("is not called after an error in the main chunk", function()
    local child = program.start [[
      moonwire.on_stop(function() tell "stop" end)
      error "oops"
    ]]
    program.expect_clean_end(child, 1)
    assert.equal(0, child:count "stop")
  end)

  it("takes a function", function()
    local ok, message = pcall(moonwire.on_stop, 1)
    assert.is_false(ok)
    assert.truthy(message:find("bad argument #1 to 'on_stop' (must be a function", 1, true))
  end)
end)
