-- backpressure_spec.lua - what becomes of a reader that is slower than what is sent to it: the send queue's high-water mark
-- and its bound, under each of the three policies. The readers are raw and simply stop reading.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local visitor = require "spec.support.visitor"

local TEXT = visitor.TEXT
local PIECE = ("x"):rep(1 << 16)
local BOUND = 4 * (1 << 16) + 1000

local app, inbox
local function serve(behaviour)
  inbox = async.mailbox()
  for _, name in ipairs { "open", "message", "close", "drain", "dropped" } do
    behaviour[name] = behaviour[name] or inbox:putter(name)
  end
  app = moonwire.app():ws("/", behaviour)
  return assert(app:listen { host = "127.0.0.1", port = 0 }):address().port
end

-- A reader that has stopped to read, and the server's side of it.
local function stalled_reader(port)
  local client = visitor.connect(port)
  -- Then the kernel holds less than it might.
  client.socket:recv_buffer_size(1 << 18)
  client:upgrade()
  client:pause()
  local ws = inbox:take "open"
  return client, ws
end

after_each(function()
  visitor.close_all()
  assert(app:close { timeout = 5 })
end)

-- Numbered, so that the reader can tell which ones came.
local function numbered(i)
  return ("%08d"):format(i) .. PIECE
end

-- Send until one is refused; returns how many were not, and the refusal.
local function send_until_refused(ws)
  local count = 0
  while true do
    local ok, message, code = ws:send(numbered(count + 1))
    if not ok then
      return count, ok, message, code
    end
    count = count + 1
  end
end

local function expect_numbered(client, count)
  client:resume()
  for i = 1, count do
    assert.equal(i, tonumber(client:message():sub(1, 8)))
  end
end

describe("a slow reader under policy close", function()
  it("is closed with 1008 when the queue would grow above max_backpressure, behind what it was sent", function()
    local client, ws = stalled_reader(serve { max_backpressure = BOUND })
    local count, ok, _, code = send_until_refused(ws)
    assert.same({ nil, "closing" }, { ok, code })
    assert.equal(moonwire.CLOSING, ws.ready_state)
    assert.truthy(ws.buffered <= BOUND + 50)
    expect_numbered(client, count)
    local close_code, reason = client:expect_close()
    assert.same({ 1008, "slow consumer" }, { close_code, reason })
    assert.same({ ws, 1008, "slow consumer" }, { inbox:take "close" })
  end)

  it("is closed by a publication too, and nobody else is", function()
    local port = serve { max_backpressure = BOUND }
    local client, ws = stalled_reader(port)
    local other = visitor.connect(port)
    other:upgrade()
    local other_ws = inbox:take "open"
    ws:subscribe "news"
    other_ws:subscribe "news"
    local count = 0
    repeat
      count = count + 1
      local receivers = app:publish("news", numbered(count))
      assert.equal(count, tonumber(other:message():sub(1, 8)))
    until receivers == 1
    assert.equal(moonwire.CLOSING, ws.ready_state)
    expect_numbered(client, count - 1)
    assert.equal(1008, (client:expect_close()))
    assert.same({ ws, 1008, "slow consumer" }, { inbox:take "close" })
    assert.equal(0, inbox:count "close")
  end)

  it("takes one message above the bound when nothing else waits", function()
    local client, ws = stalled_reader(serve { max_backpressure = 1000 })
    assert.is_true(ws:send(numbered(1)))
    assert.equal(moonwire.OPEN, ws.ready_state)
    expect_numbered(client, 1)
  end)
end)

