-- peers_client_spec.lua - our client against servers that others wrote: node's ws, Python's websockets, and an HTTP proxy.
-- The client runs in this process, each server in one of its own.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local tls = require "spec.support.tls"

-- Around every border of the length encoding, and 1 MiB, the largest payload allowed by default.
local SIZES = { 0, 125, 126, 65535, 65536, 1048576 }
local TOKEN = "Bearer" .. ("eyJhbGciOiJIUzI1NiJ9."):rep(200):sub(1, 3994) -- 4,000 bytes
local LEAVING = "用户已经离开当前页面或页面发生刷新"

local SERVERS = { "ws_server.mjs", "websockets_server.py" }
local TRANSPORTS = { { name = "plain" }, { name = "TLS", secure = true } }

-- Text with characters of one to four bytes, or bytes that don't compress.
local function payload(size, kind)
  if kind == "text" then
    local unit = "mß世🌙"
    return unit:rep(size // #unit) .. ("."):rep(size % #unit)
  end
  local words, state = {}, 88172645463325252
  for i = 1, size // 8 + 1 do
    state = state ~ state << 13
    state = state ~ state >> 7
    state = state ~ state << 17
    words[i] = string.pack("<i8", state)
  end
  return table.concat(words):sub(1, size)
end

-- Start a server. Returns it and the address of its root, such as "wss://localhost:4711".
local function start(file, options, secure)
  options = options or {}
  if secure then
    options.cert, options.key = tls.files().cert, tls.files().key
  end
  local server = peer.start(file, options)
  return server, ("%s://localhost:%d"):format(secure and "wss" or "ws", server:expect("listening").port)
end

-- The client, once it is open, and everything that happens to it in a mailbox; or nil, message and code.
local clients = {}
local function try(url, options)
  local inbox = async.mailbox()
  options = options or {}
  -- Longer than any spec waits: a closing that is not noticed must not look like one that is merely slow.
  options.close_timeout = options.close_timeout or 60
  for _, name in ipairs { "message", "close", "error", "reconnecting" } do
    options[name] = options[name] or function(_, ...)
      inbox:put(name, ...)
    end
  end
  if url:find "^wss:" and not options.tls then
    options.tls = { ca = tls.files().ca }
  end
  local ws, message, code
  async.run(function()
    ws, message, code = moonwire.connect(url, options)
  end)
  if ws then
    table.insert(clients, ws)
  end
  return ws, ws and inbox or message, code
end

local function connect(url, options)
  local ws, inbox = try(url, options)
  return assert(ws, inbox), inbox
end

local function expect_echo(ws, inbox, data, kind)
  ws:send(data, kind)
  local answer, answer_kind = inbox:take "message"
  -- not assert.equal: it would print a mebibyte
  assert.is_true(answer == data, ("%d bytes came back of %d"):format(#answer, #data))
  assert.equal(kind, answer_kind)
end

local function hang_up(ws, inbox)
  ws:close(1000, "done")
  assert.equal(1000, (inbox:take "close"))
end

after_each(function()
  for _, ws in ipairs(clients) do
    ws:terminate()
  end
  clients = {}
  peer.stop_all()
end)
teardown(peer.finish)

for _, transport in ipairs(TRANSPORTS) do
  for _, compress in ipairs { false, true } do
    for _, file in ipairs(SERVERS) do
      describe(("%s, %s, %s"):format(file, transport.name, compress and "compressed" or "uncompressed"), function()
        local server, url

        setup(function()
          server, url = start(file, { deflate = compress, protocol = "chat.v1" }, transport.secure)
          server:release() -- until teardown
        end)
        teardown(function()
          server:stop()
        end)

        for _, kind in ipairs { "text", "binary" } do
          it(("gives back %s of every size"):format(kind), function()
            local ws, inbox = connect(url .. "/echo", { compress = compress })
            for _, size in ipairs(SIZES) do
              expect_echo(ws, inbox, payload(size, kind), kind)
            end
            hang_up(ws, inbox)
          end)

          it(("gives back %s in small frames"):format(kind), function()
            local ws, inbox = connect(url .. "/fragments", { compress = compress })
            for _, size in ipairs { 0, 1, 7, 8, 125, 126, 1000, 65536 } do
              expect_echo(ws, inbox, payload(size, kind), kind)
            end
            hang_up(ws, inbox)
          end)
        end

        it("gives back a hundred messages in their order", function()
          local ws, inbox = connect(url .. "/echo", { compress = compress })
          for i = 1, 100 do
            ws:send(("%d %s"):format(i, payload(i * 10, "text")))
          end
          for i = 1, 100 do
            assert.equal(tostring(i), (inbox:take "message"):match "^%d+")
          end
          hang_up(ws, inbox)
        end)

        it("chooses a subprotocol", function()
          local ws, inbox = connect(url .. "/echo", { protocols = { "chat.v2", "chat.v1" } })
          assert.equal("chat.v1", ws.protocol)
          hang_up(ws, inbox)
          ws, inbox = connect(url .. "/echo")
          assert.is_true(ws.protocol == nil or ws.protocol == "")
          hang_up(ws, inbox)
        end)

        it("closes with a code and a reason", function()
          local _, inbox = connect(url .. "/close/4321/" .. LEAVING:gsub("[\128-\255]", function(byte)
            return ("%%%02X"):format(byte:byte())
          end))
          assert.same({ 4321, LEAVING }, { inbox:take "close" })
        end)

        it("closes at once, as often as one likes", function()
          for _ = 1, 20 do
            hang_up(connect(url .. "/echo"))
          end
        end)

        it("refuses an unknown path", function()
          local ws, message, code = try(url .. "/nothing")
          assert.is_nil(ws)
          assert.equal("status 404", code)
          assert.truthy(message:find("404", 1, true), message)
        end)
      end)
    end
  end
end

describe("our client against node's ws", function()
  for _, transport in ipairs(TRANSPORTS) do
    describe("over " .. transport.name, function()
      local server, url

      before_each(function()
        server, url = start("ws_server.mjs", { protocol = TOKEN }, transport.secure)
      end)

      it("offers a subprotocol of 4,000 bytes", function()
        local ws, inbox = connect(url .. "/echo", { protocols = { TOKEN } })
        assert.equal(TOKEN, ws.protocol)
        hang_up(ws, inbox)
      end)

      it("sends headers", function()
        local ws, inbox = connect(url .. "/echo", { headers = { Authorization = "Bearer x", ["X-Name"] = "Ada" } })
        local headers = server:expect("request").headers
        assert.same({ "Bearer x", "Ada" }, { headers.authorization, headers["x-name"] })
        assert.equal(url:match "//(.*)", headers.host)
        hang_up(ws, inbox)
      end)

      it("tells the server its close code and reason", function()
        for _, code in ipairs { 1000, 1001, 1003, 1008, 1011, 1014, 3000, 4000, 4999 } do
          local ws, inbox = connect(url .. "/echo")
          ws:close(code, LEAVING)
          assert.equal(code, (inbox:take "close"))
          local told = server:expect "close"
          assert.same({ code, LEAVING }, { told.code, told.reason })
        end
      end)

      it("hears a Close frame without a code, and a connection that is just gone", function()
        local _, inbox = connect(url .. "/close/0")
        assert.equal(1005, (inbox:take "close"))
        local ws
        ws, inbox = try(url .. "/terminate")
        if ws then -- the end may come before the opening is through
          assert.equal(1006, (inbox:take "close"))
        end
      end)

      it("does not wait for ever for the answer to its Close frame", function()
        local ws, inbox = connect(url .. "/no-close-reply", { close_timeout = 0.1 })
        assert.equal("ready", (inbox:take "message"))
        ws:close(1000, "done")
        assert.equal(1006, (inbox:take "close"))
      end)

      it("answers fifty pings that come at once", function()
        local ws, inbox = connect(url .. "/ping-flood")
        assert.equal("50 pongs in order", (inbox:take "message"))
        hang_up(ws, inbox)
      end)

      it("pings", function()
        local ws, inbox = connect(url .. "/echo", {
          pong = function(_, data)
            clients.pong = data
          end,
        })
        ws:ping "are you there?"
        assert.equal("are you there?", server:expect("ping").text)
        async.wait_until(function()
          return clients.pong == "are you there?"
        end, "the pong")
        clients.pong = nil
        hang_up(ws, inbox)
      end)

      it("receives 1 MiB, and refuses a byte more", function()
        for _, kind in ipairs { "text", "binary" } do
          local ws, inbox = connect(("%s/large/%d?kind=%s"):format(url, 1048576, kind))
          assert.equal(1048576, #inbox:take "message")
          hang_up(ws, inbox)
          ws, inbox = try(("%s/large/%d?kind=%s"):format(url, 1048577, kind))
          if ws then
            assert.equal(1009, (inbox:take "close"))
          end
          assert.equal(1009, async.wait_until(function()
            local told = server:expect "close"
            return told.code ~= 1000 and told.code
          end))
          ws, inbox = connect(("%s/large/%d?kind=%s"):format(url, 3000000, kind), { max_payload = 3000000 })
          assert.equal(3000000, #inbox:take "message")
          hang_up(ws, inbox)
        end
      end)

      -- What is wrong with the answer, and what is told about it.
      for _, case in ipairs {
        { "/status/401", "status 401" },
        { "/status/403", "status 403" },
        { "/status/503", "status 503" },
        { "/redirect", "status 302" },
        { "/bad-accept", "handshake" },
        { "/bad-protocol", "handshake" },
        { "/bad-extension", "handshake" },
        { "/slow-handshake", "timeout" },
      } do
        it(("says '%s' about %s"):format(case[2], case[1]), function()
          local ws, message, code = try(url .. case[1], { timeout = case[2] == "timeout" and 0.2 or 10 })
          assert.is_nil(ws)
          assert.equal(case[2], code)
          assert.equal("string", type(message))
        end)
      end

      it("ends with 1002 when a server masks its frames", function()
        local ws, inbox = try(url .. "/bad-frame")
        if ws then
          assert.equal(1002, (inbox:take "close"))
        end
      end)

      it("goes through an HTTP proxy, and says when that refuses", function()
        local proxy = peer.start "http_proxy.mjs"
        local through = "http://localhost:" .. proxy:expect("listening").port
        local ws, inbox = connect(url .. "/echo", { proxy = through })
        assert.equal(url:match "//(.*)", proxy:expect("connect").authority)
        expect_echo(ws, inbox, payload(65536, "text"), "text")
        hang_up(ws, inbox)
        local strict = peer.start("http_proxy.mjs", { status = 403 })
        local message, code
        through = "http://localhost:" .. strict:expect("listening").port
        ws, message, code = try(url .. "/echo", { proxy = through })
        assert.is_nil(ws)
        assert.equal("proxy", code)
        assert.truthy(message:find("403", 1, true), message)
      end)

      it("reconnects when the server is back, and after being cut off", function()
        local port = math.tointeger(url:match ":(%d+)$")
        local opened = 0
        local ws, inbox = connect(url .. "/echo", {
          reconnect = { retries = 100, delay = 0.05, max_delay = 0.1, jitter = 0 },
          open = function()
            opened = opened + 1
          end,
        })
        server:tell { terminate = true }
        assert.equal(1006, (inbox:take "close"))
        assert.equal(1, (inbox:take "reconnecting"))
        async.wait_until(function()
          return opened == 2
        end, "the second opening")
        server:stop()
        inbox:take "close"
        async.wait_until(function()
          return inbox:count "reconnecting" >= 3 -- somebody must be refused before the server is back
        end, "vain attempts")
        local files = transport.secure and tls.files() or {}
        server = peer.start("ws_server.mjs", { port = port, cert = files.cert, key = files.key })
        async.wait_until(function()
          return opened == 3
        end, "the third opening")
        expect_echo(ws, inbox, "still the same object", "text")
        hang_up(ws, inbox)
        assert.equal(0, inbox:count "error")
      end)

      it("gives up after so many attempts, and says why, once", function()
        local _, inbox = connect(url .. "/echo", { reconnect = { retries = 2, delay = 0.01, jitter = 0 } })
        server:stop()
        inbox:take "close"
        local message, code = inbox:take "error"
        assert.equal("refused", code)
        assert.truthy(message:lower():find("refused", 1, true), message)
        assert.equal(2, inbox:count "reconnecting")
        async.quiet(0.1)
        assert.equal(0, inbox:count "error")
      end)
    end)
  end

  it("says 'refused' where nobody listens", function()
    local ws, message, code = try(("ws://127.0.0.1:%d/"):format(async.port()))
    assert.is_nil(ws)
    assert.equal("refused", code)
    assert.truthy(message:find("127.0.0.1", 1, true), message)
  end)

  it("says 'dns' about a name that nobody has", function()
    local ws, _, code = try "ws://nobody.invalid/"
    assert.is_nil(ws)
    assert.equal("dns", code)
  end)

  it("says 'tls' about a certificate it can't trust, unless told not to look", function()
    local _, url = start("ws_server.mjs", nil, true)
    local port = url:match ":(%d+)$"
    for _, case in ipairs {
      { url, { verify = true }, "the system's authorities" },
      { url, { ca = tls.files().stranger }, "another authority" },
      { url, { ca = tls.files().ca, server_name = "other.example" }, "another name" },
      { ("wss://127.0.0.2:%s"):format(port), { ca = tls.files().ca }, "another address", "refused" },
    } do
      local ws, message, code = try(case[1] .. "/echo", { tls = case[2] })
      assert.is_nil(ws, case[3])
      assert.equal(case[4] or "tls", code, message)
    end
    for _, trusted in ipairs {
      { url, { verify = false } },
      { url, { ca = tls.files().ca } },
      { "wss://127.0.0.1:" .. port, { ca = tls.files().ca } },
      { "wss://127.0.0.1:" .. port, { ca = tls.files().ca, server_name = "localhost" } },
    } do
      local ws, inbox = connect(trusted[1] .. "/echo", { tls = trusted[2] })
      hang_up(ws, inbox)
    end
  end)

  it("says 'tls' when the server speaks plain HTTP, and something about the reverse", function()
    local _, plain = start "ws_server.mjs"
    local ws, _, code = try(plain:gsub("^ws", "wss") .. "/echo")
    assert.is_nil(ws)
    assert.equal("tls", code)
    local _, secure = start("ws_server.mjs", nil, true)
    ws, _, code = try(secure:gsub("^wss", "ws") .. "/echo")
    assert.is_nil(ws)
    assert.is_true(code == "handshake" or code == "reset" or code:find "^status" ~= nil, code)
  end)

  it("sends its heartbeat and notices when nobody answers", function()
    local server, url = start "ws_server.mjs"
    local ws, inbox = connect(url .. "/echo", { heartbeat = { message = "HeartBeat", interval = 0.05, timeout = 5 } })
    for _ = 1, 2 do
      assert.equal("HeartBeat", server:expect("message").text)
      assert.equal("HeartBeat", (inbox:take "message"))
    end
    hang_up(ws, inbox)
    local _, mute = connect(url .. "/no-close-reply", { heartbeat = { message = "HeartBeat", interval = 0.05, timeout = 0.1 } })
    local code, reason = mute:take "close"
    assert.equal(1006, code)
    assert.truthy(reason:find "heartbeat", reason)
  end)

  -- Every parameter of RFC 7692 as the server may answer it.
  for _, case in ipairs {
    { "nothing but the name", {} },
    { "no context takeover on either side", { serverNoContextTakeover = true, clientNoContextTakeover = true } },
    { "a window of the server", { serverMaxWindowBits = 10 } },
    { "a window of the client", { clientMaxWindowBits = 10 } },
    {
      "everything at once",
      { serverNoContextTakeover = true, clientNoContextTakeover = true, serverMaxWindowBits = 9, clientMaxWindowBits = 9 },
    },
  } do
    it("compresses with " .. case[1], function()
      case[2].threshold = 0
      local server, url = start("ws_server.mjs", { deflate = case[2] })
      local ws, inbox = connect(url .. "/echo", { compress = true })
      assert.truthy(server:expect("connection").extensions:find "permessage%-deflate")
      for _, size in ipairs { 0, 1, 126, 65536, 65536, 3000, 1048576 } do
        for _, kind in ipairs { "text", "binary" } do
          expect_echo(ws, inbox, payload(size, kind), kind)
        end
      end
      hang_up(ws, inbox)
    end)
  end
end)

describe("our client against Python's websockets", function()
  it("answers its ping", function()
    local _, url = start "websockets_server.py"
    local ws, inbox = connect(url .. "/ping")
    assert.equal("pong came", (inbox:take "message"))
    hang_up(ws, inbox)
  end)

  it("compresses with windows of 9 bits and without context takeover", function()
    local _, url = start("websockets_server.py", {
      deflate = {
        server_no_context_takeover = true,
        client_no_context_takeover = true,
        server_max_window_bits = 9,
        client_max_window_bits = 9,
      },
    })
    local ws, inbox = connect(url .. "/echo", { compress = true })
    for _, size in ipairs(SIZES) do
      expect_echo(ws, inbox, payload(size, "text"), "text")
    end
    hang_up(ws, inbox)
  end)
end)
