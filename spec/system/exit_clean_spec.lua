-- exit_clean_spec.lua - whatever is going on when the program ends, it ends whole: the loop can be closed, and under
-- AddressSanitizer nothing is lost and nothing is used after it is gone. Each state of affairs is ended in several ways:
-- by a signal, by an error of the script (which asks nobody), and by the script itself where it can.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local tls = require "spec.support.tls"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local files = tls.files()
local EVERY_WAY = { "signal", "error", "close" }
local ABRUPT = { "signal", "error" }

-- Servers of this process that accept and then say nothing, or what they are told.
local servers = {}
local function silent_server(answer, backlog)
  local server = { socket = uv.new_tcp(), accepted = {} }
  assert(server.socket:bind("127.0.0.1", 0))
  server.port = server.socket:getsockname().port
  assert(server.socket:listen(backlog or 128, function()
    local client = uv.new_tcp()
    server.socket:accept(client)
    table.insert(server.accepted, client)
    client:read_start(function(_, bytes)
      if bytes and answer then
        client:write(answer)
      end
    end)
    async.wake()
  end))
  table.insert(servers, server)
  return server
end

local clients = {} -- WebSockets of this process
local function connect(port, settings)
  settings.tls = { ca = files.ca }
  local ws = assert(moonwire.connect(("wss://localhost:%d/"):format(port), settings))
  table.insert(clients, ws)
  return ws
end

after_each(function()
  visitor.close_all()
  for _, ws in ipairs(clients) do
    ws:terminate()
  end
  for _, server in ipairs(servers) do
    for _, client in ipairs(server.accepted) do
      client:close()
    end
    server.socket:close()
  end
  clients, servers = {}, {}
  peer.stop_all()
end)

-- Goes before every script: an app that does not wait long, and TLS.
local BEGINNING = [[
  local app = moonwire.app { head_timeout = 100, keep_alive_timeout = 100, body_timeout = 0.3, write_timeout = 0.3 }
  local TLS = { tls = { cert = arg[1], key = arg[2] } }
  local AUTHORITY = { ca = arg[3] }
  local PATH, PORT = arg[4], arg[5]
  local function route(settings)
    settings.close_timeout, settings.write_timeout = 0.1, 100
    return settings
  end
  local apps, timers = { app }, {}
]]
-- And behind it: the end. `close` leaves nothing of the script behind, so that the program ends by itself.
local END = [[
  tell "ready"
  local order = next_order()
  if order == "error" then error "as ordered" end
  for _, each in ipairs(apps) do each:close { timeout = 0.1 } end
  for _, each in ipairs(timers) do each:cancel() end
]]

