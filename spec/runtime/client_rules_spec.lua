-- client_rules_spec.lua - the rules of a client, one spec for each: those that front ends write anew, as their scenarios have
-- them. The server is real, and mostly node's ws; the time is the spec's: nothing here is waited for but bytes.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local virtual_clock = require "spec.support.virtual_clock"

local clock, server, url, ws
local NOWHERE = "ws://127.0.0.1:1/" -- nobody listens there

local function is(wanted, ...)
  assert.equal(wanted, ...)
end

setup(function()
  server = peer.start "ws_server.mjs"
  url = ("ws://127.0.0.1:%d"):format(server:expect("listening").port)
end)

before_each(function()
  clock = virtual_clock.take()
end)

after_each(function()
  if ws then
    ws:terminate()
    ws = nil
  end
  clock:release()
  server.events = {}
end)

teardown(peer.finish)

-- Connect to a path of the server; `record` gets what happens.
local function connect(path, options)
  local record = { messages = {}, closes = {}, waits = {}, dropped = {} }
  local given = { wait = false, ping_interval = false }
  for name, value in pairs(options or {}) do
    given[name] = value
  end
  function given.open(this)
    record.opens = (record.opens or 0) + 1
    if options and options.open then
      options.open(this)
    end
  end
  function given.message(_, data)
    table.insert(record.messages, data)
  end
  function given.close(_, code, reason)
    table.insert(record.closes, { code, reason })
  end
  function given.dropped(_, data, kind)
    table.insert(record.dropped, { data, kind })
  end
  function given.error(_, message, code)
    record.failure, record.message = code, message
  end
  function given.reconnecting(_, attempt, delay)
    table.insert(record.waits, delay)
    record.attempt = attempt
  end
  local problem, code
  ws, problem, code = moonwire.connect(path, given)
  return record, problem, code
end

