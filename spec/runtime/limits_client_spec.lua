-- limits_client_spec.lua - the limits of moonwire.connect and moonwire.fetch, each from just below and from just above. The
-- servers are made by hand. Times are small; what is judged is who is dropped and who is not.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local raw = require "spec.support.raw"

local sockets = {}

after_each(function()
  for _, ws in ipairs(sockets) do
    ws:terminate()
  end
  raw.close_all()
  sockets = {}
end)

-- A client of ours and the server's end of it; events go to the mailbox.
local function connect(options)
  local server, inbox = raw.listen(), async.mailbox()
  for _, name in ipairs { "open", "message", "close", "drain", "error" } do
    options[name] = options[name] or inbox:putter(name)
  end
  options.path, options.wait = server.address.path, false
  local ws = moonwire.connect("ws://localhost/", options)
  table.insert(sockets, ws)
  local peer = server:accept()
  peer:write(raw.answer(peer:take_head()))
  inbox:take "open"
  return peer, inbox, ws
end

local function send(peer, ...)
  peer:write(raw.encode({ ... }, false))
end

local function expect_message(inbox, wanted)
  local _, data = inbox:take "message"
  assert.equal(wanted, data)
end

-- The client has closed with this code, and heard nothing of what was too much.
local function expect_closed(peer, inbox, code)
  peer:wait_for_close_frame()
  local frames = raw.decode(peer.received)
  local last = frames[#frames]
  assert.same({ 8, code }, { last.opcode, (string.unpack(">I2", last.payload)) })
  send(peer, raw.close(code))
  peer:shutdown()
  assert.equal(code, (select(2, inbox:take "close")))
  assert.equal(0, inbox:count "message")
end

describe("moonwire.connect", function()
  it("max_payload", function()
    local peer, inbox = connect { max_payload = 1000 }
    send(peer, raw.text(("x"):rep(1000)))
    expect_message(inbox, ("x"):rep(1000))
    send(peer, raw.text(("x"):rep(600), { fin = false }), raw.continuation(("x"):rep(400)))
    expect_message(inbox, ("x"):rep(1000))
    send(peer, raw.text("", { announce = 1001 }))
    expect_closed(peer, inbox, 1009)
  end)

  it("max_fragments", function()
    local peer, inbox = connect { max_fragments = 3 }
    local function message(count)
      local frames = {}
      for i = 1, count do
        frames[i] = raw.frame(i == 1 and 1 or 0, "x", { fin = i == count })
      end
      send(peer, table.unpack(frames))
    end
    message(3)
    expect_message(inbox, "xxx")
    message(4)
    expect_closed(peer, inbox, 1008)
  end)

  it("max_control_per_second", function()
    local peer, inbox = connect { max_control_per_second = 5 }
    send(peer, raw.ping "1", raw.ping "2", raw.pong "3", raw.pong "4", raw.pong "5", raw.text "on")
    expect_message(inbox, "on")
    -- In two seconds at most ten.
    local pings = {}
    for i = 1, 11 do
      pings[i] = raw.ping "x"
    end
    send(peer, table.unpack(pings))
    expect_closed(peer, inbox, 1008)
  end)

  it("max_backpressure", function()
    local peer, inbox, ws = connect { max_backpressure = 1 << 20, write_timeout = 60, close_timeout = 0.05 }
    peer.handle:read_stop()
    local piece, count = ("x"):rep(1 << 16), 0
    while ws:send(piece) do
      count = count + 1
      assert.truthy(ws.buffered <= 1 << 20)
    end
    assert.truthy(count >= 16)
    assert.same({ 1008, "slow consumer" }, { select(2, inbox:take "close") })
  end)

  it("pong_timeout, for a server that is silent, and not for one that answers", function()
    local silent, silent_inbox = connect { ping_interval = 0.02, pong_timeout = 0.1 }
    local busy, busy_inbox = connect { ping_interval = 0.02, pong_timeout = 0.1 }
    local timer = moonwire.every(0.01, function()
      send(busy, raw.pong "")
    end)
    assert.same({ 1006, "no answer to a ping in time" }, { select(2, silent_inbox:take "close") })
    assert.equal(9, raw.decode(silent:wait_for_end())[1].opcode)
    timer:cancel()
    assert.same({ false, 0 }, { busy.ended, busy_inbox:count "close" })
  end)

  it("idle_timeout, for a server without messages, and not for one with", function()
    local quiet, quiet_inbox = connect { idle_timeout = 0.1 }
    local _, busy_inbox, ws = connect { idle_timeout = 0.1 }
    local timer = moonwire.every(0.01, function()
      ws:send "x"
    end)
    expect_closed(quiet, quiet_inbox, 1001)
    timer:cancel()
    assert.equal(0, busy_inbox:count "close")
  end)

  it("close_timeout, for a server that does not answer, and not for one that does", function()
    local _, mute_inbox, mute = connect { close_timeout = 0.05 }
    local polite, polite_inbox, ws = connect { close_timeout = 60 }
    ws:close(4000, "bye")
    mute:close(4000, "bye")
    assert.same({ 1006, "no Close frame came back in time" }, { select(2, mute_inbox:take "close") })
    assert.equal(0, polite_inbox:count "close")
    polite:wait_for_close_frame()
    send(polite, raw.close(4000, "bye"))
    polite:shutdown()
    assert.same({ 4000, "bye" }, { select(2, polite_inbox:take "close") })
  end)

  -- A server that listens, and says something or nothing.
  local function attempt(timeout, answers)
    local server = raw.listen()
    moonwire.spawn(function()
      local ws, _, code = moonwire.connect("ws://localhost/", { path = server.address.path, timeout = timeout })
      table.insert(sockets, ws)
      answers:put(timeout, ws and "open" or code)
    end)
    return server:accept()
  end

  it("timeout, until the answer is there", function()
    local answers = async.mailbox()
    local patient = attempt(60, answers)
    local head = patient:take_head()
    patient:write(raw.answer(head):sub(1, -2))
    local hasty = attempt(0.05, answers)
    hasty:write(raw.answer(hasty:take_head()):sub(1, -2))
    assert.same({ 0.05, "timeout" }, { answers:take() })
    hasty:wait_for_end()
    assert.equal(0, answers:count())
    patient:write "\n"
    assert.same({ 60, "open" }, { answers:take() })
  end)

  it("the answer's head: 16 KiB, 100 headers", function()
    local function outcome(lines)
      local answers = async.mailbox()
      local peer = attempt(60, answers)
      peer:write(raw.answer(peer:take_head(), lines))
      return (select(2, answers:take()))
    end
    local rest = 16384 - #raw.answer(raw.opening "/")
    assert.equal("open", outcome("X: " .. ("y"):rep(rest - 5) .. "\r\n"))
    assert.equal("handshake", outcome("X: " .. ("y"):rep(rest - 4) .. "\r\n"))
    assert.equal("open", outcome(("X: y\r\n"):rep(97)))
    assert.equal("handshake", outcome(("X: y\r\n"):rep(98)))
  end)
end)

describe("moonwire.fetch", function()
  -- Ask a server made by hand; it sends these pieces, the last one when `go` was called.
  local function ask(options, first, last)
    local server, answers = raw.listen(true), async.mailbox()
    moonwire.spawn(function()
      local answer, _, code = moonwire.fetch(("http://127.0.0.1:%d/"):format(server.address.port), options)
      answers:put(answer and answer.body or code)
    end)
    local peer = server:accept()
    peer:take_head()
    peer:write(first)
    return answers, function()
      peer:write(last or "")
      peer:shutdown()
    end
  end

  local function outcome(options, bytes)
    local answers, go = ask(options, bytes)
    go()
    return (answers:take())
  end

  it("max_bytes, of a known length, in chunks, and up to the end", function()
    local OK = "HTTP/1.1 200 OK\r\n"
    for _, form in ipairs {
      OK .. "Content-Length: %d\r\n\r\n%s",
      OK .. "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
      OK .. "X-Length: %d\r\n\r\n%s",
    } do
      local fits, more = ("x"):rep(1000), ("x"):rep(1001)
      assert.equal(fits, outcome({ max_bytes = 1000 }, form:format(1000, fits)))
      assert.equal("too_large", outcome({ max_bytes = 1000 }, form:format(1001, more)))
      local received = 0
      local function sink(piece)
        received = received + #piece
      end
      assert.equal("too_large", outcome({ max_bytes = 1000, sink = sink }, form:format(1001, more)))
      assert.truthy(received <= 1000)
    end
    assert.equal("", outcome({ max_bytes = 0 }, OK .. "Content-Length: 0\r\n\r\n"))
  end)

  it("timeout, until the last byte is there", function()
    local head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    for _, cut in ipairs { 0, 10, #head, #head + 4 } do
      local whole = head .. "Hello"
      local patient, go = ask({ timeout = 60 }, whole:sub(1, cut), whole:sub(cut + 1))
      local hasty = ask({ timeout = 0.05 }, whole:sub(1, cut))
      assert.equal("timeout", hasty:take())
      assert.equal(0, patient:count())
      go()
      assert.equal("Hello", patient:take())
    end
  end)

  it("redirects: as many, and no more", function()
    local app = moonwire.app()
    app:get("/:left", function(req, res)
      local left = math.tointeger(tonumber(req.params.left))
      if left == 0 then
        res:send "there"
      else
        res:redirect("/" .. left - 1)
      end
    end)
    local port = assert(app:listen { host = "127.0.0.1", port = 0 }):address().port
    local function follow(count, redirects)
      local answer, _, code = moonwire.fetch(("http://127.0.0.1:%d/%d"):format(port, count), { redirects = redirects })
      return answer and answer.body or code
    end
    assert.same({ "there", "redirects" }, { follow(10), follow(11) })
    assert.same({ "there", "redirects" }, { follow(2, 2), follow(3, 2) })
    assert.same({ "there", "redirects" }, { follow(0, 0), follow(1, 0) })
    assert(app:close())
  end)

  it("the answer's head: 64 KiB, 256 headers", function()
    local function with(lines)
      return outcome(nil, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" .. lines .. "\r\nok")
    end
    local rest = 65536 - #"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    assert.equal("ok", with("X: " .. ("y"):rep(rest - 5) .. "\r\n"))
    assert.equal("malformed", with("X: " .. ("y"):rep(rest - 4) .. "\r\n"))
    assert.equal("ok", with(("X: y\r\n"):rep(255)))
    assert.equal("malformed", with(("X: y\r\n"):rep(256)))
  end)
end)