-- { name, script, what the other side does (and whether that ends it), ways to end, what the silent server says }
local CASES = {
  { "idle", "serve(app)" },
  { "idle with TLS", "serve(app, TLS)" },
  { "having listened before", "serve(app, TLS):close() serve(app):close()" },

  { "connections of all kinds open", [[
    app:ws("/", route { open = function(ws) ws:subscribe "all" app:publish("all", "x") ws.data.self = ws end })
    app:get("/", function(_, res) res:send "x" end)
    app:get("/stream", function(_, res) res:defer() res:write "x" res:on_abort(function() tell "aborted" end) end)
    app:post("/", function(req, res) res:send(req.body) end)
    serve(app)]],
    function(child, port)
      for _ = 1, 10 do
        visitor.connect(port):upgrade()
        local http = visitor.connect(port)
        http:request "/"
        http:response()
        visitor.connect(port):request "/stream"
        visitor.connect(port):write "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
      end
      local last = visitor.connect(port)
      last:request "/stream"
      last:expect "x"
    end,
  },

  { "handshakes half done", [[
    app:ws("/", route {})
    serve(app)
    serve(app, TLS)]],
    function(child, port)
      local secure = child:expect("listening").port
      for _ = 1, 5 do
        visitor.connect(port)
        visitor.connect(port):write "GET / HTTP/1.1\r\nHo"
        visitor.connect(port):write(visitor.opening():sub(1, -4))
        visitor.connect(secure)
        visitor.connect(secure):write "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"
        visitor.connect(secure):write "GET / HTTP/1.1\r\n\r\n"
      end
      connect(secure, {})
    end,
  },

  { "a listener closed with handshakes half done", [[
    app:ws("/", route {})
    local listener = serve(app, TLS)
    moonwire.spawn(function()
      while require("moonwire.core").count().connections < 4 do moonwire.sleep(0.01) end
      listener:close()
    end)]],
    function(child, port)
      visitor.connect(port)
      local half = visitor.connect(port)
      half:write "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03"
      connect(port, {})
      visitor.connect(port)
      repeat
        local is_refused = visitor.is_refused(port)
      until is_refused
      half:write(("\0"):rep(249))
    end,
  },

  { "WebSockets over TLS open", [[
    app:ws("/", route { message = function(ws, data) ws:send(data) end })
    serve(app, TLS)]],
    function(_, port)
      local inbox = async.mailbox()
      for i = 1, 5 do
        local ws = connect(port, { message = inbox:putter "message", compress = i % 2 == 0 })
        ws:send(("x"):rep(100000))
        inbox:take "message"
      end
    end,
  },

  { "a reader that does not read", [[
    app:ws("/", route {
      slow = "drop", max_backpressure = 1 << 23,
      open = function(ws) ws:subscribe "all" for i = 1, 40 do ws:send(("x"):rep(100000)) end tell "sent" end,
    })
    app:get("/", function(_, res) res:defer() for i = 1, 40 do res:write(("x"):rep(100000)) end tell "sent" end)
    serve(app)
    moonwire.spawn(function() moonwire.sleep(0.01) app:publish("all", ("y"):rep(1000000)) end)]],
    function(child, port)
      local ws, http = visitor.connect(port), visitor.connect(port)
      ws:write(visitor.opening())
      ws:pause()
      http:request "/"
      http:pause()
      child:expect "sent"
      child:expect "sent"
    end,
  },

  { "a reader over TLS that does not read", [[
    app:ws("/", route {
      max_backpressure = 1 << 26,
      open = function(ws) for i = 1, 200 do ws:send(("x"):rep(100000)) end tell "sent" end,
    })
    serve(app, TLS)]],
    function(child, port)
      connect(port, { message = function() coroutine.yield() end })
      child:expect "sent"
    end,
  },

  { "only the newest publications kept", [[
    app:ws("/", route { slow = "latest", max_backpressure = 100000, open = function(ws)
      for _, topic in ipairs { "a", "b", "c" } do ws:subscribe(topic) end
      tell "open"
    end })
    serve(app)
    table.insert(timers, moonwire.every(0.001, function()
      for _, topic in ipairs { "a", "b", "c" } do app:publish(topic, ("x"):rep(90000)) end
    end))]],
    function(child, port)
      local ws = visitor.connect(port)
      ws:write(visitor.opening())
      ws:pause()
      child:expect "open"
      async.quiet(0.1)
    end,
  },

  { "compressed messages on their way", [[
    app:ws("/", route { compress = { server_no_context_takeover = false }, max_payload = 1 << 22, open = function(ws)
      ws:subscribe "all"
      for i = 1, 3 do app:publish("all", ("x"):rep(5000)) ws:send(("y"):rep(5000)) end
    end, message = function(ws, data) tell("message", { size = #data }) ws:send(data) end })
    serve(app)]],
    function(child, port)
      for cut = 1, 6 do
        local ws = visitor.connect(port)
        ws:upgrade("/", "Sec-WebSocket-Extensions: permessage-deflate\r\n")
        local hello = "\xf2\x48\xcd\xc9\xc9\x07\x00" -- RFC 7692 §7.2.3.1
        ws:send(visitor.TEXT, hello, { rsv1 = true })
        assert.equal(5, child:expect("message").size)
        ws:send(visitor.TEXT, hello:sub(1, cut), { rsv1 = true, fin = false })
        ws:write(visitor.frame(0, hello:sub(cut + 1)):sub(1, 5))
      end
    end,
  },

  { "messages cut in the middle", [[
    app:ws("/", route { max_payload = 1 << 22, open = function() tell "open" end })
    serve(app)]],
    function(child, port)
      for _, size in ipairs { 1, 3, 10, 1000, 70000, 1000000 } do
        local ws = visitor.connect(port)
        ws:upgrade()
        ws:send(visitor.TEXT, "begun ", { fin = false })
        ws:write(visitor.frame(0, ("x"):rep(2000000)):sub(1, size))
      end
      async.quiet(0.05)
    end,
  },

  { "handlers that wait", [[
    local function wait() tell "waiting" moonwire.sleep(0.3) end
    app:ws("/open", route { open = wait })
    app:ws("/message", route { message = wait })
    app:ws("/close", route { close = wait })
    app:ws("/upgrade", route { upgrade = wait })
    app:get("/", function(_, res) wait() res:send "x" end)
    serve(app)
    moonwire.spawn(wait)
    coroutine.wrap(wait)()]],
    function(child, port)
      for _, name in ipairs { "open", "message", "close" } do
        local ws = visitor.connect(port)
        ws:upgrade("/" .. name)
        for _ = 1, 10 do
          ws:send(visitor.TEXT, "queued behind")
        end
        if name == "close" then
          ws:send_close(1000)
        end
      end
      visitor.connect(port):write(visitor.opening "/upgrade")
      visitor.connect(port):request "/"
      for _ = 1, 7 do
        child:expect "waiting"
      end
    end,
  },

  { "several apps, ports and a Unix socket", [[
    local second = moonwire.app():ws("/", route {}):get("/", function(_, res) res:send "second" end)
    app:ws("/", route {})
    table.insert(apps, second)
    serve(app)
    serve(app, { path = PATH })
    serve(second)
    serve(second, TLS)]],
    function(child, port, path)
      visitor.connect(port):upgrade()
      child:expect "listening"
      visitor.connect(path):upgrade()
      visitor.connect(child:expect("listening").port):upgrade()
      connect(child:expect("listening").port, {})
    end,
  },

  { "clients that connect", [[
    for i = 1, 3 do
      for _, scheme in ipairs { "ws", "wss" } do
        moonwire.connect(scheme .. "://127.0.0.1:" .. PORT .. "/", { wait = false, timeout = 100 })
        moonwire.spawn(moonwire.connect, scheme .. "://127.0.0.1:" .. PORT .. "/", { reconnect = true })
        moonwire.spawn(moonwire.connect, scheme .. "://localhost/", { proxy = "http://127.0.0.1:" .. PORT })
      end
    end]],
    function(_, _, _, server)
      async.wait_until(function()
        return #server.accepted == 18
      end)
    end,
    ABRUPT,
  },

  -- More names than threads that look them up, and the end right behind.
  { "clients that look for a name", [[
    tell "ready"
    for i = 1, 10 do
      moonwire.connect("ws://localhost:1/", { wait = false, reconnect = true })
      moonwire.spawn(moonwire.fetch, "http://localhost:1/")
      uv.getaddrinfo("localhost", nil, nil, print)
    end
    if arg[6] == "error" then error "as ordered" end
    uv.kill(uv.os_getpid(), "sigterm")]],
    function()
      return true
    end,
    ABRUPT,
  },

  { "clients that are connected, or try again", [[
    app:ws("/", route {})
    local port = serve(app):address().port
    for i = 1, 3 do
      assert(moonwire.connect(("ws://127.0.0.1:%d/"):format(port), {
        reconnect = { retries = false, delay = 0.001 }, compress = true, heartbeat = { message = "x", interval = 0.01 },
      }))
      moonwire.connect("ws://127.0.0.1:1/", { wait = false, reconnect = { retries = false, delay = 0.001 } })
      moonwire.connect("ws://127.0.0.1:1/", { wait = false, reconnect = { retries = false, delay = 100 } })
      local ws = assert(moonwire.connect(("ws://127.0.0.1:%d/"):format(port)))
      moonwire.spawn(function() for _ in ws:messages() do tell "never" end end)
    end
    moonwire.sleep(0.05)]], nil, ABRUPT },

  { "requests without an answer", [[
    for i = 1, 3 do
      moonwire.spawn(moonwire.fetch, "http://127.0.0.1:" .. PORT .. "/", { timeout = 0.6 })
      moonwire.spawn(moonwire.fetch, "https://127.0.0.1:" .. PORT .. "/", { timeout = 0.6 })
      moonwire.spawn(moonwire.fetch, "http://127.0.0.1:" .. PORT .. "/", { timeout = 0.6, body = ("x"):rep(3000000) })
    end]],
    function(_, _, _, server)
      async.wait_until(function()
        return #server.accepted == 9
      end)
    end,
    EVERY_WAY,
  },

  { "requests in the middle of their answer", [[
    moonwire.spawn(moonwire.fetch, "http://127.0.0.1:" .. PORT .. "/", { timeout = 0.3 })
    moonwire.spawn(moonwire.fetch, "http://127.0.0.1:" .. PORT .. "/", { timeout = 0.3, file = PATH })
    moonwire.spawn(moonwire.fetch, "http://127.0.0.1:" .. PORT .. "/", { timeout = 0.3, sink = function() tell "piece" end })
    moonwire.spawn(moonwire.fetch, "http://127.0.0.1:" .. PORT .. "/", {
      timeout = 0.3, sink = function() tell "piece" moonwire.sleep(0.2) end,
    })]],
    function(child)
      child:expect "piece"
      child:expect "piece"
    end,
    EVERY_WAY,
    "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbegun",
  },

  { "handles and requests of luv left behind", [[
    for i = 1, 10 do
      uv.new_timer():start(i, i, function() end)
      uv.new_timer():start(1000000, 0, function() end)
      uv.new_idle()
      uv.new_async(print)
      uv.new_udp():bind("127.0.0.1", 0)
      uv.fs_open(arg[1], "r", 0, function(_, fd) if fd then uv.fs_read(fd, 100000, 0, function() uv.fs_close(fd) end) end end)
      uv.fs_scandir("/", function() end)
    end
    local server, pipe, process = uv.new_tcp(), uv.new_pipe(false), nil
    server:bind("127.0.0.1", 0)
    server:listen(1, print)
    local client = uv.new_tcp()
    client:connect("127.0.0.1", server:getsockname().port, function() client:read_start(print) end)
    process = uv.spawn("cat", { stdio = { pipe, nil, 2 } }, function() process:close() end)
    pipe:write(("x"):rep(1000000), print)
    uv.new_fs_event():start("/", {}, function() end)
    uv.new_signal():start("sigusr1", print)]], nil, ABRUPT },

  { "handlers that begin something new at the end", [[
    local core = require "moonwire.core"
    local port
    local function begin()
      local url = ("127.0.0.1:%d/"):format(port)
      moonwire.connect("ws://" .. url, { wait = false, close = function() moonwire.spawn(moonwire.fetch, "http://" .. url) end })
      moonwire.connect("ws://127.0.0.1:" .. PORT, { wait = false, timeout = 0.3 })
      moonwire.spawn(moonwire.fetch, "http://127.0.0.1:" .. PORT, { timeout = 0.3 })
      moonwire.app():listen { host = "127.0.0.1", port = 0 }
      core.listen({ host = "127.0.0.1", port = 0, tls = TLS.tls }, print)
      uv.new_timer():start(1000, 0, print)
      uv.fs_stat("/", function() uv.fs_stat("/", print) end)
      moonwire.spawn(moonwire.sleep, 1000)
      moonwire.sleep(0.01)
    end
    app:ws("/", route { close = begin, message = function(ws) ws:close() begin() end })
    app:get("/", function(_, res) res:defer() res:on_abort(begin) res:write "x" end)
    port = serve(app):address().port
    assert(moonwire.connect(("ws://127.0.0.1:%d/"):format(port), { close = begin, message = begin }))]],
    function(_, port)
      visitor.connect(port):upgrade()
      local stream = visitor.connect(port)
      stream:request "/"
      stream:expect "x"
    end,
    ABRUPT,
  },
}

local function run(case, ending)
  local _, script, drive, _, answer = table.unpack(case, 1, 5)
  local path = async.directory() .. "/socket"
  local server = silent_server(answer)
  local child = program.start(BEGINNING .. script .. "\n" .. END,
    { files.cert, files.key, files.ca, path, tostring(server.port), ending })
  local port = drive and script:find("serve(", 1, true) and child:expect("listening").port
  local has_ended_itself = drive and drive(child, port, path, server)
  child:expect "ready"
  if ending == "signal" and not has_ended_itself then
    child:kill "sigterm"
  elseif not has_ended_itself then
    child.stdin:write(ending .. "\n")
  end
  local stderr = program.expect_clean_end(child, ending == "error" and 1 or 0)
  if ending == "error" then
    stderr = stderr:gsub("moonwire: error: [^\n]*as ordered\n", ""):gsub("  stack traceback:\n\t[^\n]*\n\t[^\n]*\n", "")
  end
  assert.equal("", stderr)
  assert.is_nil(uv.fs_stat(path)) -- a Unix socket goes too
end

for _, ending in ipairs(EVERY_WAY) do
  describe("ended by " .. (ending == "close" and "itself" or "a" .. (ending == "error" and "n " or " ") .. ending), function()
    for _, case in ipairs(CASES) do
      local ways = " " .. table.concat(case[4] or EVERY_WAY, " ") .. " "
      if ways:find(" " .. ending .. " ", 1, true) then
        it(case[1], function()
          run(case, ending)
        end)
      end
    end
  end)
end
