-- guard_spec.lua - handlers that never end and handlers that eat all memory: each is told of with the place where it stands,
-- costs its own connection, request or task, and nobody else's. In processes of their own, with short limits.
-- SPDX-License-Identifier: MIT

local account = require "spec.support.account"
local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local talkers = require "spec.support.talkers"
local uv = require "luv"
local visitor = require "spec.support.visitor"

-- It keeps signals back until the program allocates or calls the system, which an endless loop does not; see threads_spec.lua.
if program.binary:find "/build/[%w-]*thread" then
  return pending "not under ThreadSanitizer"
end

local TEXT = visitor.TEXT
-- Sanitized, a full collection of the heap at its limit alone takes longer than a short limit of time.
local SLOW = program.is_sanitized and 3 or 1
local LIMIT = tostring(0.08 * SLOW)
local OPTIONS = { "--handler-warning", tostring(0.02 * SLOW), "--handler-limit", LIMIT, "--memory-limit", "12M" }

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

-- /echo is for those who behave; what is sent to /bad is the name of what its handler does.
local SERVER = account.SCRIPT .. [[
  local app = moonwire.app()
  local bad = {}
  function bad.error() error "on purpose" end
  function bad.loop() while true do end end
  function bad.deep_loop() local function f(n) if n == 0 then while true do end end f(n - 1) return n end f(100) end
  function bad.caught_loop() while true do pcall(bad.loop) end end
  function bad.coroutine_loop() coroutine.wrap(function() coroutine.wrap(bad.loop)() end)() end
  function bad.resumed_loop() while true do coroutine.resume(coroutine.create(bad.loop)) end end
  function bad.sort_loop() table.sort({ 3, 1, 2 }, function(a, b) bad.loop() return a < b end) end
  function bad.closed_loop()
    while true do
      local co = coroutine.create(function()
        local _ <close> = setmetatable({}, { __close = bad.loop })
        coroutine.yield()
      end)
      coroutine.resume(co)
      coroutine.close(co)
    end
  end
  function bad.loop_once() pcall(bad.loop) end
  function bad.waited_loop() moonwire.sleep(0.001) bad.loop() end
  function bad.blocked() os.execute("sleep " .. arg[1]) bad.loop() end
  function bad.hog() local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end end
  function bad.table_hog() local t = {} while true do t[#t + 1] = { t } end end
  function bad.large() return ("x"):rep(64 << 20) end
  function bad.caught_hog() while true do pcall(bad.hog) end end
  app:ws("/echo", { message = function(ws, data, kind) ws:send(data, kind) end })
  app:ws("/bad", {
    message = function(ws, name) bad[name]() ws:send "went on" end,
    close = function(ws, code) tell("close", { code = code, rule = ws.ending.rule }) end,
  })
  app:get("/bad/:name", function(req, res) bad[req.params.name]() res:send "went on" end)
  tell_account(app)
  serve(app)
]]

local function start(options)
  local child = program.start(SERVER, { tostring(0.03 * SLOW) }, options or OPTIONS)
  return child, child:expect("listening").port
end

local function misbehave(port, name)
  local ws = visitor.connect(port)
  ws:upgrade "/bad"
  ws:send(TEXT, name)
  return ws
end

local function expect_echo(port)
  local ws = visitor.connect(port)
  ws:upgrade "/echo"
  ws:send(TEXT, "still there?")
  assert.equal("still there?", ws:message())
  ws:close()
end

local function finish(child, port)
  expect_echo(port)
  child:kill "sigterm"
  return program.expect_clean_end(child)
end

describe("a handler over its time", function()
  for _, name in ipairs {
    "loop", "deep_loop", "caught_loop", "coroutine_loop", "resumed_loop", "sort_loop", "closed_loop", "waited_loop",
  } do
    it("is interrupted, and costs its connection: " .. name, function()
      local child, port = start()
      local ws = misbehave(port, name)
      assert.equal(1011, (ws:expect_close()))
      local told = child:expect "close"
      assert.same({ 1011, "handler_limit" }, { told.code, told.rule })
      local stderr = finish(child, port)
      assert.truthy(stderr:find("warning: a handler has held everybody up for [%d.]+ s; it stands here:\n  stack traceback"))
      assert.truthy(stderr:find("on /bad, message, from 127.0.0.1:%d+: .-the handler was interrupted"))
    end)
  end

  it("has time to clean up when it catches the error", function()
    local child, port = start()
    assert.equal("went on", (misbehave(port, "loop_once"):message()))
    assert.truthy(finish(child, port):find "it stands here")
  end)

  it("is told with the place, through its coroutines", function()
    local child, port = start()
    misbehave(port, "coroutine_loop"):expect_close()
    local warning = finish(child, port):match "it stands here:\n(.-)\nmoonwire: "
    local levels = 0
    for _ in warning:gmatch "stack traceback" do
      levels = levels + 1
    end
    assert.equal(3, levels)
  end)

  it("is only told of when it has a soft limit alone", function()
    local child, port = start { "--handler-warning", "0.01", "--handler-limit", "0" }
    local client = visitor.connect(port)
    client:request "/bad/blocked"
    async.wait_until(function()
      return child.stderr:find "it stands here"
    end, "the line in the log")
    assert.falsy(child.stderr:find "interrupted")
    child:kill "sigkill"
  end)

  it("answers 500 for a request, and the connection goes on", function()
    local child, port = start()
    local client = visitor.connect(port)
    client:request "/bad/loop"
    assert.equal(500, (client:response()))
    client:request "/account"
    assert.equal(200, (client:response()))
    finish(child, port)
  end)

  it("is nobody who waits, nor the main chunk, nor many short ones in one read", function()
    local child = program.start([[
      local until_then = uv.hrtime() + 8e8
      while uv.hrtime() < until_then do end
      local app = moonwire.app()
      app:ws("/", { message = function(ws, data)
        if data == "wait" then moonwire.sleep(0.8) end
        local until_then = uv.hrtime() + 4e6
        while uv.hrtime() < until_then do end
        ws:send(data)
      end })
      serve(app)
      moonwire.sleep(0.1)
      until_then = uv.hrtime() + 8e8
      while uv.hrtime() < until_then do end
    ]], {}, { "--handler-warning", "0.5", "--handler-limit", "0.6" })
    local ws = visitor.connect(child:expect("listening").port)
    ws:upgrade "/"
    ws:write(visitor.frame(TEXT, "short"):rep(200))
    for _ = 1, 200 do
      assert.equal("short", ws:message())
    end
    ws:send(TEXT, "wait")
    assert.equal("wait", ws:message())
    child:kill "sigterm"
    local stderr = program.expect_clean_end(child)
    assert.falsy(stderr:find "a handler")
  end)

  local STUCK = [[
    if tonumber(os.getenv "MOONWIRE_RESTARTS" or 0) > 0 then
      return tell "again"
    end
    moonwire.after(0.001, function() (("a"):rep(200000)):find((".-"):rep(10) .. "b") end)
  ]]
  local SHORT = { "--handler-warning", "0.01", "--handler-limit", "0.02" }

  it("is told of when it can't be interrupted, inside of one C function", function()
    local child = program.start(STUCK, {}, SHORT)
    async.wait_until(function()
      return child.stderr:find "can't be interrupted"
    end, "the line in the log")
    child:kill "sigkill"
    child:expect "exit"
  end)

  it("ends the process then, to be started again, under a supervisor", function()
    local child = program.start(STUCK, {}, { "--supervise", table.unpack(SHORT) })
    child:expect "again"
    local stderr = program.expect_clean_end(child)
    assert.truthy(stderr:find "can't be interrupted: the process ends, to be started again")
    assert.truthy(stderr:find "did not answer any more %(exit code 70%)")
  end)
end)

describe("a handler that needs too much memory", function()
  for _, name in ipairs { "hog", "table_hog", "large" } do
    it("gets an error, and costs its connection: " .. name, function()
      local child, port = start { "--handler-limit", "0", "--memory-limit", "12M" }
      local ws = misbehave(port, name)
      assert.equal(1011, (ws:expect_close()))
      local told = child:expect "close"
      assert.same({ 1011, "memory_limit" }, { told.code, told.rule })
      local stderr = finish(child, port)
      assert.truthy(stderr:find "on /bad, message, from 127.0.0.1:%d+: not enough memory")
      assert.truthy(stderr:find "limit of 12 MiB of memory %(%-%-memory%-limit%); %d%.%d MiB are in use now")
    end)
  end

  it("is interrupted when it catches that error for ever", function()
    local child, port = start()
    assert.equal(1011, (misbehave(port, "caught_hog"):expect_close()))
    assert.equal("handler_limit", child:expect("close").rule)
    finish(child, port)
  end)

  it("may have all of it when there is no limit", function()
    local child, port = start { "--memory-limit", "0" }
    assert.equal("went on", (misbehave(port, "large"):message()))
    finish(child, port)
  end)
end)

-- Many of them, some at once; returns how many were closed with 1011.
local function misbehave_together(port, names)
  local at, left, closed = 0, #names, 0
  local function one()
    at = at + 1
    local name, received = names[at], ""
    if not name then
      return
    end
    local socket = uv.new_tcp()
    socket:connect("127.0.0.1", port, function()
      socket:write(visitor.opening "/bad" .. visitor.frame(TEXT, name))
      socket:read_start(function(_, bytes)
        received = received .. (bytes or "")
        local is_closed = received:find "\r\n\r\n\x88.\x03\xf3" ~= nil
        if (is_closed or not bytes) and not socket:is_closing() then
          socket:close()
          left, closed = left - 1, closed + (is_closed and 1 or 0)
          one()
          async.wake()
        end
      end)
    end)
  end
  for _ = 1, 50 do
    one()
  end
  async.wait_until(function()
    return left == 0
  end, "the end of those who misbehave", 90)
  return closed
end

describe("among 500 who talk", function()
  it("1,000 errors, 100 loops and 100 hogs lose nobody else a message, and leave nothing", function()
    local child, port = start()
    local crowd = talkers.start(port, "/echo", 500)
    local descriptors = program.descriptors(child.pid)
    local function round(share)
      local names = {}
      for name, count in pairs { error = 500, loop = 50, hog = 50 } do
        for _ = 1, count * share do
          names[#names + 1] = name
        end
      end
      assert.equal(#names, misbehave_together(port, names))
      crowd:go_on(2)
    end
    -- With the garbage collected that those who talk make meanwhile.
    local function memory()
      -- Collecting takes its time, too: on a busy machine more than a handler has here.
      while not pcall(account.ask, port) do
      end
      return program.memory(child.pid)
    end
    round(0.2)
    round(1)
    local before = memory()
    round(0.8)
    local now = memory()
    crowd:check()
    async.wait_until(function()
      return program.descriptors(child.pid) == descriptors
    end, "no more descriptors than at first")
    if not program.is_sanitized then
      assert(now <= before * 1.05, ("%d KiB, and then %d"):format(before, now))
    end
    crowd:stop()
    account.take(child, port)
    account.expect_idle(child.pid)
    finish(child, port)
  end)
end)
