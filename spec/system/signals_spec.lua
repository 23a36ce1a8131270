-- signals_spec.lua - SIGINT and SIGTERM: good-bye to everybody, what is under way is finished, then the end with 0.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local tls = require "spec.support.tls"
local visitor = require "spec.support.visitor"

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

-- Starts a script that serves; returns it and its port.
local function start(script, ...)
  local child = program.start(script, { ... })
  return child, child:expect("listening").port
end

-- Wait until it has ended, sooner than one of its own time limits would have ended it.
local function expect_end_within(child, seconds, code)
  async.wait_until(function()
    return child:count "exit" > 0
  end, "the program to end in time", seconds)
  return program.expect_clean_end(child, code)
end

local function wait_until_refused(port)
  repeat
    local is_refused = visitor.is_refused(port)
  until is_refused
end

local EVERYTHING = [[
  local app = moonwire.app()
  app:ws("/", { close = function(ws, code, reason) tell("closed", { code = code, reason = reason }) end })
  app:get("/quick", function(req, res) res:send "quick" end)
  app:get("/slow", function(req, res) tell "asked" next_order() res:send "slow" end)
  app:get("/begun", function(req, res) res:write "one " tell "begun" while next_order() do end end)
  app:get("/stream", function(req, res) res:defer() res:write "data: 1\n\n" end)
  serve(app, { keep_alive_timeout = 100, head_timeout = 100 })
  moonwire.every(1000, print)
  moonwire.spawn(function() moonwire.sleep(1000) end)
]]

for _, signal in ipairs { "sigint", "sigterm" } do
  describe(signal, function()
    it("closes WebSockets with 1001, finishes responses, and ends with 0", function()
      local child, port = start(EVERYTHING)
      local ws, slow, idle = visitor.connect(port), visitor.connect(port), visitor.connect(port)
      local fresh, half, stream = visitor.connect(port), visitor.connect(port), visitor.connect(port)
      ws:upgrade()
      idle:request "/quick"
      assert.equal(200, (idle:response()))
      half:write "GET /quick HTTP/1.1\r\nHost: x\r\n"
      stream:request "/stream"
      stream:expect "data: 1\n\n"
      slow:request "/slow"
      child:expect "asked"

      child:kill(signal)
      local code, reason = ws:expect_close()
      assert.same({ 1001, "the server is going away" }, { code, reason })
      for _, each in ipairs { idle, fresh, half } do
        assert.equal("", each:expect_end())
      end
      stream:expect_end()
      assert.is_true(visitor.is_refused(port))
      ws:send_close(1001)
      assert.equal("", ws:expect_end())
      assert.equal(1001, child:expect("closed").code)

      assert.equal(0, child:count "exit")
      child.stdin:write "go\n"
      local status, body, head = slow:response()
      assert.same({ 200, "slow" }, { status, body })
      assert.truthy(head:lower():find("\r\nconnection: close\r\n", 1, true))
      assert.equal("", slow:expect_end())
      slow:close()
      assert.equal("", program.expect_clean_end(child))
    end)

    it("ends a process that only waits", function()
      local child = program.start [[
        moonwire.every(1000, print)
        uv.new_tcp()
        tell "ready"
        next_order()
      ]]
      child:expect "ready"
      child:kill(signal)
      assert.equal("", expect_end_within(child, 4))
    end)

    it("ends a prompt", function()
      local child = program.spawn {}
      child.stdin:write "'ready'\n"
      child:expect "line"
      child:kill(signal)
      assert.equal("", expect_end_within(child, 4))
    end)

    it("is heard a second time at once", function()
      local child, port = start [[serve(moonwire.app():ws("/", { close_timeout = 100 }))]]
      local ws = visitor.connect(port)
      ws:upgrade()
      child:kill(signal)
      assert.equal(1001, (ws:expect_close()))
      child:kill(signal)
      local result = program.wait(child)
      assert.truthy(result.signal ~= 0 or result.code > 128)
      ws:expect_end()
    end)

    it("is heard a second time by a script that never waits", function()
      local child = program.start [[
        tell "ready"
        while true do end
      ]]
      child:expect "ready"
      child:kill(signal)
      child:kill(signal)
      -- The two may arrive as one.
      local timer = moonwire.every(0.1, function()
        child:kill(signal)
      end)
      local result = program.wait(child)
      timer:cancel()
      assert.truthy(result.signal ~= 0 or result.code > 128)
    end)
  end)
end