local function wait_for(record, name, count)
  async.wait_until(function()
    local value = record[name]
    return (type(value) == "table" and #value or value or 0) >= (count or 1)
  end, ("%s %d"):format(name, count or 1))
end

-- Connect, and be connected.
local function open(path, options)
  local record = connect(url .. path, options)
  wait_for(record, "opens")
  server:expect "connection"
  return record
end

-- Time passes until there is an attempt, and no later; it fails, as nobody listens. Returns how long that took.
local function passes(record, seconds)
  local before = #record.waits
  clock:advance(seconds - 0.01)
  is(before, #record.waits)
  clock:advance(0.01)
  async.wait_until(function()
    return #record.waits > before or record.failure
  end, "the attempt to fail")
end

local function hears(text)
  is(text, server:expect("message").text)
end

describe("reconnecting", function()
  it("waits the same time before each attempt (every 3 s, without end)", function()
    local record = connect(NOWHERE, { reconnect = { retries = false, delay = 3, factor = 1, jitter = 0 } })
    wait_for(record, "waits")
    for _ = 1, 40 do
      passes(record, 3)
    end
    is(3, record.waits[#record.waits])
    is(41, record.attempt)
    is(nil, record.failure)
  end)

  it("waits longer each time, up to a limit", function()
    local record = connect(NOWHERE, { reconnect = { retries = 6, delay = 0.5, factor = 2, max_delay = 3, jitter = 0 } })
    wait_for(record, "waits")
    for _, seconds in ipairs { 0.5, 1, 2, 3, 3, 3 } do
      passes(record, seconds)
    end
    assert.same({ 0.5, 1, 2, 3, 3, 3 }, record.waits)
    is("refused", record.failure)
  end)

  it("waits as long as a function says (500 ms times the number of the attempt)", function()
    local record = connect(NOWHERE, { reconnect = { retries = false, delay = function(n)
      return 0.5 * n
    end } })
    wait_for(record, "waits")
    for n = 1, 8 do
      passes(record, 0.5 * n)
    end
    is(4.5, record.waits[9])
  end)

  it("leaves a share of each delay to chance", function()
    local record = connect(NOWHERE, { reconnect = { retries = false, delay = 8, factor = 1, jitter = 0.25 } })
    wait_for(record, "waits")
    clock.chance = 0.5
    passes(record, 8)
    clock.chance = 1
    passes(record, 7)
    passes(record, 6)
    assert.same({ 8, 7, 6, 6 }, record.waits)
  end)

  it("ends after so many attempts in a row (6 s each, ten at most)", function()
    local record = connect(NOWHERE, { reconnect = { retries = 10, delay = 6, factor = 1, jitter = 0 } })
    wait_for(record, "waits")
    for _ = 1, 10 do
      passes(record, 6)
    end
    is(10, #record.waits)
    is("refused", record.failure)
    is(0, clock:count())
  end)

  it("begins anew after a success", function()
    local record = open("/terminate", { reconnect = { retries = 2, delay = 1, factor = 2, jitter = 0 } })
    for n = 1, 5 do
      wait_for(record, "closes", n)
      wait_for(record, "waits", n)
      clock:advance(1)
      wait_for(record, "opens", n + 1)
    end
    assert.same({ 1, 1, 1, 1, 1 }, { table.unpack(record.waits, 1, 5) })
  end)

  it("makes one attempt at a time", function()
    local reconnect = { retries = 10, delay = 6, factor = 1, jitter = 0 }
    local record = connect(url .. "/slow-handshake", { timeout = false, reconnect = reconnect })
    server:expect "request"
    clock:advance(600)
    is(0, #record.waits)
    is(0, server:count "request")
    is(0, clock:count())
  end)

  it("does not follow a close by hand, neither when open nor between two attempts", function()
    local record = open("/echo", { reconnect = { retries = false, delay = 3, factor = 1, jitter = 0 } })
    ws:close(1000, "done")
    wait_for(record, "closes")
    assert.same({ 1000, "done" }, record.closes[1])
    is(0, clock:count())

    record = connect(NOWHERE, { reconnect = { retries = false, delay = 3, factor = 1, jitter = 0 } })
    wait_for(record, "waits")
    is(true, ws:close())
    is("cancelled", record.failure)
    is(0, clock:count())
  end)

  it("goes on only while there is a token", function()
    local token = "t1"
    local record = connect(function()
      return token and ("%s/status/503?token=%s"):format(url, token)
    end, { reconnect = { retries = 10, delay = 6, factor = 1, jitter = 0 } })
    is("/status/503?token=t1", server:expect("request").path)
    wait_for(record, "waits")
    token = "t2"
    passes(record, 6)
    is("/status/503?token=t2", server:expect("request").path)
    token = nil
    clock:advance(6)
    is("cancelled", record.failure)
    is(0, server:count "request")
    assert.same({ n = 3, nil, "there is no address to connect to", "cancelled" }, table.pack(moonwire.connect(function() end)))
  end)

  it("is told when a function gives an address that can't be one", function()
    local address = NOWHERE
    local record = connect(function()
      return address
    end, { reconnect = { delay = 1, jitter = 0 } })
    wait_for(record, "waits")
    address = "http://x/"
    clock:advance(1)
    is("cancelled", record.failure)
  end)
end)

describe("a heartbeat", function()
  local SIX = { retries = 10, delay = 6, factor = 1, jitter = 0 }

  it("leaves after 30 s without traffic, which every message that comes puts off", function()
    local record = open("/echo", { heartbeat = { message = "HeartBeat", interval = 30, timeout = 10 } })
    clock:advance(29)
    ws:send "news"
    hears "news"
    wait_for(record, "messages", 1)
    clock:advance(29.9)
    is(0, server:count "message")
    clock:advance(0.1)
    hears "HeartBeat"
    wait_for(record, "messages", 2)
    clock:advance(29.9)
    is(0, server:count "message")
    is(0, #record.closes)
  end)

  it("is answered by what is expected, which nobody else gets to see", function()
    local record = open("/echo", { heartbeat = { message = "HeartBeat", expect = "HeartBeat", interval = 30, timeout = 10 } })
    ws:send "news"
    hears "news"
    wait_for(record, "messages", 1)
    for n = 1, 3 do
      clock:advance(30)
      hears "HeartBeat"
      ws:send "between" -- comes back after the heartbeat: by then that was heard
      hears "between"
      wait_for(record, "messages", n + 1)
    end
    assert.same({ "news", "between", "between", "between" }, record.messages)
    is(0, #record.closes)
  end)

  it("that is answered by something else was not answered", function()
    local record = open("/echo", {
      reconnect = SIX,
      heartbeat = { message = "ping", interval = 30, timeout = 10, expect = function(data)
        return data == "pong"
      end },
    })
    clock:advance(30)
    hears "ping"
    wait_for(record, "messages", 1)
    clock:advance(9.9)
    is(0, #record.closes)
    clock:advance(0.1)
    wait_for(record, "closes")
    assert.same({ 1006, "no answer to the heartbeat in time" }, record.closes[1])
    wait_for(record, "waits")
    clock:advance(6)
    wait_for(record, "opens", 2)
  end)

  it("leaves every 30 s whatever the traffic, if it always should", function()
    local record = open("/echo", { heartbeat = { message = '{"heart":true}', interval = 30, always = true } })
    for n = 1, 4 do
      clock:advance(20)
      ws:send "traffic"
      hears "traffic"
      wait_for(record, "messages", 2 * n - 1)
      clock:advance(10)
      hears '{"heart":true}'
      wait_for(record, "messages", 2 * n)
    end
  end)

  it("may be a ping", function()
    local record = open("/echo", { heartbeat = { ping = true, interval = 10, timeout = 5 } })
    for n = 1, 3 do
      clock:advance(10)
      server:expect "ping"
      ws:send "after the pong"
      hears "after the pong"
      wait_for(record, "messages", n)
    end
    is(0, #record.closes)
  end)

  it("may be the server's, who is answered: 30 s and 1 s without one, and the connection is made anew after 1 s", function()
    local BEAT = '{"type":"heartCheck"}'
    local record = open("/silent", {
      reconnect = { retries = false, delay = 1, factor = 1, jitter = 0 },
      heartbeat = { expect = BEAT, answer = BEAT, interval = 30, timeout = 1 },
    })
    for _ = 1, 3 do
      clock:advance(30.9)
      server:tell { send = { text = BEAT } }
      hears(BEAT)
    end
    server:tell { send = { text = "something else" } }
    wait_for(record, "messages", 1)
    assert.same({ "something else" }, record.messages)
    clock:advance(30.9)
    is(0, #record.closes)
    clock:advance(0.1)
    wait_for(record, "closes")
    wait_for(record, "waits")
    assert.same({ 1 }, record.waits)
    clock:advance(1)
    wait_for(record, "opens", 2)
  end)

  it("stops with its connection: nothing of an old one is left when the next one opens", function()
    local record = open("/echo", { reconnect = SIX, heartbeat = { message = "beat", interval = 30 } })
    clock:advance(29)
    server:tell { terminate = true }
    wait_for(record, "closes")
    wait_for(record, "waits")
    is(1, clock:count()) -- the next attempt, and nothing else
    clock:advance(6)
    wait_for(record, "opens", 2)
    is(0, server:count "message")
    clock:advance(29.9)
    is(0, server:count "message")
    clock:advance(0.1)
    hears "beat"
  end)

  it("has rules that can be right", function()
    for fault, heartbeat in pairs {
      ["option 'heartbeat' needs 'message' or 'ping', or 'expect' for a server that beats"] = { interval = 5 },
      ["option 'heartbeat' has 'message' and 'ping'; choose one"] = { message = "x", ping = true },
      ["option 'heartbeat' has 'answer', but not in 'expect' what it answers"] = { message = "x", answer = "y" },
      ["option 'heartbeat' has 'always', but it is the server that beats"] = { expect = "x", always = true },
      ["option 'heartbeat.interval' must be a number of seconds from 0.001 to 2e+06, not 0"] = { ping = true, interval = 0 },
      ["unknown option 'heartbeat.expects'; did you mean 'expect'?"] = { message = "x", expects = "y" },
    } do
      local ok, raised = pcall(moonwire.connect, url, { heartbeat = heartbeat })
      is(false, ok)
      assert.truthy(raised:find(fault, 1, true), raised)
    end
  end)
end)

describe("what is sent while nothing can leave", function()
  it("waits in a queue until the connection is open, in order, behind what `open` sends", function()
    local record = connect(url .. "/echo", { queue = true, open = function(this)
      this:send "auth"
    end })
    assert.same({ true, "queued" }, { ws:send "one" })
    assert.same({ true, "queued" }, { ws:send_json { n = 2 } })
    assert.same({ true, "queued" }, { ws:send("\255", "binary") })
    wait_for(record, "messages", 4)
    assert.same({ "auth", "one", '{"n":2}', "\255" }, record.messages)
    is(true, ws:send "five")
    wait_for(record, "messages", 5)
    is(0, #record.dropped)
  end)

  it("is not lost however many attempts it takes (500 ms times n)", function()
    local address = NOWHERE
    local record = connect(function()
      return address
    end, { queue = true, reconnect = { retries = false, delay = function(n)
      return 0.5 * n
    end } })
    ws:send "early"
    wait_for(record, "waits")
    passes(record, 0.5)
    passes(record, 1)
    ws:send "between"
    address = url .. "/echo"
    clock:advance(1.5)
    hears "early"
    hears "between"
  end)

  it("is kept also between a loss and the next connection", function()
    local record = open("/echo", { queue = true, reconnect = { delay = 1, jitter = 0 } })
    server:tell { terminate = true }
    wait_for(record, "closes")
    assert.same({ true, "queued" }, { ws:send "meanwhile" })
    wait_for(record, "waits")
    clock:advance(1)
    hears "meanwhile"
  end)

  it("is kept up to a limit, and refused beyond", function()
    connect(NOWHERE, { queue = { max_messages = 2, max_bytes = 10 }, reconnect = { retries = false, delay = 60 } })
    assert.same({ true, "queued" }, { ws:send "12345" })
    assert.same({ n = 3, nil, "the queue for the time until the connection is open is full", "full" },
      table.pack(ws:send "123456"))
    assert.same({ true, "queued" }, { ws:send "12345" })
    is("full", (select(3, ws:send "")))
  end)

  it("is handed back when it will never leave", function()
    local record = connect(NOWHERE, { queue = true, reconnect = { retries = 1, delay = 1, jitter = 0 } })
    ws:send "one"
    ws:send("two", "binary")
    wait_for(record, "waits")
    clock:advance(1)
    wait_for(record, "dropped", 2)
    assert.same({ { "one", "text" }, { "two", "binary" } }, record.dropped)
    is("refused", record.failure)
    assert.same({ n = 3, nil, "closed", "closed" }, table.pack(ws:send "three"))

    record = connect(NOWHERE, { queue = true, reconnect = true })
    ws:send "one"
    wait_for(record, "waits")
    ws:close()
    assert.same({ { "one", "text" } }, record.dropped)
  end)

  it("is refused without a queue, with distinct answers for connecting, closing and closed; nothing is raised", function()
    local record = connect(url .. "/no-close-reply")
    assert.same({ n = 3, nil, "the connection is not open yet", "connecting" }, table.pack(ws:send "x"))
    wait_for(record, "messages", 1)
    ws:close(1000, "done")
    assert.same({ n = 3, nil, "the connection is closing", "closing" }, table.pack(ws:send "x"))
    ws:terminate()
    wait_for(record, "closes")
    assert.same({ n = 3, nil, "closed", "closed" }, table.pack(ws:send "x"))

    record = connect(NOWHERE, { reconnect = { delay = 60 } })
    wait_for(record, "waits")
    assert.same({ n = 3, nil, "the connection is not open yet", "connecting" }, table.pack(ws:send "x"))
  end)

  it("has limits that can be kept", function()
    for fault, options in pairs {
      ["option 'queue.max_bytes' must not be above 'max_backpressure'"] =
        { queue = { max_bytes = 2000 }, max_backpressure = 1000 },
      ["option 'queue.max_messages' must be an integer, at least 1, not 0"] = { queue = { max_messages = 0 } },
      ["option 'queue' must be true, false or a table, not 5"] = { queue = 5 },
    } do
      local ok, raised = pcall(moonwire.connect, url, options)
      is(false, ok)
      assert.truthy(raised:find(fault, 1, true), raised)
    end
  end)
end)

describe("leaving", function()
  it("is told with 1000 and a reason in any language, which arrives intact", function()
    open "/echo"
    ws:close(1000, "用户已经离开当前页面或页面发生刷新")
    local close = server:expect "close"
    assert.same({ 1000, "用户已经离开当前页面或页面发生刷新" }, { close.code, close.reason })
  end)
end)
