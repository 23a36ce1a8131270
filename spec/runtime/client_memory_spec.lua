-- client_memory_spec.lua - a WebSocket of moonwire.connect that has ended is garbage, with all that its handlers know: however it
-- ended, and although the handlers know the WebSocket itself.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"

local COUNT = 30
local LEFT = 3 -- whom the stack of a coroutine may still have, until it is used again

local app, url
local alive -- what the handlers of clients know -> true, weak

before_each(function()
  alive = setmetatable({}, { __mode = "k" })
  app = moonwire.app()
  app:ws("/", {
    message = function(ws, data)
      if data == "terminate" then
        ws:terminate()
      else
        ws:send(data)
      end
    end,
  })
  url = ("ws://127.0.0.1:%d/"):format(assert(app:listen { host = "127.0.0.1", port = 0 }):address().port)
end)

after_each(function()
  app:close { timeout = 1 }
end)

-- Connect with handlers that know the WebSocket and something of which we then hear whether it is still there.
local function connect(place, more)
  local known = {}
  alive[known] = true
  for _, name in ipairs { "open", "message", "close", "pong", "drain", "dropped", "error", "reconnecting" } do
    local handler = more[name]
    more[name] = function(...)
      known[name] = { ... }
      if handler then
        handler(...)
      end
    end
  end
  local ws, message = moonwire.connect(place, more)
  known.ws = ws
  return ws, message
end

local function wait_for_the_end(ws)
  async.wait_until(function()
    return ws.ready_state == moonwire.CLOSED
  end, "the end of a WebSocket")
end

local WAYS = {
  ["that was closed"] = function()
    local ws = connect(url, {})
    ws:send "x"
    ws:close()
    wait_for_the_end(ws)
  end,
  ["that was terminated"] = function()
    local ws = connect(url, { compress = true })
    ws:terminate()
    wait_for_the_end(ws)
  end,
  ["that the server terminated"] = function()
    local ws = connect(url, {})
    ws:send "terminate"
    wait_for_the_end(ws)
    assert.same({ nil, "closed", "closed" }, { ws:send "x" })
  end,
  ["that never got there"] = function()
    assert.is_nil((connect("ws://127.0.0.1:1/", {})))
  end,
  ["that came back, with a heartbeat and a queue"] = function()
    local opened = 0
    local ws = connect(url, {
      queue = true, heartbeat = { ping = true, interval = 30 }, reconnect = { delay = 0.001 },
      open = function(ws)
        opened = opened + 1
        if opened == 1 then
          ws:send "terminate"
        else
          ws:close()
        end
      end,
    })
    async.wait_until(function()
      return opened == 2
    end, "the second connection")
    wait_for_the_end(ws)
  end,
  ["that gave up between two attempts"] = function()
    local ws = connect("ws://127.0.0.1:1/", { wait = false, queue = true, reconnect = { delay = 1000, jitter = 0 },
      reconnecting = async.wake })
    assert.is_true((ws:send "kept"))
    async.quiet(0.02)
    ws:close()
  end,
}

for name, go in pairs(WAYS) do
  it("a WebSocket " .. name, function()
    for _ = 1, COUNT do
      async.run(go)
    end
    local left
    async.wait_until(function()
      collectgarbage()
      collectgarbage()
      left = 0
      for _ in pairs(alive) do
        left = left + 1
      end
      return left <= LEFT
    end, ("%d WebSockets to be collected; some are"):format(COUNT), 5)
  end)
end

-- What was let go is there again when it is needed.
it("a route whose last WebSocket has gone serves the next one", function()
  for i = 1, 3 do
    local ws = assert(moonwire.connect(url, {}))
    ws:send(("%d"):format(i))
    assert.equal(("%d"):format(i), (ws:messages()()))
    ws:close()
    wait_for_the_end(ws)
    collectgarbage()
  end
end)
