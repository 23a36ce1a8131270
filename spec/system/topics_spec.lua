-- topics_spec.lua - subscribe and publish: who gets what, in which order, and that a publication compressed once for all
-- fits into the compressed stream of each receiver. The receivers are node's ws.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"

local app, address, sockets, closed

-- Every client that connects to /topic/name is subscribed to the topic, and known as sockets[name].
local function serve(options)
  app, sockets, closed = moonwire.app(), {}, {}
  options = options or {}
  options.upgrade = function(req)
    return { name = req.params.name, topic = req.params.topic }
  end
  options.open = function(ws)
    ws:subscribe(ws.data.topic)
    sockets[ws.data.name] = ws
    async.wake()
  end
  options.close = function(ws)
    closed[ws.data.name] = ws:topics()
    async.wake()
  end
  app:ws("/:topic/:name", options)
  address = ("ws://127.0.0.1:%d"):format(assert(app:listen { host = "127.0.0.1", port = 0 }):address().port)
end

local function join(topic, name, options)
  local client = peer.take "ws_client.mjs"
  options = options or {}
  options.url = ("%s/%s/%s"):format(address, topic, name)
  client:tell { connect = options }
  client:expect "open"
  return client
end

local function assert_next(client, ...)
  for _, text in ipairs { ... } do
    assert.equal(text, client:expect("message").text)
  end
end

after_each(function()
  peer.stop_all()
  async.run(function()
    app:close { timeout = 5 }
  end)
end)

teardown(peer.finish)

describe("a publication", function()
  it("reaches every subscriber of its topic and nobody else", function()
    serve()
    local a, b, c = join("red", "a"), join("red", "b"), join("blue", "c")
    assert.equal(2, app:publish("red", "1"))
    assert.equal(1, app:publish("blue", "2"))
    assert.equal(0, app:publish("green", "3"))
    app:publish("red", "4")
    app:publish("blue", "4")
    assert_next(a, "1", "4")
    assert_next(b, "1", "4")
    assert_next(c, "2", "4")
  end)

  it("of a WebSocket reaches all but itself", function()
    serve()
    local a, b = join("red", "a"), join("red", "b")
    assert.equal(1, sockets.a:publish("red", "from a"))
    assert.equal(1, sockets.b:publish("red", "from b"))
    assert_next(a, "from b")
    assert_next(b, "from a")
  end)

  it("keeps its place among what is sent to one receiver", function()
    serve()
    local a, b = join("red", "a"), join("red", "b")
    for i = 1, 50 do
      sockets.a:send("private " .. i)
      app:publish("red", "public " .. i)
      app:publish("red", "again " .. i)
      sockets.b:publish("red", "not b " .. i)
    end
    for i = 1, 50 do
      assert_next(a, "private " .. i, "public " .. i, "again " .. i, "not b " .. i)
      assert_next(b, "public " .. i, "again " .. i)
    end
  end)

  it("may be binary, and must be UTF-8 if it is text", function()
    serve()
    local a = join("red", "a")
    app:publish("red", "\xff\x00", "binary")
    assert.equal("binary", a:expect("message").kind)
    assert.has_error(function()
      app:publish("red", "\xff")
    end, 'a text message must be UTF-8; pass "binary" as the kind for other bytes')
  end)

  it("reaches two subscriptions of one WebSocket once each", function()
    serve()
    local a = join("red", "a")
    assert.is_true(sockets.a:subscribe "blue")
    assert.is_true(sockets.a:subscribe "blue")
    assert.equal(1, app:subscribers "blue")
    app:publish("blue", "1")
    app:publish("red", "2")
    assert.is_true(sockets.a:unsubscribe "blue")
    assert.is_false(sockets.a:unsubscribe "blue")
    assert.equal(0, app:publish("blue", "3"))
    app:publish("red", "4")
    assert_next(a, "1", "2", "4")
  end)
end)

describe("a WebSocket that closes", function()
  it("still has its topics in the close handler, and none afterwards", function()
    serve()
    local a = join("red", "a")
    sockets.a:subscribe "blue"
    a:tell { close = { 1000, "" } }
    async.wait_until(function()
      return closed.a and app:subscribers "red" == 0
    end, "the close handler")
    table.sort(closed.a)
    assert.same({ "blue", "red" }, closed.a)
    assert.equal(0, app:subscribers "blue")
    assert.same({}, sockets.a:topics())
  end)

  it("is left out while the others go on, in any order of leaving", function()
    serve()
    local clients = {}
    for i = 1, 12 do
      clients[i] = join("red", "n" .. i)
    end
    for _, i in ipairs { 1, 12, 6, 7, 2 } do
      clients[i]:tell { terminate = true }
      async.wait_until(function()
        return closed["n" .. i] and app:subscribers "red" == #clients - 1 - (clients.gone or 0)
      end, "the close handler")
      clients.gone, clients[i] = (clients.gone or 0) + 1, false
    end
    assert.equal(7, app:publish("red", "still here"))
    for i = 1, 12 do
      if clients[i] then
        assert_next(clients[i], "still here")
      end
    end
  end)
end)

describe("a compressed publication", function()
  local LONG = ("the quick brown fox jumps over the lazy dog; "):rep(40)

  -- Publications (compressed without context) between messages of the connection's own context.
  local function talk(client)
    for i = 1, 20 do
      local private, public = LONG .. "private " .. i, LONG .. "public " .. i
      sockets.a:send(private)
      app:publish("red", public)
      sockets.a:send(private)
      app:publish("red", "short " .. i)
      sockets.a:send(private)
      assert_next(client, private, public, private, "short " .. i, private)
    end
  end

  for name, settings in pairs {
    ["without context takeover"] = { compress = true },
    ["with context takeover"] = {
      compress = { server_no_context_takeover = false, client_no_context_takeover = false, min_bytes = 100 },
    },
    ["with a window of 2^9 bytes"] = { compress = { server_max_window_bits = 9, server_no_context_takeover = false } },
  } do
    it("fits between a receiver's own messages " .. name, function()
      serve(settings)
      local a = join("red", "a", { deflate = true, max_payload = 1 << 20 })
      talk(a)
    end)
  end

  it("goes plain to those who did not ask for compression", function()
    serve { compress = true }
    local a, b = join("red", "a", { deflate = true }), join("red", "b", { deflate = false })
    for i = 1, 5 do
      app:publish("red", LONG .. i)
    end
    for i = 1, 5 do
      assert_next(a, LONG .. i)
      assert_next(b, LONG .. i)
    end
  end)
end)
