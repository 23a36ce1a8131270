-- client_spec.lua - the rules of moonwire.connect: waiting, reconnecting, heartbeats, messages in a loop, and the reason
-- of every failure, told once. What is said on the wire is in peers_client_spec.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local tls = require "spec.support.tls"
local uv = require "luv"

local app, port

local function serve(routes, options)
  app = moonwire.app()
  for pattern, behaviour in pairs(routes) do
    app:ws(pattern, behaviour)
  end
  options = options or {}
  options.host, options.port = "127.0.0.1", options.port or 0
  port = assert(app:listen(options)):address().port
  return ("ws://127.0.0.1:%d"):format(port)
end

local function echo(ws, data, kind)
  ws:send(data, kind)
end

-- A server that accepts and then does what `on_bytes(client, bytes)` says.
local function raw_server(on_bytes)
  local server = uv.new_tcp()
  server:bind("127.0.0.1", 0)
  local clients = {}
  server:listen(16, function()
    local client = uv.new_tcp()
    server:accept(client)
    clients[client] = true
    client:read_start(function(_, bytes)
      if bytes then
        on_bytes(client, bytes)
      end
    end)
  end)
  return server:getsockname().port, function()
    for client in pairs(clients) do
      client:close()
    end
    server:close()
  end
end

after_each(function()
  if app then
    app:close { timeout = 5 }
    app = nil
  end
  peer.stop_all()
end)

describe("connect", function()
  it("waits until the connection is open", function()
    local url = serve { ["/"] = { message = echo } }
    local ws = assert(moonwire.connect(url))
    assert.equal(moonwire.OPEN, ws.ready_state)
    ws:close()
  end)

  it("returns at once with wait = false, and says why nothing can be sent yet", function()
    local url, opened = serve { ["/"] = { message = echo } }, false
    local ws = moonwire.connect(url, { wait = false, open = function() opened = true end })
    assert.equal(moonwire.CONNECTING, ws.ready_state)
    assert.same({ nil, "the connection is not open yet", "connecting" }, { ws:send "too early" })
    async.wait_until(function() return opened end, "open")
    assert.is_true(ws:send "now")
    ws:close()
    assert.same({ nil, "the connection is closing", "closing" }, { ws:send "too late" })
    async.wait_until(function() return ws.ready_state == moonwire.CLOSED end, "close")
    assert.same({ nil, "closed", "closed" }, { ws:send "much too late" })
  end)

  it("tells the error handler instead when nobody waits, once", function()
    local told = {}
    moonwire.connect("ws://127.0.0.1:1/", {
      wait = false,
      close = function() table.insert(told, "close") end,
      error = function(_, message, code) table.insert(told, { message, code }) end,
    })
    async.wait_until(function() return #told > 0 end, "the error")
    moonwire.sleep(0)
    assert.same({ { "127.0.0.1 port 1: Connection refused", "refused" } }, told)
  end)

  it("sends its headers, its subprotocols, and what was in the URL", function()
    local seen
    local url = serve {
      ["/:room"] = {
        protocols = { "chat.v1" },
        upgrade = function(req)
          seen = req
        end,
      },
    }
    local ws = assert(moonwire.connect(url:gsub("//", "//me:secret@") .. "/lobby?x=%20y", {
      protocols = { "chat.v2", "chat.v1" },
      headers = { ["X-Token"] = "abc", Origin = "http://127.0.0.1:" .. port },
    }))
    assert.equal("chat.v1", ws.protocol)
    assert.equal("lobby", seen.params.room)
    assert.equal(" y", seen.query.x)
    assert.equal("abc", seen.headers["x-token"])
    assert.equal("Basic bWU6c2VjcmV0", seen.headers.authorization)
    ws:close()
  end)

  it("refuses wrong use, naming it", function()
    for message, call in pairs {
      ["connect: the scheme must be ws or wss: http://x/"] = { "http://x/" },
      ["connect: unknown option 'reconect'; did you mean 'reconnect'?"] = { "ws://x/", { reconect = true } },
      ["connect: header 'Upgrade' is chosen by moonwire"] = { "ws://x/", { headers = { Upgrade = "h2c" } } },
      ["connect: option 'heartbeat' needs 'message' or 'ping', or 'expect' for a server that beats"] =
        { "ws://x/", { heartbeat = { interval = 5 } } },
    } do
      local ok, raised = pcall(moonwire.connect, table.unpack(call))
      assert.is_false(ok)
      assert.truthy(raised:find(message, 1, true), raised)
    end
  end)
end)

describe("the reason of a failure", function()
  local function reason(url, options)
    local ws, message, code = moonwire.connect(url, options)
    assert.is_nil(ws)
    assert.is_string(message)
    return code
  end

  it("is refused, dns or a status", function()
    local url = serve {
      ["/no"] = { upgrade = function() return moonwire.reject(401, "who are you?") end },
    }
    assert.equal("refused", reason "ws://127.0.0.1:1/")
    assert.equal("dns", reason "ws://name.invalid/")
    assert.equal("status 401", reason(url .. "/no"))
    assert.equal("status 404", reason(url .. "/nowhere"))
  end)

  it("is tls when the certificate is not trusted, not for this name, or the server speaks no TLS", function()
    local files = tls.files()
    local url = serve({ ["/"] = { message = echo } }, { tls = { cert = files.cert, key = files.key } })
    url = url:gsub("^ws:", "wss:")
    assert.equal("tls", reason(url))
    assert.equal("tls", reason(url, { tls = { ca = files.ca, server_name = "elsewhere.example" } }))
    assert.equal("tls", reason(url, { tls = { ca = "/does/not/exist" } }))
    assert(moonwire.connect(url, { tls = { ca = files.ca } })):close()
    assert(moonwire.connect(url, { tls = { verify = false } })):close()
    app:close()
    local plain = serve { ["/"] = { message = echo } }
    assert.equal("tls", reason(plain:gsub("^ws:", "wss:") .. "/"))
  end)

  it("is timeout, reset or handshake when the server misbehaves", function()
    local silent, stop_silent = raw_server(function() end)
    local rude, stop_rude = raw_server(function(client) client:shutdown() end)
    local wrong, stop_wrong = raw_server(function(client)
      client:write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        .. "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n")
    end)
    local garbage, stop_garbage = raw_server(function(client) client:write "SSH-2.0-OpenSSH_9.2\r\n\r\n" end)
    assert.equal("timeout", reason(("ws://127.0.0.1:%d/"):format(silent), { timeout = 0.2 }))
    assert.equal("reset", reason(("ws://127.0.0.1:%d/"):format(rude)))
    assert.equal("handshake", reason(("ws://127.0.0.1:%d/"):format(wrong)))
    assert.equal("handshake", reason(("ws://127.0.0.1:%d/"):format(garbage)))
    for _, stop in ipairs { stop_silent, stop_rude, stop_wrong, stop_garbage } do
      stop()
    end
  end)
end)

