-- http_timing_spec.lua - requests that come too slowly, stop in the middle, or are answered to nobody: what the server does
-- then, and that nothing of the connection is left. Time limits are short here; specs wait for what happens and never
-- measure.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local core = require "moonwire.core"
local http_wire = require "spec.support.http_wire"
local moonwire = require "moonwire"
local raw = require "spec.support.raw"
local uv = require "luv"

local BATCH = 64
local GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
local POST = "POST /echo HTTP/1.1\r\nHost: x\r\n"

local app, address, connections_before, box
local calls = {}

-- An app on a Unix socket, with these limits.
local function serve(limits)
  app = moonwire.app(limits)
  app:use(function(req, _, next_handler)
    calls[#calls + 1] = ("%s %s %s"):format(req.method, req.path, req.body)
    next_handler()
  end)
  app:get("/", function(_, res)
    res:send "root"
  end)
  app:post("/echo", function(req, res)
    res:send(req.body)
  end)
  address = { path = async.directory() .. "/socket" }
  assert(app:listen(address))
end

-- All that a request of this kind gets before the server closes.
local function responses_until_end(peer)
  local list, rest = http_wire.responses(peer:wait_for_end(), {})
  assert.equal("", rest)
  return list
end

local function assert_nothing_left()
  async.wait_until(function()
    return core.count().connections == connections_before
  end, "the connection to be gone")
end

-- Write a byte every few milliseconds until the other end closes.
local function dribble(peer, bytes)
  local at = 0
  local timer = uv.new_timer()
  timer:start(0, 3, function()
    at = at + 1
    if peer.ended or at > #bytes then
      timer:stop()
    else
      peer:write(bytes:sub(at, at))
    end
  end)
  return timer
end

before_each(function()
  calls, box = {}, async.mailbox()
  connections_before = core.count().connections
end)

after_each(function()
  raw.close_all()
  app:close { timeout = 5 }
  assert_nothing_left()
end)

describe("a request head that is slow (RFC 9110 §15.5.9)", function()
  before_each(function()
    serve { head_timeout = 0.05, keep_alive_timeout = 0.05 }
  end)

  local function assert_408(peer, index)
    local answers = responses_until_end(peer)
    assert.equal(index, #answers)
    assert.equal(408, answers[index].status)
    assert.equal("close", answers[index].headers.connection)
    assert.equal(index - 1, #calls)
  end

  it("of nothing: the connection is closed without an answer", function()
    assert.equal("", raw.connect(address):wait_for_end())
  end)

  it("that stops in the middle: 408", function()
    local peer = raw.connect(address)
    peer:write "GET / HTTP/1.1\r\nHo"
    assert_408(peer, 1)
  end)

  it("that lacks its last byte: 408", function()
    local peer = raw.connect(address)
    peer:write(GET:sub(1, -2))
    assert_408(peer, 1)
  end)

  it("whose bytes dribble, however many: 408", function()
    local peer = raw.connect(address)
    local timer = dribble(peer, GET:sub(1, -3) .. "X: " .. ("y"):rep(10000))
    assert_408(peer, 1)
    timer:close()
  end)

  it("of the second request on a connection: 408", function()
    local peer = raw.connect(address)
    peer:write(GET .. "GET / HT")
    assert_408(peer, 2)
  end)

  it("of a second request that never comes: closed after the first answer", function()
    local peer = raw.connect(address)
    peer:write(GET)
    local answers = responses_until_end(peer)
    assert.same({ 1, "root" }, { #answers, answers[1].body })
  end)
end)

describe("a request body that is slow (RFC 9110 §15.5.9)", function()
  before_each(function()
    serve { body_timeout = 0.05, min_body_rate = 10000 }
  end)

  for _, case in ipairs {
    { "of a known length, that does not come", "Content-Length: 5\r\n\r\n", "" },
    { "of a known length, that stops", "Content-Length: 5\r\n\r\n", "Hell" },
    { "of a known length, that dribbles", "Content-Length: 10000\r\n\r\n", ("x"):rep(9999) },
    { "in chunks, that stops", "Transfer-Encoding: chunked\r\n\r\n", "5\r\nHello\r\n" },
    { "in chunks of one byte, that dribble", "Transfer-Encoding: chunked\r\n\r\n", ("1\r\nx\r\n"):rep(1000) },
    { "of trailers that dribble", "Transfer-Encoding: chunked\r\n\r\n", "0\r\n" .. ("X: y\r\n"):rep(1000) },
  } do
    it(case[1] .. ": 408", function()
      local peer = raw.connect(address)
      peer:write(POST .. case[2])
      local timer = dribble(peer, case[3])
      local answers = responses_until_end(peer)
      timer:close()
      assert.equal(1, #answers)
      assert.same({ 408, "close" }, { answers[1].status, answers[1].headers.connection })
      assert.same({}, calls)
    end)
  end
end)

it("a body slower than its time limit is waited for while it keeps coming", function()
  serve { body_timeout = 0.02, min_body_rate = 1 }
  local peer = raw.connect(address)
  peer:write(POST .. "Content-Length: 30\r\n\r\nbegin")
  local timer = dribble(peer, ("x"):rep(25))
  peer:wait_for(("x"):rep(25))
  timer:close()
  assert.equal(200, http_wire.responses(peer.received, {})[1].status)
end)

describe("a client that leaves (RFC 9112 §8)", function()
  before_each(function()
    serve()
    app:get("/deferred", function(_, res)
      res:on_abort(box:putter "abort")
      res:defer()
      box:put "called"
    end)
    app:get("/stream", function(_, res)
      res:on_abort(box:putter "abort")
      res:write "begin"
      res:defer()
      box:put "called"
    end)
    app:get("/late", function(_, res)
      box:put "called"
      box:take "answer now"
      box:put("answered", res:send "late")
    end)
  end)

  for i = 1, #GET - 1 do
    it(("after %d bytes of a head: nothing is served"):format(i), function()
      local peer = raw.connect(address)
      peer:write(GET:sub(1, i))
      raw.turn()
      peer:shutdown()
      assert.equal("", peer:wait_for_end())
      assert.same({}, calls)
    end)
  end

  for _, body in ipairs {
    "Content-Length: 5\r\n\r\nHell",
    "Transfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n0\r\n\r",
  } do
    it(("inside of a body, after %q: nothing is served"):format(body), function()
      local peer = raw.connect(address)
      peer:write(POST .. body)
      raw.turn()
      peer:shutdown()
      assert.equal("", peer:wait_for_end())
      assert.same({}, calls)
    end)
  end

  it("only half, behind a whole request, is answered", function()
    local peer = raw.connect(address)
    peer:write(GET)
    peer:shutdown()
    assert.equal("root", responses_until_end(peer)[1].body)
  end)

  it("only half, while the handler waits, is answered", function()
    local peer = raw.connect(address)
    peer:write "GET /late HTTP/1.1\r\nHost: x\r\n\r\n"
    box:take "called"
    peer:shutdown()
    raw.turn()
    box:put "answer now"
    assert.equal("late", responses_until_end(peer)[1].body)
    assert.is_true((box:take "answered"))
  end)

  for _, path in ipairs { "/deferred", "/stream" } do
    for _, how in ipairs { "close", "shutdown" } do
      it(("before the answer of %s is finished (%s): the handler is told once, and nothing is left"):format(path, how),
        function()
          local peer = raw.connect(address)
          peer:write(("GET %s HTTP/1.1\r\nHost: x\r\n\r\n"):format(path))
          box:take "called"
          raw.turn()
          peer[how](peer)
          box:take "abort"
          assert_nothing_left()
          assert.equal(0, box:count "abort")
        end)
    end
  end

  it("altogether, while the handler waits: the answer goes nowhere, and nothing is left", function()
    local peer = raw.connect(address)
    peer:write "GET /late HTTP/1.1\r\nHost: x\r\n\r\n"
    box:take "called"
    peer:close()
    assert_nothing_left()
    box:put "answer now"
    assert.is_nil((box:take "answered"))
  end)
end)

describe("a client that does not read", function()
  it("is dropped when its answer stays too long", function()
    serve { write_timeout = 0.05 }
    app:get("/big", function(_, res)
      res:send(("x"):rep(1 << 24))
      box:put "called"
    end)
    local peer = raw.connect(address)
    peer.handle:read_stop()
    peer:write "GET /big HTTP/1.1\r\nHost: x\r\n\r\n"
    box:take "called"
    assert_nothing_left()
  end)
end)

it("ten thousand requests behind a slow one are all answered, in their order", function()
  serve()
  app:get("/slow", function(_, res)
    box:take "go on"
    res:send "slow"
  end)
  app:get("/number/:n", function(req, res)
    res:send(req.params.n)
  end)
  local requests = { "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" }
  for i = 1, 10000 do
    requests[#requests + 1] = ("GET /number/%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(i)
  end
  local peer = raw.connect(address)
  peer:write(table.concat(requests))
  raw.turn()
  box:put "go on"
  peer:wait_for "\r\n\r\n10000$"
  local answers = http_wire.responses(peer.received, {})
  assert.equal(10001, #answers)
  for i = 2, 10001 do
    assert.equal(tostring(i - 1), answers[i].body)
  end
end)

describe("Expect: 100-continue (RFC 9110 §10.1.1)", function()
  local CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"

  before_each(function()
    serve { max_body = 100 }
  end)

  it("is answered before the body comes, once", function()
    local peer = raw.connect(address)
    peer:write(POST .. "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n")
    peer:wait_for(#CONTINUE)
    assert.equal(CONTINUE, peer.received)
    assert.same({}, calls)
    raw.send_in_pieces({ peer }, { { "H", "e", "l", "l", "o" } })
    peer:wait_for "Hello$"
    local answers = http_wire.responses(peer.received, {})
    assert.same({ 2, 200, "Hello" }, { #answers, answers[2].status, answers[2].body })
  end)

  it("is answered for chunks too", function()
    local peer = raw.connect(address)
    peer:write(POST .. "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    peer:wait_for(#CONTINUE)
    peer:write "5\r\nHello\r\n0\r\n\r\n"
    assert.equal(CONTINUE, peer:wait_for("Hello$"):sub(1, #CONTINUE))
  end)

  it("is not answered when the body is there already", function()
    local peer = raw.connect(address)
    peer:write(POST .. "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nHello")
    peer:wait_for "Hello$"
    assert.equal(200, http_wire.responses(peer.received, {})[1].status)
  end)

  it("is not answered without a body, nor in HTTP/1.0", function()
    for _, request in ipairs {
      "GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
      "POST /echo HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nroot",
    } do
      local peer = raw.connect(address)
      raw.send_in_pieces({ peer }, { { request:sub(1, -5), request:sub(-4) } })
      peer:wait_for "root$"
      assert.equal(200, http_wire.responses(peer.received, {})[1].status)
    end
  end)
end)

describe("an opening handshake (RFC 6455 §4)", function()
  local FRAMES = raw.encode({ raw.text "one", raw.ping "p", raw.text "two", raw.close(1000) }, true)
  local ANSWERS = raw.encode({ raw.text "one", raw.pong "p", raw.text "two", raw.close(1000) }, false)
  local events

  before_each(function()
    events = { open = 0, close = 0 }
    serve { max_per_address = 0 }
    app:ws("/ws", {
      upgrade = function(req)
        if req.query.wait then
          box:put "upgrading"
          box:take "go on"
        end
      end,
      open = function()
        events.open = events.open + 1
      end,
      message = function(ws, data)
        ws:send(data)
      end,
      close = function(_, code)
        events.close, events.code = events.close + 1, code
        async.wake()
      end,
    })
  end)

  it("may have frames behind it: none is lost, however it is cut", function()
    local bytes = raw.opening "/ws" .. FRAMES
    local ways = raw.ways(bytes, #bytes)
    for first = 1, #ways, BATCH do
      local peers, batch = {}, table.move(ways, first, math.min(first + BATCH - 1, #ways), 1, {})
      for i in ipairs(batch) do
        peers[i] = raw.connect(address)
      end
      raw.send_in_pieces(peers, batch)
      for _, peer in ipairs(peers) do
        assert.truthy(peer:take_head():find "^HTTP/1%.1 101 ")
        assert.equal(ANSWERS, peer:wait_for_end())
        peer:close()
      end
    end
    assert.same({ open = #ways, close = #ways, code = 1000 }, events)
  end)

  it("may have frames behind it that come while `upgrade` waits", function()
    local peer = raw.connect(address)
    peer:write(raw.opening "/ws?wait=1" .. FRAMES:sub(1, 12))
    box:take "upgrading"
    raw.send_in_pieces({ peer }, { { FRAMES:sub(13, 20), FRAMES:sub(21) } })
    assert.equal("", peer.received)
    box:put "go on"
    peer:take_head()
    assert.equal(ANSWERS, peer:wait_for_end())
    assert.same({ open = 1, close = 1, code = 1000 }, events)
  end)

  it("may have more frames behind it than are kept while `upgrade` waits", function()
    local peer = raw.connect(address)
    local text = ("x"):rep(1000)
    peer:write(raw.opening "/ws?wait=1" .. raw.encode({ raw.text(text) }, true):rep(300))
    box:take "upgrading"
    raw.turn()
    peer:write(raw.encode({ raw.close(1000) }, true))
    box:put "go on"
    peer:take_head()
    local frames = raw.decode(peer:wait_for_end())
    assert.equal(301, #frames)
    assert.same({ text, text }, { frames[1].payload, frames[300].payload })
    assert.same({ open = 1, close = 1, code = 1000 }, events)
  end)

  it("may be abandoned while `upgrade` waits: every open has its close", function()
    local peer = raw.connect(address)
    peer:write(raw.opening "/ws?wait=1")
    box:take "upgrading"
    peer:close()
    raw.turn()
    box:put "go on"
    assert_nothing_left()
    async.wait_until(function()
      return events.open == events.close
    end, "the close event")
    assert.is_true(events.open <= 1)
  end)

  -- Over TCP: a Unix socket tells of the end again with the first byte written.
  it("may be all that the client ever says: the end that came while `upgrade` waits is heard of", function()
    local tcp = assert(app:listen { host = "127.0.0.1", port = 0 }):address()
    local peer = raw.connect(tcp)
    peer:write(raw.opening "/ws?wait=1")
    box:take "upgrading"
    peer:shutdown()
    for _ = 1, 3 do -- the shutdown itself takes its turns
      raw.turn()
    end
    box:put "go on"
    peer:wait_for_end()
    assert_nothing_left()
    assert.same({ open = 1, close = 1, code = 1006 }, events)
  end)
end)
