-- handler_errors_spec.lua - a handler of a WebSocket that fails: it is logged with a traceback, the error handler hears of
-- it, and it costs that connection and no other. In a process of its own, whose log is looked at.
-- SPDX-License-Identifier: MIT

local peer = require "spec.support.peer"
local program = require "spec.support.program"
local visitor = require "spec.support.visitor"

local TEXT = visitor.TEXT

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

local function start(script, ...)
  local child = program.start(script, { ... })
  return child, child:expect("listening").port
end

local function open(port, target)
  local ws = visitor.connect(port)
  ws:upgrade(target)
  return ws
end

-- Nobody else is hurt, and it was told once; returns what was logged.
local function finish(child, good)
  good:send(TEXT, "on")
  assert.equal("on", good:message())
  good:send_close(1000)
  assert.equal(1000, (good:expect_close()))
  good:expect_end()
  child:kill "sigterm"
  return program.expect_clean_end(child)
end

-- Breaks for those who connect to "/?bad" in the event named first; waits before if there is a second word.
local SCRIPT = [[
  local event, waits = arg[1], arg[2] == "waits"
  local behaviour = {
    high_water = 1000,
    message = function(ws, data) ws:send(data) if ws.request.query.bad then ws:send(("x"):rep(2000)) end end,
    error = function(ws, trace) tell("error", { trace = trace, bad = ws.request.query.bad ~= nil }) end,
    close = function(ws, code) tell("close", { code = code, bad = ws.request.query.bad ~= nil }) end,
  }
  local usual = behaviour[event]
  behaviour[event] = function(ws, ...)
    if ws.request.query.bad then
      if waits then moonwire.sleep(0.001) end
      error "as planned"
    elseif usual then
      usual(ws, ...)
    end
  end
  serve(moonwire.app():ws("/", behaviour))
]]

describe("an error in", function()
  for _, event in ipairs { "open", "message", "close", "drain", "pong" } do
    for _, waits in ipairs { "", "waits" } do
      it(("%s%s costs that connection only"):format(event, waits == "" and "" or ", after a wait,"), function()
        local child, port = start(SCRIPT, event, waits)
        local good, bad = open(port), open(port, "/?bad")
        bad:send(TEXT, "x")
        bad:send(visitor.PONG, "")
        if event == "close" then
          bad:send_close(1000)
        end
        local told = child:expect "error"
        assert.is_true(told.bad)
        assert.truthy(told.trace:find "^[^\n]+%.lua:12: as planned\nstack traceback:\n")
        assert.equal(event == "close" and 1000 or 1011, (bad:expect_close()))
        bad:close()
        if event ~= "close" then
          local closed = child:expect "close"
          assert.same({ 1011, true }, { closed.code, closed.bad })
        end
        local log = finish(child, good)
        assert.truthy(log:find "^moonwire: error: WebSocket %d+ on /, " .. event .. ", from 127%.0%.0%.1:%d+: "
          .. "[^\n]+%.lua:12: as planned\n  stack traceback:\n")
        assert.equal(nil, log:find("as planned.*as planned"))
        assert.equal(0, child:count "error")
      end)
    end
  end

  it("the error handler itself does no further harm", function()
    local child, port = start [[
      serve(moonwire.app():ws("/", {
        message = function(ws, data) if data == "bad" then error "first" end ws:send(data) end,
        error = function() error "second" end,
        close = function(_, code) tell("close", { code = code }) end,
      }))
    ]]
    local good, bad = open(port), open(port)
    bad:send(TEXT, "bad")
    assert.equal(1011, (bad:expect_close()))
    assert.equal(1011, child:expect("close").code)
    bad:close()
    local log = finish(child, good)
    assert.truthy(log:find "on /, message, [^\n]*first\n.*on /, error, [^\n]*second\n")
  end)

  it("a message comes behind what was sent before it, and before what was received after it", function()
    local child, port = start [[
      serve(moonwire.app():ws("/", { message = function(ws, data)
        tell("message", { data = data })
        ws:send(data)
        if data == "bad" then error "as planned" end
      end }))
    ]]
    local good, bad = open(port), open(port)
    bad:write(visitor.frame(TEXT, "bad") .. visitor.frame(TEXT, "not looked at"))
    assert.equal("bad", bad:message())
    assert.equal(1011, (bad:expect_close()))
    bad:close()
    finish(child, good)
    assert.same({ "bad", "on" }, { child:expect("message").data, child:expect("message").data })
    assert.equal(0, child:count "message")
  end)

  for _, case in ipairs {
    { "an HTTP handler: 500", "/http", 500 },
    { "a middleware: 500", "/middleware", 500 },
    { "an upgrade: 500", "/upgrade", 500 },
  } do
    local what, target, expected = table.unpack(case)
    it(what, function()
      local child, port = start [[
        local app = moonwire.app()
        app:use("/middleware", function() error "as planned" end)
        app:get("/http", function() moonwire.sleep(0.001) error "as planned" end)
        app:get("/middleware", function(_, res) res:send "never" end)
        app:ws("/upgrade", { upgrade = function() error "as planned" end })
        app:ws("/", { message = function(ws, data) ws:send(data) end })
        serve(app)
      ]]
      local good, bad = open(port), visitor.connect(port)
      if target == "/upgrade" then
        bad:write(visitor.opening(target))
      else
        bad:request(target)
      end
      local status, body = bad:response()
      assert.equal(expected, status)
      assert.equal(nil, body:find("as planned", 1, true)) -- which is nobody's business
      bad:close()
      assert.truthy(finish(child, good):find "%.lua:%d: as planned\n  stack traceback:\n")
    end)
  end
end)

it("tasks that start one another without end get an error, and the program goes on", function()
  local child = program.start [[
    local depth = 0
    local function deeper()
      depth = depth + 1
      moonwire.spawn(deeper)
    end
    deeper()
    tell("survived", { depth = depth })
    moonwire.spawn(function() moonwire.sleep(0.001) tell "went on" end)
  ]]
  local log = program.expect_clean_end(child, 1)
  assert.truthy(log:find("C stack overflow", 1, true))
  assert.truthy(child:expect("survived").depth > 10)
  assert.equal(1, child:count "went on")
end)