describe("reconnecting", function()
  -- A server that closes what it accepts, as often as told; then it keeps the connection.
  local function closing_server(times)
    local count = 0
    return serve {
      ["/"] = {
        open = function(ws)
          count = count + 1
          if count <= times then
            ws:close(1001, "again")
          end
        end,
        message = echo,
      },
    }
  end

  it("opens the same WebSocket again, one attempt at a time", function()
    local log = {}
    local ws = moonwire.connect(closing_server(3), {
      reconnect = { delay = 0.01, jitter = 0 },
      open = function(ws) table.insert(log, "open " .. tostring(ws.id)) end,
      close = function(_, code) table.insert(log, "close " .. code) end,
      reconnecting = function(_, n) table.insert(log, "reconnecting " .. n) end,
      message = function(_, data) table.insert(log, data) end,
    })
    async.wait_until(function() return #log == 10 end, "the fourth connection")
    ws:send "hello"
    async.wait_until(function() return #log == 11 end, "the echo")
    local round = { "open " .. ws.id, "close 1001", "reconnecting 1" }
    assert.same({ round[1], round[2], round[3], round[1], round[2], round[3], round[1], round[2], round[3], round[1],
      "hello" }, log)
    ws:close()
  end)

  it("waits longer each time, up to a limit, and gives up after so many attempts", function()
    local delays, failure = {}, nil
    local ws, _, code = moonwire.connect("ws://127.0.0.1:1/", {
      reconnect = { retries = 4, delay = 0.01, factor = 2, max_delay = 0.03, jitter = 0 },
      reconnecting = function(_, n, delay, _, why) delays[n] = { delay, why } end,
      error = function() failure = true end,
    })
    assert.is_nil(ws)
    assert.equal("refused", code)
    assert.is_nil(failure)
    assert.same({ { 0.01, "refused" }, { 0.02, "refused" }, { 0.03, "refused" }, { 0.03, "refused" } }, delays)
  end)

  it("takes its delays from a function, which ends it with nil", function()
    local asked = {}
    local ws = moonwire.connect("ws://127.0.0.1:1/", {
      reconnect = {
        delay = function(n)
          asked[n] = true
          return n < 3 and 0.005 or nil
        end,
      },
    })
    assert.is_nil(ws)
    assert.same({ true, true, true }, asked)
  end)

  it("does not happen after a close by hand, also between two attempts", function()
    local reconnecting = 0
    local ws = assert(moonwire.connect(closing_server(0), {
      reconnect = { delay = 0.01 },
      reconnecting = function() reconnecting = reconnecting + 1 end,
    }))
    ws:close()
    async.wait_until(function() return ws.ready_state == moonwire.CLOSED end, "close")
    assert.equal(0, reconnecting)
    local failed
    local other = moonwire.connect("ws://127.0.0.1:1/", {
      wait = false,
      reconnect = { delay = 3600 },
      reconnecting = function() reconnecting = reconnecting + 1 end,
      error = function(_, _, code) failed = code end,
    })
    async.wait_until(function() return reconnecting == 1 end, "the first failure")
    assert.is_true(other:close())
    assert.equal("cancelled", failed)
  end)
end)

describe("a heartbeat", function()
  it("is sent after silence, and its answer keeps the connection", function()
    local beats = 0
    local url = serve {
      ["/"] = {
        message = function(ws, data)
          beats = beats + (data == "HeartBeat" and 1 or 0)
          ws:send "ok"
        end,
      },
    }
    local ws = assert(moonwire.connect(url, {
      heartbeat = { message = "HeartBeat", interval = 0.02, timeout = 5 },
      message = function() end,
    }))
    async.wait_until(function() return beats >= 3 end, "three heartbeats")
    assert.equal(moonwire.OPEN, ws.ready_state)
    ws:close()
  end)

  it("without an answer ends the connection", function()
    local url, reason = serve { ["/"] = {} }, nil
    assert(moonwire.connect(url, {
      heartbeat = { message = function() return "beat" end, interval = 0.02, timeout = 0.05 },
      message = function() end,
      close = function(_, code, why) reason = { code, why } end,
    }))
    async.wait_until(function() return reason end, "close")
    assert.same({ 1006, "no answer to the heartbeat in time" }, reason)
  end)
end)

describe("messages in a loop", function()
  it("come in order, all of them, and end with the connection", function()
    local url = serve {
      ["/"] = {
        message = function(ws, count)
          for i = 1, tonumber(count) do
            ws:send(tostring(i), i % 2 == 0 and "binary" or "text")
          end
          ws:close(1000, "that was all")
        end,
      },
    }
    local ws = assert(moonwire.connect(url))
    ws:send "2000"
    local last = 0
    for data, kind in ws:messages() do
      last = last + 1
      assert.same({ tostring(last), last % 2 == 0 and "binary" or "text" }, { data, kind })
      if last % 500 == 0 then
        moonwire.sleep(0.001)
      end
    end
    assert.equal(2000, last)
  end)
end)

describe("the rules hold when the script", function()
  -- A server that drops its first connection; `count()` tells how many there were.
  local function dropping_once(behaviour)
    local count = 0
    behaviour = behaviour or {}
    behaviour.open = function(ws)
      count = count + 1
      if count == 1 then
        ws:close(1001)
      end
    end
    return serve { ["/"] = behaviour }, function() return count end
  end

  -- Wait for a turn in which whatever was still planned within a moment has happened.
  local QUIET = 0.1

  it("waits in `reconnecting` for longer than the delay", function()
    local url, count = dropping_once()
    local ws = moonwire.connect(url, {
      wait = false,
      reconnect = { delay = 0.01, jitter = 0 },
      message = function() end,
      reconnecting = function() moonwire.sleep(0.05) end,
    })
    async.wait_until(function() return count() == 2 end, "the second connection")
    ws:close()
  end)

  it("closes by hand while `delay` or `reconnecting` waits, or inside of `close`", function()
    local places = {
      delay = { reconnect = { delay = function() moonwire.sleep(0.03) return 0.01 end } },
      reconnecting = { reconnect = { delay = 0.01 }, reconnecting = function() moonwire.sleep(0.03) end },
      close = { reconnect = { delay = 0.01 }, close = function(ws) ws:close() end },
    }
    for name, options in pairs(places) do
      local url, count = dropping_once()
      local failed
      options.wait, options.message = false, function() end
      options.error = function(_, _, code) failed = code end
      local ws = moonwire.connect(url, options)
      async.wait_until(function() return count() == 1 and ws.ready_state == moonwire.CLOSED end, "the first close")
      ws:close()
      async.quiet(QUIET)
      assert.equal(1, count(), name)
      assert.equal(name ~= "close" and "cancelled" or nil, failed, name)
      app:close()
    end
  end)

  it("fails in `close` or `reconnecting`, which is told", function()
    for _, name in ipairs { "close", "reconnecting" } do
      local url, count = dropping_once()
      local told
      local ws = moonwire.connect(url, {
        wait = false,
        reconnect = { delay = 0.01 },
        message = function() end,
        [name] = function() if count() == 1 then error "on purpose" end end,
        error = function(_, message, code) told = { message:match "on purpose", code } end,
      })
      async.wait_until(function() return count() == 2 end, "the second connection")
      assert.same({ "on purpose", "handler" }, told, name)
      ws:close()
      app:close()
    end
  end)

  it("gives an impossible delay, or fails to give one: that gives up", function()
    for name, delay in pairs {
      ["not a number"] = function() return 0 / 0 end,
      ["a failure"] = function() error "on purpose" end,
    } do
      local ws, _, code = moonwire.connect("ws://127.0.0.1:1/", { reconnect = { delay = delay } })
      assert.is_nil(ws, name)
      assert.equal("refused", code, name)
    end
    local delays = {}
    local ws = moonwire.connect("ws://127.0.0.1:1/", {
      wait = false,
      reconnect = { delay = function(n) return n == 1 and -1 or math.huge end },
      reconnecting = function(_, n, delay) delays[n] = delay end,
    })
    async.wait_until(function() return delays[2] end, "the endless delay")
    assert.same({ 0, 2000000 }, delays)
    ws:close()
  end)

  it("wants no delay at all, a thousand times and more", function()
    local attempts
    local ws, _, code = moonwire.connect("ws://127.0.0.1:1/", {
      reconnect = { delay = 0, retries = 1100 },
      reconnecting = function(_, n, delay)
        attempts = n
        assert.equal(0, delay)
      end,
    })
    assert.is_nil(ws)
    assert.equal("refused", code)
    assert.equal(1100, attempts)
  end)

  it("calls `close` with a code that can't be sent: nothing was closed, by hand least of all", function()
    local count = 0
    local url = serve { ["/"] = { open = function() count = count + 1 end, message = function(ws) ws:close(1001) end } }
    local ws = assert(moonwire.connect(url, { reconnect = { delay = 0.01 }, message = function() end }))
    assert.has_error(function() ws:close(42) end)
    ws:send "close this"
    async.wait_until(function() return count == 2 end, "the second connection")
    ws:close()
  end)

  it("closes by hand after a heartbeat went unanswered, while the next attempt is under way", function()
    local requests, reconnecting, failed = 0, 0, nil
    local url = serve {
      ["/"] = {
        upgrade = function()
          requests = requests + 1
          if requests == 2 then
            moonwire.sleep(QUIET)
          end
        end,
      },
    }
    local ws = assert(moonwire.connect(url, {
      heartbeat = { message = "beat", interval = 0.02, timeout = 0.02 },
      reconnect = { delay = 0.01 },
      message = function() end,
      reconnecting = function() reconnecting = reconnecting + 1 end,
      error = function(_, _, code) failed = code end,
    }))
    async.wait_until(function() return requests == 2 end, "the second attempt")
    ws:close()
    async.wait_until(function() return failed end, "the end")
    assert.same({ "cancelled", 1 }, { failed, reconnecting })
  end)

  it("leaves the loop over messages: `close` is called all the same", function()
    local url, closed = serve {
      ["/"] = {
        open = function(ws)
          for i = 1, 600 do
            ws:send(tostring(i))
          end
        end,
      },
    }, nil
    local ws = assert(moonwire.connect(url, { close = function(_, code) closed = code end }))
    assert.equal("1", (ws:messages()()))
    async.quiet(QUIET)
    ws:close()
    async.wait_until(function() return closed end, "close", 5)
    assert.equal(1000, closed)
  end)

  it("reads messages in two tasks, which is refused", function()
    local ws = assert(moonwire.connect(serve { ["/"] = { message = echo } }))
    local got
    moonwire.spawn(function() got = ws:messages()() end)
    assert.has_error(ws:messages(), "messages: another task waits for the next message already")
    ws:send "hello"
    async.wait_until(function() return got end, "the message")
    assert.equal("hello", got)
    ws:close()
  end)
end)

describe("a heartbeat, besides", function()
  local function beating_server(on_beat)
    local beats = 0
    return serve {
      ["/"] = {
        open = function(ws) ws:send "work" end,
        message = function(ws)
          beats = beats + 1
          ws:send "ok"
          if on_beat then
            on_beat(ws, beats)
          end
        end,
      },
    }, function() return beats end
  end

  it("is sent although pings, which happen by themselves, were answered", function()
    local url, beats = beating_server()
    local ws = assert(moonwire.connect(url, {
      ping_interval = 0.02,
      heartbeat = { message = "beat", interval = 0.1, timeout = 5 },
      message = function() end,
    }))
    async.wait_until(function() return beats() >= 2 end, "two heartbeats", 5)
    ws:close()
  end)

  describe("doesn't end a connection whose messages wait for", function()
    local closed
    local function connect(url, options, message)
      closed = nil
      options.heartbeat = { message = message or "beat", interval = 0.02, timeout = 0.02 }
      options.close = function(_, code, reason) closed = code == 1006 and reason or closed end
      return assert(moonwire.connect(url, options))
    end

    it("our own handler", function()
      local url, beats = beating_server()
      local ws = connect(url, {
        message = function(_, data)
          if data == "work" then
            moonwire.sleep(0.2)
          end
        end,
      })
      async.wait_until(function() return closed or beats() >= 12 end, "the handler's end, and then some")
      assert.is_nil(closed)
      ws:close()
    end)

    it("`open`", function()
      local url, beats = beating_server()
      local ws = connect(url, { message = function() end, open = function() moonwire.sleep(0.2) end })
      async.wait_until(function() return closed or beats() >= 12 end, "the handler's end, and then some")
      assert.is_nil(closed)
      ws:close()
    end)

    it("room in the inbox", function()
      local ws = connect(serve {
        ["/"] = {
          open = function(other)
            for i = 1, 400 do
              other:send(tostring(i))
            end
          end,
          message = echo,
        },
      }, {})
      local count = 0
      for _ in ws:messages() do
        count = count + 1
        if count == 1 then
          moonwire.sleep(0.2)
        elseif count == 410 then -- answers to heartbeats among them
          break
        end
      end
      assert.same({ 410, nil }, { count, closed })
      ws:close()
    end)

    it("a process that did something else", function()
      local server = peer.start "ws_server.mjs"
      local answers, has_slept = 0, false
      local ws = connect(("ws://127.0.0.1:%d/echo"):format(server:expect("listening").port), {
        message = function()
          answers = answers + 1
        end,
      }, function()
        if not has_slept then
          has_slept = true
          moonwire.after(0, function() os.execute "sleep 0.2" end)
        end
        return "beat"
      end)
      async.wait_until(function() return closed or answers > 3 end, "the answers")
      assert.is_true(has_slept)
      assert.is_nil(closed)
      ws:close()
    end)
  end)

  it("that took its time to be written doesn't go out on the next connection", function()
    local connection, beats = 0, {}
    local url = serve {
      ["/"] = {
        open = function(ws)
          connection = connection + 1
          if connection == 1 then
            moonwire.after(0.05, function() ws:close(1001) end)
          end
        end,
        message = function(ws, data)
          table.insert(beats, data)
          ws:send "ok"
        end,
      },
    }
    local ws = assert(moonwire.connect(url, {
      reconnect = { delay = 0.01 },
      message = function() end,
      heartbeat = {
        interval = 0.02,
        timeout = 5,
        message = function()
          local mine = tostring(connection)
          moonwire.sleep(mine == "1" and 0.1 or 0)
          return mine
        end,
      },
    }))
    async.wait_until(function() return #beats >= 8 end, "heartbeats, for longer than the first one took")
    assert.same({}, { table.concat(beats):match "1" })
    ws:close()
  end)

  it("may be as frequent as the options allow", function()
    local url, beats = beating_server()
    local ws = assert(moonwire.connect(url, { heartbeat = { message = "b", interval = 0.001, timeout = 5 },
      message = function() end }))
    async.wait_until(function() return beats() >= 3 end, "three heartbeats")
    ws:close()
  end)
end)