describe("a slow reader under policy drop", function()
  it("keeps its connection: what does not fit is refused", function()
    local client, ws = stalled_reader(serve { slow = "drop", max_backpressure = BOUND })
    local count, ok, message, code = send_until_refused(ws)
    assert.same({ nil, "the send queue is full", "full" }, { ok, message, code })
    assert.truthy(ws.buffered <= BOUND)
    -- One that is small enough still fits.
    local room = BOUND - ws.buffered
    assert.is_nil((ws:send(("y"):rep(room + 1))))
    assert.is_true((ws:send(("y"):rep(room - 14))))
    assert.same({ 0, 0 }, { inbox:count "dropped", inbox:count "close" })
    expect_numbered(client, count)
    assert.equal(("y"):rep(room - 14), client:message())
    inbox:take "drain"
    assert.is_true(ws:send "again")
    assert.equal("again", client:message())
  end)

  it("its publications go to the dropped handler", function()
    local port = serve { slow = "drop", max_backpressure = BOUND }
    local client, ws = stalled_reader(port)
    ws:subscribe "news"
    local count = 0
    while app:publish("news", numbered(count + 1)) == 1 do
      count = count + 1
    end
    local who, data = inbox:take "dropped"
    assert.equal(ws, who)
    assert.equal(numbered(count + 1), data)
    app:publish("news", PIECE .. "\xff", "binary")
    assert.equal(PIECE .. "\xff", select(2, inbox:take "dropped"))
    expect_numbered(client, count)
    inbox:take "drain"
    assert.equal(1, app:publish("news", "again"))
    assert.equal("again", client:message())
    assert.same({ 0, 0 }, { inbox:count "dropped", inbox:count "close" })
  end)

  it("the dropped handler may close, unsubscribe and publish", function()
    local behaviour = { slow = "drop", max_backpressure = BOUND }
    local port = serve(behaviour)
    app:ws("/busy", {
      slow = "drop",
      max_backpressure = BOUND,
      open = inbox:putter "open",
      close = inbox:putter "close",
      dropped = function(ws)
        inbox:put("dropped", ws)
        app:publish("news", "another one")
        ws:unsubscribe "news"
        app:publish("news", "the last one")
        ws:terminate()
      end,
    })
    local readers = {}
    for i = 1, 3 do
      local client = visitor.connect(port)
      client:upgrade "/busy"
      client:pause()
      readers[i] = inbox:take "open"
      readers[i]:subscribe "news"
    end
    while app:subscribers "news" > 0 do
      app:publish("news", PIECE)
    end
    for _ = 1, 3 do
      local _, code = inbox:take "close"
      assert.equal(1006, code)
    end
  end)
end)

describe("a slow reader under policy latest", function()
  it("gets only the newest publication of each topic when it reads again", function()
    local client, ws = stalled_reader(serve { slow = "latest", max_backpressure = BOUND })
    local topics, last = { "a", "b", "c" }, {}
    for _, topic in ipairs(topics) do
      ws:subscribe(topic)
    end
    -- More than all buffers between us hold, in turn; `c` falls silent before the end.
    local count = 600
    for i = 1, count do
      for _, topic in ipairs(topics) do
        if topic ~= "c" or i <= count - 100 then
          last[topic] = topic .. numbered(i)
          app:publish(topic, last[topic])
        end
      end
    end
    assert.truthy(ws.buffered <= BOUND)
    app:publish("a", "a, the end")
    last.a = "a, the end"
    client:resume()
    local seen, received, order = {}, 0, { a = 0, b = 0, c = 0 }
    repeat
      local message = client:message()
      local topic, number = message:sub(1, 1), tonumber(message:sub(2, 9))
      received = received + 1
      if number then
        assert.truthy(number > order[topic])
        order[topic] = number
      end
      seen[topic] = message
    until seen.a == last.a and seen.b == last.b and seen.c == last.c
    assert.truthy(received < count, received)
    async.quiet(0.02)
    assert.equal("", client.received)
    assert.same({ 0, 0 }, { inbox:count "dropped", inbox:count "close" })
    -- It is as quick as others again.
    assert.equal(1, app:publish("b", "after"))
    assert.equal("after", client:message())
  end)

  it("gets the newest of each of more topics than fit into the queue at once", function()
    local client, ws = stalled_reader(serve { slow = "latest", max_backpressure = BOUND })
    local topics, rounds = 200, 2
    for topic = 1, topics do
      ws:subscribe(tostring(topic))
    end
    for i = 1, rounds do
      for topic = 1, topics do
        app:publish(tostring(topic), ("%08d"):format(topic) .. numbered(i))
      end
    end
    client:resume()
    local missing, newest = topics, {}
    repeat
      local message = client:message()
      local topic, number = tonumber(message:sub(1, 8)), tonumber(message:sub(9, 16))
      assert.truthy(number > (newest[topic] or 0))
      newest[topic] = number
      missing = missing - (number == rounds and 1 or 0)
    until missing == 0
    async.quiet(0.02)
    assert.equal("", client.received)
  end)

  it("gets nothing more of a topic that it has left", function()
    local client, ws = stalled_reader(serve { slow = "latest", max_backpressure = BOUND })
    ws:subscribe "a"
    ws:subscribe "b"
    for i = 1, 600 do
      app:publish("a", "a" .. numbered(i))
      app:publish("b", "b" .. numbered(i))
    end
    ws:unsubscribe "b"
    client:resume()
    local newest_b, message = 0
    repeat
      message = client:message()
      newest_b = message:sub(1, 1) == "b" and tonumber(message:sub(2, 9)) or newest_b
    until message == "a" .. numbered(600)
    async.quiet(0.02)
    assert.equal("", client.received)
    assert.truthy(newest_b < 600)
  end)

  it("is told of its own messages that do not fit", function()
    local client, ws = stalled_reader(serve { slow = "latest", max_backpressure = BOUND })
    local count, ok, _, code = send_until_refused(ws)
    assert.same({ nil, "full" }, { ok, code })
    expect_numbered(client, count)
  end)
end)

