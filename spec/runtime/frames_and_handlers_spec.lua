-- frames_and_handlers_spec.lua - frames that come while handlers wait, close, or are behind: what was sent before a close
-- or a broken rule is still delivered in its order, nothing after it is, and `close` comes once and last.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local raw = require "spec.support.raw"

local BROKEN = raw.frame(15, "x")

local app, path, port, box
local events

local function note(...)
  events[#events + 1] = table.concat({ ... }, " ")
  async.wake()
end

-- Serve a route at /ws that notes its events; `handlers` are run after that.
local function serve(handlers)
  local behaviour = {}
  for name, value in pairs(handlers) do
    behaviour[name] = value
  end
  behaviour.message = function(ws, data, kind)
    note("message", #data <= 10 and data or #data)
    if handlers.message then
      handlers.message(ws, data, kind)
    end
  end
  behaviour.close = function(_, code)
    note("close", code)
  end
  app = moonwire.app():ws("/ws", behaviour)
  path = async.directory() .. "/socket"
  assert(app:listen { path = path })
  port = assert(app:listen { port = 0 }):address().port
end

local function open(is_tcp)
  local peer = raw.connect(is_tcp and { host = "127.0.0.1", port = port } or { path = path })
  peer:write(raw.opening "/ws")
  peer:take_head()
  return peer
end

local function write(peer, ...)
  peer:write(raw.encode({ ... }, true))
end

local function wait_for_close_event()
  async.wait_until(function()
    return events[#events] and events[#events]:find "^close"
  end, "the close event")
  raw.turn()
end

local function assert_frames(expected, peer)
  assert.equal(raw.encode(expected, false), peer.received)
end

-- The handler of the first message waits for "go on" in the box.
local function first_waits(ws, data)
  if data == "1" then
    box:put "waiting"
    box:take "go on"
    box:put("sent", ws:send "late")
  end
end

before_each(function()
  events, box = {}, async.mailbox()
end)

after_each(function()
  raw.close_all()
  app:close { timeout = 5 }
end)

describe("a handler that closes", function()
  it("gets nothing of what came in the same read, nor later", function()
    serve { message = function(ws)
      ws:close(4000, "enough")
    end }
    local peer = open()
    write(peer, raw.text "1", raw.text "2", raw.ping "p")
    peer:wait_for_close_frame()
    write(peer, raw.text "3", raw.ping "q", raw.close(4000))
    peer:wait_for_end()
    wait_for_close_event()
    assert.same({ "message 1", "close 4000" }, events)
    assert_frames({ raw.close(4000, "enough") }, peer)
  end)

  it("is told about a broken rule that follows, once", function()
    serve { message = function(ws)
      ws:close(4000)
    end }
    local peer = open()
    write(peer, raw.text "1", BROKEN)
    peer:wait_for_end()
    wait_for_close_event()
    assert.same({ "message 1", "close 1002" }, events)
    assert_frames({ raw.close(4000) }, peer)
  end)

  it("is told when the stream ends without an answer", function()
    serve { message = function(ws)
      ws:close(4000)
    end }
    local peer = open()
    write(peer, raw.text "1")
    peer:wait_for_close_frame()
    peer:shutdown()
    wait_for_close_event()
    assert.same({ "message 1", "close 1006" }, events)
  end)

  it("is told when no answer comes in time", function()
    serve { close_timeout = 0.02, message = function(ws)
      ws:close(4000)
    end }
    local peer = open()
    write(peer, raw.text "1")
    peer:wait_for_end()
    wait_for_close_event()
    assert.same({ "message 1", "close 1006" }, events)
    assert_frames({ raw.close(4000) }, peer)
  end)

  it("by terminating gets nothing further, and says nothing", function()
    serve { message = function(ws)
      ws:terminate()
    end }
    local peer = open()
    write(peer, raw.text "1", raw.text "2", raw.close(1000))
    peer:wait_for_end()
    wait_for_close_event()
    assert.same({ "message 1", "close 1006" }, events)
    assert.equal("", peer.received)
  end)

  it("in `open` gets no message that came with the handshake", function()
    serve { open = function(ws)
      ws:close(4001)
    end }
    local peer = raw.connect { path = path }
    peer:write(raw.opening "/ws" .. raw.encode({ raw.text "1", raw.close(4001) }, true))
    peer:take_head()
    peer:wait_for_end()
    wait_for_close_event()
    assert.same({ "close 4001" }, events)
    assert_frames({ raw.close(4001) }, peer)
  end)
end)

describe("while a handler waits", function()
  before_each(function()
    serve { message = first_waits }
  end)

  it("a broken rule is answered at once; `close` comes behind what was sent before it", function()
    local peer = open()
    write(peer, raw.text "1", raw.text "2", BROKEN, raw.text "3")
    box:take "waiting"
    peer:wait_for_end()
    assert.equal(1002, (">I2"):unpack(raw.decode(peer.received)[1].payload))
    assert.same({ "message 1" }, events)
    box:put "go on"
    assert.is_nil((box:take "sent"))
    wait_for_close_event()
    assert.same({ "message 1", "message 2", "close 1002" }, events)
  end)

  it("a close is answered at once; `close` comes behind what was sent before it", function()
    local peer = open()
    write(peer, raw.text "1", raw.text "2", raw.ping "p", raw.close(3000))
    box:take "waiting"
    peer:wait_for_end()
    assert_frames({ raw.pong "p", raw.close(3000) }, peer)
    assert.same({ "message 1" }, events)
    box:put "go on"
    wait_for_close_event()
    assert.same({ "message 1", "message 2", "close 3000" }, events)
  end)

  it("pings are answered, and fragments put together", function()
    local peer = open()
    write(peer, raw.text "1", raw.text("2", { fin = false }), raw.ping "p", raw.continuation "3")
    box:take "waiting"
    peer:wait_for(3)
    assert_frames({ raw.pong "p" }, peer)
    box:put "go on"
    write(peer, raw.close(1000))
    wait_for_close_event()
    assert.same({ "message 1", "message 23", "close 1000" }, events)
  end)
end)

-- More than is kept for a handler that waits: the rest stays in the kernel, and must not be lost there.
describe("behind a handler that has fallen behind", function()
  local COUNT = 1000
  local TEXT = ("x"):rep(100)

  for _, case in ipairs {
    { "a close", raw.close(3000), "close 3000" },
    { "a broken rule", BROKEN, "close 1002" },
    { "the end of the stream", "", "close 1006" },
  } do
    -- Over TCP, what we send to a socket that was closed would make the kernel throw away the rest.
    for _, way in ipairs { { "TCP", "shutdown" }, { "a Unix socket", "shutdown" }, { "a Unix socket", "close" } } do
      it(("%s over %s (%s) comes last, and nothing is lost"):format(case[1], way[1], way[2]), function()
        serve { max_payload = 1000, max_backpressure = 1000, message = first_waits }
        local peer = open(way[1] == "TCP")
        local list = { raw.text "1" }
        for i = 2, COUNT do
          list[i] = raw.text(TEXT)
        end
        list[COUNT + 1] = case[2]
        write(peer, table.unpack(list))
        box:take "waiting"
        async.wait_until(function()
          return peer.handle:get_write_queue_size() == 0 or way[2] == "shutdown"
        end, "everything to be written")
        peer[way[2]](peer)
        raw.turn()
        box:put "go on"
        wait_for_close_event()
        assert.equal(COUNT + 1, #events)
        assert.equal(case[3], events[#events])
      end)
    end
  end
end)
