-- limits_spec.lua - each limit of sizes, counts and times, from just below and from just above. (The way to the slow
-- reader's limits is in backpressure_spec.lua, HTTP's time limits in http_timing_spec.lua.) Times are small, and judged
-- by what happens and in which order, not by the clock.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local tls = require "spec.support.tls"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local TEXT, PING, PONG, CLOSE = visitor.TEXT, visitor.PING, visitor.PONG, visitor.CLOSE
local CONTINUATION = 0
local HELLO = "\xf2\x48\xcd\xc9\xc9\x07\x00" -- "Hello", compressed (RFC 7692 §7.2.3.1)
local DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

local apps = {}
local function serve(app, settings)
  settings = settings or {}
  settings.host, settings.port = "127.0.0.1", 0
  table.insert(apps, app)
  return assert(app:listen(settings)):address().port
end

-- Serve one route of WebSockets, whose events go to the mailbox that is returned beside the port.
local function serve_ws(behaviour, settings)
  local inbox = async.mailbox()
  for _, name in ipairs { "open", "message", "close", "drain", "error" } do
    behaviour[name] = behaviour[name] or inbox:putter(name)
  end
  return serve(moonwire.app():ws("/", behaviour), settings), inbox
end

local function open(port, headers)
  local ws = visitor.connect(port)
  ws:upgrade("/", headers)
  return ws
end

after_each(function()
  visitor.close_all()
  local closing = apps
  apps = {}
  for _, app in ipairs(closing) do
    assert(app:close { timeout = 5 })
  end
end)

-- The connection goes on: what is sent now arrives.
local function expect_alive(ws, inbox)
  ws:send(TEXT, "on")
  local _, data = inbox:take "message"
  assert.equal("on", data)
end

local function expect_refused(ws, inbox, code)
  assert.equal(code, (ws:expect_close()))
  local _, heard = inbox:take "close"
  assert.equal(code, heard)
  assert.equal(0, inbox:count "message")
  ws:expect_end()
end