describe("the high-water mark", function()
  it("is told by send, and drain fires once when little is left", function()
    local client, ws = stalled_reader(serve { high_water = 1 << 17, max_backpressure = 1 << 26 })
    for _ = 1, 2 do
      local count, ok, pressure = 0, nil, nil
      -- What the kernel takes at once does not count.
      repeat
        for _ = 1, 100 do
          count = count + 1
          ok, pressure = ws:send(numbered(count))
        end
        assert.same({ true, "backpressure" }, { ok, pressure })
        async.quiet(0.03)
      until ws.buffered > 1 << 17
      for _ = 1, inbox:count "drain" do
        inbox:take "drain"
      end
      -- Further ones are told the same, and change nothing.
      for i = 1, 10 do
        assert.equal("backpressure", select(2, ws:send(numbered(count + i))))
      end
      async.quiet(0.02)
      assert.equal(0, inbox:count "drain")
      expect_numbered(client, count + 10)
      assert.equal(ws, (inbox:take "drain"))
      assert.truthy(ws.buffered <= 1 << 16)
      async.quiet(0.02)
      assert.equal(0, inbox:count "drain")
      client:pause()
    end
  end)

  it("counts publications too", function()
    local client, ws = stalled_reader(serve { high_water = 1 << 17, max_backpressure = 1 << 24 })
    ws:subscribe "news"
    local count = 0
    repeat
      count = count + 1
      app:publish("news", numbered(count))
    until ws.buffered > 1 << 17
    expect_numbered(client, count)
    inbox:take "drain"
    async.quiet(0.02)
    assert.equal(0, inbox:count "drain")
  end)

  -- Small messages wait for the end of the turn, and seem to be stuck until then.
  it("fires drain for a reader that only seemed slow", function()
    local small = PIECE:sub(1, 600)
    local client = visitor.connect(serve { high_water = 1000, max_backpressure = 1 << 24, message = function(ws)
      inbox:put("sent", select(2, ws:send(small)), select(2, ws:send(small)))
    end })
    client:upgrade()
    client:send(TEXT, "go")
    assert.same({ n = 2, [2] = "backpressure" }, table.pack(inbox:take "sent"))
    assert.same({ small, small }, { client:message(), client:message() })
    inbox:take "drain"
    async.quiet(0.02)
    assert.equal(0, inbox:count "drain")
  end)

  it("lets a handler that waits for drain send without end", function()
    local sent, total = 0, 200
    local function fill(ws)
      while sent < total do
        sent = sent + 1
        local _, pressure = ws:send(numbered(sent))
        if pressure then
          return
        end
      end
    end
    local client = visitor.connect(serve { high_water = 1 << 16, max_backpressure = 1 << 18, open = fill, drain = fill })
    client:upgrade()
    expect_numbered(client, total)
    assert.equal(0, inbox:count "close")
  end)
end)

-- Such a one can't share what was compressed for all.
describe("a slow reader with a smaller compression window", function()
  local OFFER = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n"
  local noise = {}
  for i = 1, 1 << 16 do
    noise[i] = string.char(math.random(0, 255))
  end
  noise = table.concat(noise)

  local function stalled(slow)
    local client = visitor.connect(serve { slow = slow, max_backpressure = BOUND, compress = true })
    local head = client:upgrade("/", OFFER)
    assert.truthy(head:find("server_max_window_bits=10", 1, true))
    client:pause()
    local ws = inbox:take "open"
    ws:subscribe "news"
    return client
  end

  it("has its publications dropped as all others", function()
    stalled "drop"
    local count = 0
    while app:publish("news", count .. noise, "binary") == 1 do
      count = count + 1
    end
    assert.equal(count .. noise, select(2, inbox:take "dropped"))
  end)

  it("gets only the newest as all others", function()
    local client = stalled "latest"
    local count = 300
    for i = 1, count do
      assert.equal(1, app:publish("news", i .. noise, "binary"))
    end
    client:resume()
    local received = 0
    repeat
      received = received + 1
    until client:message() == count .. noise
    assert.truthy(received < count)
    assert.equal(0, inbox:count "dropped")
  end)
end)
