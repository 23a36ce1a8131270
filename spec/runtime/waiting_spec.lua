-- waiting_spec.lua - handlers that wait: the order of each connection is kept, nobody else is delayed, and everything that
-- waits can be used from everywhere. (Errors in them: handler_errors_spec.lua.)
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local core = require "moonwire.core"
local moonwire = require "moonwire"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local TEXT = visitor.TEXT

local app, inbox, port
before_each(function()
  app, inbox = moonwire.app(), async.mailbox()
end)

local function listen()
  port = assert(app:listen { host = "127.0.0.1", port = 0 }):address().port
end

local function serve(behaviour)
  app:ws("/", behaviour)
  listen()
end

local function open(target)
  local ws = visitor.connect(port)
  ws:upgrade(target)
  return ws
end

after_each(function()
  visitor.close_all()
  assert(app:close { timeout = 5 })
end)

-- A place where handlers wait until the spec lets them go on, one at a time and in any order.
local function gate()
  local waiting = {}
  local self = {}
  function self.wait(name)
    inbox:put("waits", name)
    local is_open = false
    waiting[name] = function()
      is_open = true
      async.wake()
    end
    async.wait_until(function()
      return is_open
    end)
  end
  function self.open(name)
    waiting[name]()
  end
  return self
end

describe("messages of one connection", function()
  it("come in order, one at a time, however long their handlers wait", function()
    local running = 0
    serve {
      message = function(ws, data)
        running = running + 1
        assert.equal(1, running)
        if tonumber(data) % 3 == 0 then
          moonwire.sleep(tonumber(data) % 2 == 0 and 0 or 0.001)
        end
        running = running - 1
        ws:send(data)
      end,
    }
    local ws = open()
    for i = 1, 200 do
      ws:send(TEXT, tostring(i))
    end
    for i = 1, 200 do
      assert.equal(tostring(i), ws:message())
    end
  end)

  it("wait for the open handler", function()
    local door = gate()
    serve {
      open = function()
        door.wait "open"
        inbox:put "opened"
      end,
      message = inbox:putter "message",
      close = inbox:putter "close",
    }
    local ws = visitor.connect(port)
    ws:write(visitor.opening() .. visitor.frame(TEXT, "with the handshake"))
    inbox:take "waits"
    ws:expect "^HTTP/1%.1 101.-\r\n\r\n" -- which does not wait
    ws:send(TEXT, "later")
    ws:send_close(4000)
    ws:expect_end()
    assert.equal(0, inbox:count())
    door.open "open"
    assert.equal("opened", (inbox:take()))
    assert.equal("with the handshake", select(2, inbox:take "message"))
    assert.equal("later", select(2, inbox:take "message"))
    assert.equal(4000, select(2, inbox:take "close"))
    assert.equal(0, inbox:count())
  end)

  it("are followed by close, which fires once, after the last of them", function()
    local door = gate()
    serve {
      message = function(_, data)
        door.wait(data)
        inbox:put("message", data)
      end,
      close = function(ws, code)
        inbox:put("close", code, ws:send "nobody hears this")
        moonwire.sleep(0.001)
        inbox:put "closed"
      end,
    }
    for _, way in ipairs { "close", "reset" } do
      local ws = open()
      -- In one piece: what was not read when a reset comes is gone.
      ws:write(visitor.frame(TEXT, "1") .. visitor.frame(TEXT, "2") .. visitor.frame(TEXT, "3"))
      inbox:take "waits"
      if way == "close" then
        ws:send_close(1000)
        ws:expect_end()
      else
        ws:reset()
      end
      for i = 1, 3 do
        door.open(tostring(i))
        assert.equal(tostring(i), (inbox:take "message"))
        if i < 3 then
          inbox:take "waits"
        end
      end
      assert.same({ way == "close" and 1000 or 1006, nil, "closed", "closed" }, { inbox:take "close" })
      inbox:take "closed"
    end
    assert.equal(0, inbox:count())
  end)

  it("make the peer wait when too many are queued, and none is lost", function()
    local door = gate()
    local count, size, received = 500, 30000, 0
    serve {
      max_payload = 100000,
      max_backpressure = 100000,
      open = function()
        door.wait "open"
      end,
      message = function(_, data)
        received = received + 1
        assert.equal(received, tonumber(data:sub(1, 8)))
        assert.equal(size, #data)
      end,
    }
    local ws = open()
    local written = 0
    for i = 1, count do
      ws.socket:write(visitor.frame(TEXT, ("%08d"):format(i) .. ("x"):rep(size - 8)), function()
        written = written + 1
      end)
    end
    inbox:take "waits"
    async.quiet(0.05)
    assert.truthy(written < count) -- 15 MB: not even the kernel takes all of it
    door.open "open"
    async.wait_until(function()
      return received == count
    end)
  end)

  it("go on coming after the peer had to wait, when each of them waits in its handler", function()
    local count, received = 300, 0
    serve {
      max_payload = 10000,
      max_backpressure = 20000,
      message = function()
        moonwire.sleep(0)
        received = received + 1
      end,
    }
    local ws = open()
    for _ = 1, count do
      ws:send(TEXT, ("x"):rep(1000))
    end
    async.wait_until(function()
      return received == count
    end, "all messages", 10)
  end)
end)

describe("a handler that waits", function()
  it("delays no other connection, no timer and no request", function()
    local door = gate()
    app:get("/", function(_, res)
      res:send "served"
    end)
    serve {
      message = function(ws, data)
        if data == "wait" then
          door.wait "message"
        end
        ws:send(data)
      end,
    }
    local slow, quick = open(), open()
    slow:send(TEXT, "wait")
    inbox:take "waits"
    for i = 1, 10 do
      quick:send(TEXT, tostring(i))
      assert.equal(tostring(i), quick:message())
    end
    local http = visitor.connect(port)
    http:request "/"
    assert.equal(200, (http:response()))
    moonwire.after(0.001, inbox:putter "timer")
    inbox:take "timer"
    assert.equal("", slow.received)
    door.open "message"
    assert.equal("wait", slow:message())
  end)

  it("still answers pings, and its own messages go out meanwhile", function()
    local door = gate()
    serve {
      message = function(ws)
        ws:send "before"
        door.wait "message"
        ws:send "after"
      end,
    }
    local ws = open()
    ws:send(TEXT, "go")
    assert.equal("before", ws:message())
    ws:send(visitor.PING, "?")
    assert.same({ visitor.PONG, "?" }, { ws:frame() })
    door.open "message"
    assert.equal("after", ws:message())
  end)

  it("finds its WebSocket closed when it goes on, and readable", function()
    local door = gate()
    serve {
      open = function(ws)
        ws.data.name = "its name"
        ws:subscribe "topic"
      end,
      message = function(ws)
        door.wait "message"
        inbox:put("after", ws.ready_state, ws.data.name, ws:topics()[1], ws:send "x")
      end,
      close = function(ws)
        inbox:put("close", ws.data.name, ws:topics()[1])
      end,
    }
    local ws = open()
    ws:send(TEXT, "go")
    inbox:take "waits"
    ws:reset()
    async.wait_until(function()
      return core.count().connections == 0
    end)
    door.open "message"
    assert.same({ moonwire.CLOSED, "its name", "topic", nil, "closed", "closed" }, { inbox:take "after" })
    assert.same({ "its name", "topic" }, { inbox:take "close" })
    async.wait_until(function()
      return app:subscribers "topic" == 0
    end)
  end)

  it("may ask the same server by fetch and connect", function()
    app:get("/answer", function(_, res)
      moonwire.sleep(0.001)
      res:send "42"
    end)
    app:ws("/echo", { message = function(ws, data)
      ws:send(data)
    end })
    serve {
      message = function(ws)
        local answer = assert(moonwire.fetch(("http://127.0.0.1:%d/answer"):format(port)))
        local client = assert(moonwire.connect(("ws://127.0.0.1:%d/echo"):format(port)))
        client:send(answer.body)
        for data in client:messages() do
          client:close()
          ws:send(data)
        end
      end,
    }
    local clients = {}
    for i = 1, 10 do
      clients[i] = open()
      clients[i]:send(TEXT, "go")
    end
    for _, each in ipairs(clients) do
      assert.equal("42", each:message())
    end
  end)

  it("may be an upgrade, a middleware or a request's", function()
    app:use(function(_, _, next)
      moonwire.sleep(0.001)
      next()
      moonwire.sleep(0.001)
      inbox:put "behind"
    end)
    app:get("/", function(_, res)
      moonwire.sleep(0.001)
      res:write "one "
      moonwire.sleep(0.001)
      res:write "two"
      res:finish()
    end)
    serve {
      upgrade = function(req)
        moonwire.sleep(0.001)
        return req.query.name == "known" and { name = "known" } or moonwire.reject(401)
      end,
      open = function(ws)
        ws:send(ws.data.name)
      end,
    }
    assert.equal("one two", moonwire.fetch(("http://127.0.0.1:%d/"):format(port)).body)
    inbox:take "behind"
    assert.equal("known", open("/?name=known"):message())
    local stranger = visitor.connect(port)
    stranger:write(visitor.opening())
    assert.equal(401, (stranger:response()))
  end)

  it("may wait in a coroutine of its own", function()
    serve {
      message = function(ws, data)
        -- A coroutine that the script makes goes back to whoever resumed it when it waits, and continues by itself.
        local step = coroutine.wrap(function()
          ws:send("begin " .. data)
          moonwire.sleep(0.001)
          ws:send("end " .. data)
        end)
        step()
        ws:send("handler " .. data)
        local generate = coroutine.wrap(function()
          for i = 1, 3 do
            coroutine.yield(i)
          end
        end)
        for i in generate do
          moonwire.sleep(0)
          ws:send(tostring(i))
        end
      end,
    }
    local ws = open()
    ws:send(TEXT, "1")
    local messages = {}
    for i = 1, 6 do
      messages[i] = ws:message()
    end
    assert.same({ "begin 1", "handler 1" }, { messages[1], messages[2] })
    table.sort(messages)
    assert.same({ "1", "2", "3", "begin 1", "end 1", "handler 1" }, messages)
  end)
end)

describe("a WebSocket is of use", function()
  it("in timers, requests and handlers of others", function()
    local first
    app:post("/say", function(req, res)
      first:send(req.body)
      res:send ""
    end)
    serve {
      open = function(ws)
        first = first or ws
        moonwire.after(0.001, function()
          ws:send "from a timer"
        end)
        local timer = uv.new_timer()
        timer:start(1, 0, function()
          timer:close()
          ws:send "from luv"
        end)
      end,
      message = function(_, data)
        first:send(data)
      end,
    }
    local one, two = open(), open()
    local heard = { one:message(), one:message() }
    table.sort(heard)
    assert.same({ "from a timer", "from luv" }, heard)
    two:send(TEXT, "from another")
    assert.equal("from another", one:message())
    local http = visitor.connect(port)
    http:request("/say", nil, "POST", "from a request")
    assert.equal("from a request", one:message())
  end)
end)