describe("max_payload", function()
  local function with(bytes)
    local port, inbox = serve_ws { max_payload = bytes, compress = true }
    return open(port, DEFLATE), inbox
  end

  it("is what one frame may carry", function()
    local ws, inbox = with(1000)
    ws:send(TEXT, ("x"):rep(1000))
    local _, data = inbox:take "message"
    assert.equal(1000, #data)
    -- More is refused as soon as it is announced.
    ws:write(visitor.frame(TEXT, ("x"):rep(1001)):sub(1, 8))
    expect_refused(ws, inbox, 1009)
  end)

  it("is what a length in eight bytes may announce", function()
    local ws, inbox = with(70000)
    ws:send(TEXT, ("x"):rep(70000))
    local _, data = inbox:take "message"
    assert.equal(70000, #data)
    ws:write "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"
    expect_refused(ws, inbox, 1009)
  end)

  it("is what all fragments of a message may carry together", function()
    local ws, inbox = with(1000)
    ws:send(TEXT, ("x"):rep(600), { fin = false })
    ws:send(CONTINUATION, ("x"):rep(400))
    local _, data = inbox:take "message"
    assert.equal(1000, #data)
    ws:send(TEXT, ("x"):rep(600), { fin = false })
    ws:write(visitor.frame(CONTINUATION, ("x"):rep(401)):sub(1, 8))
    expect_refused(ws, inbox, 1009)
  end)

  for size, code in pairs { [5] = false, [4] = 1009 } do
    it(("counts what compressed messages inflate to: five bytes of %d are %s"):format(size, code or "fine"), function()
      local port, inbox = serve_ws { max_payload = size, compress = true }
      local ws = open(port, DEFLATE)
      for i = 1, #HELLO do
        ws:send(i == 1 and TEXT or CONTINUATION, HELLO:sub(i, i), { rsv1 = i == 1, fin = i == #HELLO })
      end
      if code then
        expect_refused(ws, inbox, code)
      else
        local _, data = inbox:take "message"
        assert.equal("Hello", data)
      end
    end)
  end
end)

it("max_fragments", function()
  local port, inbox = serve_ws { max_fragments = 4 }
  local ws = open(port)
  local function send(count)
    for i = 1, count do
      ws:send(i == 1 and TEXT or CONTINUATION, "x", { fin = i == count })
    end
  end
  for _ = 1, 3 do
    send(4)
    local _, data = inbox:take "message"
    assert.equal("xxxx", data)
  end
  send(5)
  expect_refused(ws, inbox, 1008)
end)

it("max_control_per_second", function()
  local port, inbox = serve_ws { max_control_per_second = 10 }
  local ws = open(port)
  ws:write((visitor.frame(PING, "x") .. visitor.frame(PONG, "x")):rep(5))
  for _ = 1, 5 do
    assert.equal(PONG, (ws:frame()))
  end
  expect_alive(ws, inbox)
  ws = open(port)
  -- Read at once, so within one second.
  ws:write(visitor.frame(PING, "x"):rep(11))
  expect_refused(ws, inbox, 1008)
end)

describe("max_connections", function()
  it("of a process: 503 for the next, until one has left", function()
    local port, inbox = serve_ws({}, { max_connections = 2 })
    local first, second = open(port), visitor.connect(port)
    local third = visitor.connect(port)
    third:request "/"
    local status, _, head = third:response()
    assert.equal(503, status)
    assert.truthy(head:lower():find("\r\nretry-after: ", 1, true))
    third:expect_end()
    expect_alive(first, inbox)
    second:close()
    repeat
      local next_one = visitor.connect(port)
      next_one:write(visitor.opening())
      local answer = next_one:expect "^HTTP/1%.1 %d+"
    until answer == "HTTP/1.1 101"
  end)

  it("0 is no limit", function()
    local port = serve_ws({}, { max_connections = 0 })
    for _ = 1, 20 do
      open(port)
    end
  end)
end)

it("max_per_address: the next is closed at accept, until one has left", function()
  local port, inbox = serve_ws({}, { max_per_address = 2 })
  local first, second = open(port), open(port)
  local third = visitor.connect(port)
  assert.equal("", third:expect_end())
  expect_alive(first, inbox)
  second:send_close(1000)
  assert.equal("", select(2, second:expect_close()))
  inbox:take "close"
  expect_alive(open(port), inbox)
end)

describe("a request's", function()
  -- A head of exactly so many bytes, its end included.
  local function head_of(bytes, filler)
    local head = "GET / HTTP/1.1\r\nHost: x\r\nX-Filler: %s\r\n\r\n"
    return head:format((filler or "x"):rep(bytes - #head + 2))
  end

  local port
  before_each(function()
    local app = moonwire.app { max_body = 10 }
    app:get("/", function(_, res)
      res:send "fine"
    end)
    app:post("/", function(req, res)
      res:send(req.body)
    end)
    app:post("/large", { max_body = 20 }, function(req, res)
      res:send(req.body)
    end)
    port = serve(app, { max_head_bytes = 300, max_headers = 5 })
  end)

  local function status_of(bytes)
    local client = visitor.connect(port)
    client:write(bytes)
    return (client:response())
  end

  it("head: max_head_bytes", function()
    assert.equal(200, status_of(head_of(300)))
    assert.equal(431, status_of(head_of(301)))
    assert.equal(431, status_of(head_of(100000)))
    assert.equal(431, status_of(head_of(400):sub(1, 301)))
    assert.equal(200, status_of(head_of(300) .. head_of(300)))
  end)

  it("headers: max_headers", function()
    local function with(count)
      return "GET / HTTP/1.1\r\nHost: x\r\n" .. ("X: y\r\n"):rep(count - 1) .. "\r\n"
    end
    assert.equal(200, status_of(with(5)))
    assert.equal(431, status_of(with(6)))
  end)

  it("body: max_body of the app, and of the route", function()
    local function post(path, length, is_chunked)
      local head = ("POST %s HTTP/1.1\r\nHost: x\r\n"):format(path)
      if is_chunked then
        return status_of(("%sTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n%x\r\n%s\r\n0\r\n\r\n"):format(head, length - 1,
          ("x"):rep(length - 1)))
      end
      return status_of(("%sContent-Length: %d\r\n\r\n%s"):format(head, length, ("x"):rep(length)))
    end
    for _, is_chunked in ipairs { false, true } do
      assert.equal(200, post("/", 10, is_chunked))
      assert.equal(413, post("/", 11, is_chunked))
      assert.equal(200, post("/large", 20, is_chunked))
      assert.equal(413, post("/large", 21, is_chunked))
    end
    assert.equal(413, status_of "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999\r\n\r\n")
  end)
end)

describe("a peer that never answers a ping", function()
  it("is dropped after pong_timeout, also while it is sent to", function()
    local sender
    local port, inbox = serve_ws {
      ping_interval = 0.03,
      pong_timeout = 0.06,
      open = function(ws)
        sender = moonwire.every(0.005, function()
          ws:send "what we send does not keep a dead peer alive"
        end)
      end,
    }
    local ws = open(port)
    local _, code, reason = inbox:take "close"
    sender:cancel()
    assert.same({ 1006, "no answer to a ping in time" }, { code, reason })
    ws:expect_end()
    assert.equal(1, select(2, ws.received:gsub("\x89\x00", "")))
  end)

  it("is not blamed for a time in which we did not listen", function()
    local port, inbox = serve_ws { ping_interval = 0.02, pong_timeout = 0.04 }
    local ws = open(port)
    assert.equal(PING, (ws:frame()))
    ws:send(PONG, "")
    local awake = uv.hrtime() + 2e8
    repeat
    until uv.hrtime() > awake
    assert.equal(PING, (ws:frame()))
    assert.equal(0, inbox:count "close")
  end)

  it("stays while it sends anything at all", function()
    local port, inbox = serve_ws { ping_interval = 0.02, pong_timeout = 0.4 }
    local ws, silent = open(port), open(port)
    local timer = moonwire.every(0.01, function()
      ws:send(TEXT, "x")
    end)
    inbox:take "close" -- of the silent one
    timer:cancel()
    silent:expect_end()
    assert.same({ false, 0 }, { ws.is_ended, inbox:count "close" })
  end)

  it("stays while it answers", function()
    local port, inbox = serve_ws { ping_interval = 0.01, pong_timeout = 10 }
    local ws = open(port)
    for _ = 1, 5 do
      local opcode, payload = ws:frame()
      assert.equal(PING, opcode)
      ws:send(PONG, payload)
    end
    assert.equal(0, inbox:count "close")
  end)

  it("is not even asked when ping_interval is off", function()
    local port, inbox = serve_ws { ping_interval = false, pong_timeout = 0.01 }
    local ws = open(port)
    async.quiet(0.1)
    assert.equal("", ws.received)
    assert.equal(0, inbox:count "close")
  end)
end)

it("idle_timeout: 1001 for who sends no message; pings and pongs are none", function()
  local port, inbox = serve_ws { idle_timeout = 0.5, ping_interval = 0.02 }
  local silent, busy = open(port), open(port)
  local timer = moonwire.every(0.02, function()
    silent:send(PONG, "")
    busy:send(TEXT, "x")
  end)
  local code, reason = silent:expect_close()
  timer:cancel()
  assert.same({ 1001, "idle for too long" }, { code, reason })
  silent:send_close(1001)
  silent:expect_end()
  assert.equal(nil, busy.received:find("\x88", 1, true))
  assert.equal(1001, (busy:expect_close())) -- now that it is silent too
  busy:send_close(1001)
  inbox:take "close"
  inbox:take "close"
end)

it("close_timeout: who does not answer a close is cut off, sooner where less is waited for", function()
  local inbox = async.mailbox()
  local app = moonwire.app()
  for _, wait in ipairs { 0.05, 0.3 } do
    app:ws("/" .. wait, {
      close_timeout = wait,
      open = function(ws)
        ws:close(4000, "bye")
      end,
      close = function(_, code, reason)
        inbox:put(wait, code, reason)
      end,
    })
  end
  local port = serve(app)
  for _, wait in ipairs { 0.3, 0.05 } do
    local ws = visitor.connect(port)
    ws:upgrade("/" .. wait)
    local code, reason = ws:expect_close()
    assert.same({ 4000, "bye" }, { code, reason })
    ws:send(TEXT, "not an answer")
  end
  for _, wait in ipairs { 0.05, 0.3 } do
    assert.same({ wait, 1006, "no Close frame came back in time" }, { inbox:take() })
  end
end)

describe("write_timeout", function()
  -- More than the kernel keeps.
  local function send_much(ws)
    for _ = 1, 16 do
      ws:send(("x"):rep(1 << 20))
    end
  end

  it("cuts off who takes no bytes", function()
    local port, inbox = serve_ws { write_timeout = 0.1, ping_interval = false, max_backpressure = 1 << 25, open = send_much }
    local ws = visitor.connect(port)
    ws:write(visitor.opening())
    ws:pause()
    local _, code, reason = inbox:take "close"
    assert.same({ 1006, "the peer took no bytes within the write time limit" }, { code, reason })
  end)

  it("does not mind who takes them slowly, nor does pong_timeout", function()
    local count = 64
    local port, inbox = serve_ws {
      write_timeout = 0.3,
      ping_interval = 0.05,
      pong_timeout = 0.3,
      max_backpressure = 1 << 23,
      open = function(ws)
        for _ = 1, count do
          ws:send(("x"):rep(1 << 16))
        end
      end,
    }
    local ws = visitor.connect(port)
    ws.socket:recv_buffer_size(1 << 18) -- so that the kernel tells of every piece that was read
    ws:upgrade()
    ws:pause()
    -- At most 64 KiB each time: altogether this lasts much longer than the limits, and pings lie behind all of it.
    local timer = moonwire.every(0.02, function()
      ws.socket:read_start(function(problem, bytes)
        ws.received = ws.received .. (bytes or "")
        ws.is_ended, ws.problem = not bytes, problem
        ws.socket:read_stop()
        async.wake()
      end)
    end)
    local pings = 0
    while count > 0 or pings == 0 do
      local opcode = ws:frame()
      if opcode == PING then
        pings = pings + 1
        ws:send(PONG, "")
      else
        count = count - 1
      end
    end
    timer:cancel()
    assert.equal(0, inbox:count "close")
  end)
end)

it("head_timeout: half a TLS handshake is dropped", function()
  local files = tls.files()
  local port = serve_ws({}, { tls = { cert = files.cert, key = files.key }, head_timeout = 0.1 })
  local silent, half = visitor.connect(port), visitor.connect(port)
  half:write "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"
  assert.same({ "", "" }, { silent:expect_end(), half:expect_end() })
end)

it("closing is refused as soon as a limit is broken, and what follows is not looked at", function()
  local port, inbox = serve_ws { max_payload = 10 }
  local ws = open(port)
  ws:write(visitor.frame(TEXT, ("x"):rep(11)) .. visitor.frame(TEXT, "later") .. visitor.frame(CLOSE, "\x03\xe8"))
  expect_refused(ws, inbox, 1009)
end)
