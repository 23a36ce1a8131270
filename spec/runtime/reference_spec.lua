-- reference_spec.lua - promises of docs/reference.md that belong to no module alone: wrong use is told where it stands in
-- the script, closed things answer and don't raise, nobody waits for ever.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"

local app, address, inbox, base

before_each(function()
  inbox = async.mailbox()
  app = moonwire.app()
  app:ws("/ws", {
    open = inbox:putter "opened",
    message = function(ws, data)
      ws:send(data)
    end,
  })
  app:get("/stream", function(_, res)
    res:write "first"
    res:on_abort(inbox:putter "aborted")
    res:defer()
    inbox:put("streaming", res)
  end)
  address = assert(app:listen { host = "127.0.0.1", port = 0 }):address()
  base = ("ws://127.0.0.1:%d/ws"):format(address.port)
end)

after_each(function()
  async.run(function()
    app:close { timeout = 5 }
  end)
end)

local HERE = debug.getinfo(1, "S").short_src

-- What a function says when it is called with these arguments; it must say so about the line of the call, in this file.
local function complaint(fn, ...)
  local line = debug.getinfo(1, "l").currentline + 2
  local ok, message = pcall(function(...)
    local result = fn(...)
    return result
  end, ...)
  assert.is_false(ok)
  local at = ("%s:%d: "):format(HERE, line)
  assert.equal(at, message:sub(1, #at), message)
  return message:sub(#at + 1)
end

describe("wrong use is told at the script's line", function()
  it("by moonwire's functions", function()
    for _, case in ipairs {
      { moonwire.app, { prot = 1 }, expected = "unknown option 'prot'" },
      { moonwire.fetch, "http://h/", { timeot = 1 }, expected = "did you mean 'timeout'?" },
      { moonwire.fetch, "http://h/", { headers = { Connection = "x" } }, expected = "header 'Connection'" },
      { moonwire.fetch, "http://h/", { proxy = "http://user:pass@h:1" }, expected = "'proxy' must not have a user name" },
      { moonwire.connect, expected = "bad argument #1 to 'connect'" },
      { moonwire.connect, "http://h/", expected = "the scheme must be ws or wss" },
      { moonwire.connect, base, { protocol = {} }, expected = "did you mean 'protocols'?" },
      { moonwire.connect, base, { heartbeat = { interval = 1 } }, expected = "option 'heartbeat' needs 'message'" },
      { moonwire.connect, base, { queue = { max_bytes = 2 << 20 } }, expected = "option 'queue.max_bytes'" },
      { moonwire.connect, base, { high_water = 2, max_backpressure = 1 }, expected = "option 'high_water'" },
      { moonwire.connect, base, { headers = { Host = "x" } }, expected = "header 'Host'" },
      { moonwire.connect, base, { headers = { ["a b"] = "x" } }, expected = 'header name "a b"' },
      { moonwire.connect, base, { proxy = "http://user@h:1" }, expected = "'proxy' must not have a user name" },
      { moonwire.reject, 200, expected = "bad argument #1 to 'reject'" },
      { moonwire.sleep, "1", expected = "bad argument #1 to 'sleep'" },
      { moonwire.spawn, 1, expected = "bad argument #1 to 'spawn'" },
      { moonwire.after, 1, expected = "bad argument #2 to 'after'" },
      { moonwire.every, 0, print, expected = "bad argument #1 to 'every'" },
      { moonwire.log, "loud", "", expected = "bad argument #1 to 'log'" },
      { moonwire.json.encode, print, expected = "json.encode: " },
    } do
      local message = complaint(table.unpack(case))
      assert.truthy(message:find(case.expected, 1, true), message)
    end
  end)

  it("by an app", function()
    for _, case in ipairs {
      { app.get, app, "no-slash", print, expected = "route pattern 'no-slash'" },
      { app.get, app, "/x", { max_bod = 1 }, print, expected = "did you mean 'max_body'?" },
      { app.ws, app, "/x", { mesage = print }, expected = "did you mean 'message'?" },
      { app.use, app, 1, print, expected = "bad argument #1 to 'use'" },
      { app.static, app, "/", "/nowhere", expected = "static: ENOENT" },
      { app.listen, app, { prot = 1 }, expected = "did you mean 'port'?" },
      { app.close, app, { code = 1005 }, expected = "option 'code'" },
    } do
      local message = complaint(table.unpack(case))
      assert.truthy(message:find(case.expected, 1, true), message)
    end
  end)

  it("by a WebSocket of either side", function()
    local ws = assert(moonwire.connect(base))
    local other = inbox:take "opened"
    for _, side in ipairs { ws, other } do
      assert.matches("^bad argument #1 to 'close' %(a close code", complaint(side.close, side, 1005))
      assert.matches("^bad argument #2 to 'close'", complaint(side.close, side, 1000, ("x"):rep(124)))
      assert.matches("^a text message must be UTF%-8", complaint(side.send, side, "\xff"))
      assert.matches("a ping carries at most 125 bytes", complaint(side.ping, side, ("x"):rep(126)))
    end
    assert.matches("^messages: only for", complaint(other.messages, other))
    assert.matches("^publish: a client", complaint(ws.publish, ws, "topic", "x"))
    ws:terminate()
  end)
end)

describe("a closed WebSocket", function()
  it("answers, on either side", function()
    local closed = async.mailbox()
    local ws = assert(moonwire.connect(base, { data = "mine", close = closed:putter "closed" }))
    local other = inbox:take "opened"
    assert.is_true(ws:close(1000, "done"))
    closed:take "closed"
    async.wait_until(function()
      return other.ready_state == moonwire.CLOSED
    end)
    for _, side in ipairs { ws, other } do
      for _, call in ipairs { { "send", "x" }, { "send_json", {} }, { "ping" }, { "close" }, { "terminate" } } do
        local results = table.pack(side[call[1]](side, call[2]))
        assert.same({ nil, "closed", "closed", n = 3 }, results, call[1])
      end
      assert.same({ moonwire.CLOSED, 0, {} }, { side.ready_state, side.buffered, side:topics() })
    end
    assert.same({ nil, "closed", "closed" }, { other:subscribe "x" })
    assert.is_false(other:unsubscribe "x")
    assert.equal(0, other:publish("x", "y"))
    assert.equal("mine", ws.data)
  end)
end)

describe("connect", function()
  it("does not wait for ever for an open handler that fails", function()
    assert.same({ nil, "a handler failed", "closed" }, {
      moonwire.connect(base, {
        open = function()
          error "not today"
        end,
      }),
    })
  end)
end)

describe("a stream that the app ends", function()
  it("tells whoever writes to it", function()
    moonwire.spawn(moonwire.fetch, ("http://127.0.0.1:%d/stream"):format(address.port))
    local res = inbox:take "streaming"
    assert.is_true(app:close { timeout = 5 })
    assert.equal(1, inbox:count "aborted")
    assert.is_true(res.aborted)
    assert.same({ nil, "the connection is closed", "closed" }, { res:write "more" })
    assert.same({ nil, "the connection is closed", "closed" }, { res:finish() })
  end)
end)