describe("after a signal", function()
  it("a client that never answers the close holds the end no longer than close_timeout", function()
    local child, port = start [[
      local function on_close(ws, code) tell("closed", { code = code }) end
      serve(moonwire.app():ws("/", { close_timeout = 0.2, close = on_close }))
    ]]
    local ws = visitor.connect(port)
    ws:upgrade()
    child:kill "sigterm"
    assert.equal(1001, (ws:expect_close()))
    assert.equal("", expect_end_within(child, 4))
    assert.equal(1006, child:expect("closed").code)
  end)

  it("a client that reads nothing holds the end no longer than close_timeout", function()
    local child, port = start [[
      serve(moonwire.app():ws("/", { close_timeout = 0.2, write_timeout = 100, max_backpressure = 1 << 26,
        open = function(ws) for _ = 1, 16 do ws:send(("x"):rep(1 << 20)) end tell "sent" end,
        close = function(ws, code) tell("closed", { code = code }) end }))
    ]]
    local ws = visitor.connect(port)
    ws:write(visitor.opening())
    ws:pause()
    child:expect "sent"
    child:kill "sigterm"
    assert.equal("", expect_end_within(child, 4))
    assert.equal(1006, child:expect("closed").code)
  end)

  it("half a TLS handshake does not hold the end", function()
    local files = tls.files()
    local child, port = start([[
      serve(moonwire.app(), { tls = { cert = arg[1], key = arg[2] }, head_timeout = 100 })
    ]], files.cert, files.key)
    local silent, half = visitor.connect(port), visitor.connect(port)
    half:write "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03" -- the beginning of a ClientHello of 252 bytes
    async.wait_until(function()
      return program.descriptors(child.pid) >= 10
    end)
    child:kill "sigterm"
    silent:expect_end()
    half:expect_end()
    assert.equal("", expect_end_within(child, 4))
  end)

  it("handlers that wait come to their end first, then close fires", function()
    local child, port = start [[
      serve(moonwire.app():ws("/", {
        message = function(ws) tell "message" next_order() tell "done" end,
        close = function(ws, code) moonwire.sleep(0.01) tell("closed", { code = code }) end,
      }))
    ]]
    local ws = visitor.connect(port)
    ws:upgrade()
    ws:send(visitor.TEXT, "x")
    child:expect "message"
    child:kill "sigterm"
    assert.equal(1001, (ws:expect_close()))
    ws:send_close(1001)
    ws:expect_end()
    assert.equal(0, child:count "exit")
    child.stdin:write "go\n"
    assert.equal("", program.expect_clean_end(child))
    assert.same({ "done", "closed" }, { child.events[1].event, child.events[2].event })
    assert.equal(1001, child.events[2].code)
  end)

  it("an upgrade that waits is refused", function()
    local child, port = start [[
      serve(moonwire.app():ws("/", { upgrade = function() tell "asked" next_order() end }))
    ]]
    local ws = visitor.connect(port)
    ws:write(visitor.opening())
    child:expect "asked"
    child:kill "sigterm"
    wait_until_refused(port)
    child.stdin:write "go\n"
    assert.equal(503, (ws:response()))
    ws:close()
    assert.equal("", program.expect_clean_end(child))
  end)

  it("an error before it changes only the exit code", function()
    local child, port = start [[
      serve(moonwire.app():ws("/", {}))
      moonwire.spawn(error, "oops")
    ]]
    local ws = visitor.connect(port)
    ws:upgrade()
    child:kill "sigterm"
    assert.equal(1001, (ws:expect_close()))
    ws:send_close(1001)
    assert.truthy(program.expect_clean_end(child, 1):find("oops", 1, true))
  end)

  it("clients say good-bye and don't connect again", function()
    local inbox = async.mailbox()
    local app = moonwire.app():ws("/", { open = inbox:putter "open", close = inbox:putter "close" })
    local listener = assert(app:listen { host = "127.0.0.1", port = 0 })
    local child, port = start([[
      local ws = assert(moonwire.connect("ws://127.0.0.1:" .. arg[1] .. "/", {
        reconnect = { retries = 1000, delay = 0.001, jitter = 0 },
        reconnecting = function() tell "reconnecting" end,
        close = function(ws, code) tell("closed", { code = code }) end,
      }))
      serve(moonwire.app():get("/", function(req, res) tell "asked" next_order() res:send "" end))
    ]], tostring(listener:address().port))
    inbox:take "open"
    local slow = visitor.connect(port)
    slow:request "/"
    child:expect "asked"
    child:kill "sigterm"
    local _, code = inbox:take "close"
    assert.equal(1001, code)
    assert.equal(1001, child:expect("closed").code)
    async.quiet(0.05)
    child.stdin:write "go\n"
    assert.equal(200, (slow:response()))
    slow:close()
    assert.equal("", expect_end_within(child, 4))
    assert.same({ 0, 0 }, { inbox:count "open", child:count "reconnecting" })
    app:close()
  end)

  it("a client that is waiting to connect again gives up", function()
    local child = program.start([[
      moonwire.connect("ws://127.0.0.1:" .. arg[1] .. "/", {
        wait = false,
        reconnect = { retries = false, delay = 100, jitter = 0 },
        reconnecting = function() tell "reconnecting" end,
      })
    ]], { tostring(async.port()) })
    child:expect "reconnecting"
    child:kill "sigterm"
    assert.equal("", expect_end_within(child, 4))
  end)

  it("a request to another server is finished if a response waits for it", function()
    local order = async.mailbox()
    local app = moonwire.app():get("/", function(_, res)
      order:put "asked"
      order:take "go"
      res:send "from afar"
    end)
    local listener = assert(app:listen { host = "127.0.0.1", port = 0 })
    local child, port = start([[
      serve(moonwire.app():get("/", function(req, res)
        res:send(moonwire.fetch("http://127.0.0.1:" .. arg[1] .. "/").body)
      end))
    ]], tostring(listener:address().port))
    local client = visitor.connect(port)
    client:request "/"
    order:take "asked"
    child:kill "sigterm"
    wait_until_refused(port)
    order:put "go"
    local status, body = client:response()
    assert.same({ 200, "from afar" }, { status, body })
    client:close()
    assert.equal("", program.expect_clean_end(child))
    app:close()
  end)

  it("threads that never end can be left by a second one", function()
    local directory = async.directory()
    assert(os.execute(("mkfifo '%s/fifo'"):format(directory)))
    local child = program.start([[
      uv.fs_open(arg[1], "r", 0, print)
      tell "ready"
    ]], { directory .. "/fifo" })
    child:expect "ready"
    child:kill "sigterm"
    local timer = moonwire.every(0.1, function()
      child:kill "sigterm"
    end)
    local result = program.wait(child)
    timer:cancel()
    assert.truthy(result.signal ~= 0 or result.code > 128)
  end)
end)
