-- peers_server_spec.lua - our server against clients that others wrote: node's ws and undici, Python's websockets.
-- The server runs in this process, each client in one of its own.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local tls = require "spec.support.tls"

-- Around every border of the length encoding, and 1 MiB, the largest payload allowed by default.
local SIZES = { 0, 125, 126, 65535, 65536, 1048576 }
local TOKEN = "Bearer" .. ("eyJhbGciOiJIUzI1NiJ9."):rep(200):sub(1, 3994) -- 4,000 bytes
-- From SCENARIOS: what a page of its authors says when it is left.
local LEAVING = "用户已经离开当前页面或页面发生刷新"
local CLOSE_CODES = { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999 }

local CLIENTS = { "ws_client.mjs", "websockets_client.py" }
local TRANSPORTS = { { name = "plain" }, { name = "TLS", secure = true } }

-- Serve `app` for one spec. Returns the address to connect to, such as "ws://127.0.0.1:4711".
local apps = {}
local function serve(app, secure)
  local files = secure and tls.files()
  local listener = assert(app:listen {
    host = "127.0.0.1",
    port = 0,
    tls = files and { cert = files.cert, key = files.key } or nil,
  })
  table.insert(apps, app)
  return ("%s://127.0.0.1:%d"):format(secure and "wss" or "ws", listener:address().port)
end

local function echo(ws, data, kind)
  ws:send(data, kind)
end

local function connect(file, options)
  options.ca = options.url:find "^wss:" and tls.files().ca or nil
  local client = peer.take(file)
  client:tell { connect = options }
  return client, client:expect "open"
end

-- What the client sent must come back: the same kind, as many bytes, the same digest.
local function assert_echo(client, what)
  local sent, message = client:expect "sent", client:expect "message"
  assert.same({ sent.kind, sent.length, sent.sha256 }, { message.kind, message.length, message.sha256 }, what)
end

local function hang_up(client)
  client:tell { close = { 1000, "done" } }
  assert.equal(1000, client:expect("close").code)
  client:release()
end

-- Let every app close, and every peer end, whatever happened in the spec.
after_each(function()
  peer.stop_all()
  local closing = apps
  apps = {}
  for _, app in ipairs(closing) do
    async.run(function()
      app:close { timeout = 5 }
    end)
  end
end)

teardown(peer.finish)

for _, transport in ipairs(TRANSPORTS) do
  for _, compress in ipairs { false, true } do
    for _, file in ipairs(CLIENTS) do
      describe(("%s, %s, %s"):format(file, transport.name, compress and "compressed" or "uncompressed"), function()
        local client, opened

        before_each(function()
          local app = moonwire.app():ws("/echo", { compress = compress, message = echo })
          client, opened = connect(file, { url = serve(app, transport.secure) .. "/echo", deflate = compress })
        end)

        it("agrees about compression", function()
          assert.equal(compress, opened.extensions:find("permessage-deflate", 1, true) ~= nil)
          hang_up(client)
        end)

        for _, kind in ipairs { "text", "binary" } do
          it(("gets back %s of every size"):format(kind), function()
            for _, size in ipairs(SIZES) do
              client:tell { send = { size = size, kind = kind } }
              assert_echo(client, size)
            end
            hang_up(client)
          end)

          it(("gets back %s cut into frames of every size"):format(kind), function()
            -- Python cuts a text at characters, node's ws anywhere, also inside of them.
            for _, case in ipairs { { 126, 1 }, { 3000, 7 }, { 65536, 125 }, { 65536, 126 }, { 1048576, 65535 } } do
              client:tell { send = { size = case[1], kind = kind }, every = case[2] }
              assert_echo(client, ("%d in frames of %d"):format(table.unpack(case)))
            end
            hang_up(client)
          end)
        end

        it("gets back messages with empty frames in them", function()
          for _, case in ipairs {
            { "", "" },
            { "", "a" },
            { "a", "" },
            { "a", "", "b" },
            { "", "", "" },
            { ("x"):rep(70000), "", ("y"):rep(70000) },
          } do
            local fragments = {}
            for i, text in ipairs(case) do
              fragments[i] = { text = text }
            end
            client:tell { fragments = fragments }
            assert_echo(client)
          end
          hang_up(client)
        end)

        it("gets back a hundred messages in their order", function()
          for i = 1, 100 do
            client:tell { send = { text = ("%d %s"):format(i, ("mß世🌙"):rep(i)) } }
          end
          for _ = 1, 100 do
            assert_echo(client)
          end
          hang_up(client)
        end)
      end)
    end
  end
end

describe("node's ws against our server", function()
  for _, transport in ipairs(TRANSPORTS) do
    describe("over " .. transport.name, function()
      it("cuts characters anywhere, with pings between the frames", function()
        local app = moonwire.app():ws("/echo", { message = echo })
        local client = connect("ws_client.mjs", { url = serve(app, transport.secure) .. "/echo" })
        local bytes = "aß世🌙"
        for cut = 1, #bytes - 1 do
          client:tell { send = { text = bytes }, cuts = { cut } }
          assert_echo(client, cut)
        end
        client:tell { fragments = { { text = "one " }, { ping = "1" }, { ping = "2" }, { text = "two" } } }
        assert_echo(client)
        assert.equal("1", client:expect("pong").text)
        assert.equal("2", client:expect("pong").text)
        hang_up(client)
      end)

      it("gets every ping answered, in order", function()
        local app = moonwire.app():ws("/echo", { message = echo })
        local client = connect("ws_client.mjs", { url = serve(app, transport.secure) .. "/echo" })
        for i = 1, 50 do
          client:tell { ping = tostring(i) }
        end
        client:tell { ping = ("p"):rep(125) }
        for i = 1, 50 do
          assert.equal(tostring(i), client:expect("pong").text)
        end
        assert.equal(("p"):rep(125), client:expect("pong").text)
        hang_up(client)
      end)

      it("carries a subprotocol of 4,000 bytes, chosen by upgrade", function()
        local app = moonwire.app():ws("/", {
          upgrade = function(req)
            return { token = req.protocols[1] }, req.protocols[1]
          end,
          open = function(ws)
            ws:send(ws.data.token)
          end,
        })
        local client, opened = connect("ws_client.mjs", { url = serve(app, transport.secure) .. "/", protocols = { TOKEN } })
        assert.equal(TOKEN, opened.protocol)
        assert.equal(4000, client:expect("message").length)
        hang_up(client)
      end)

      it("carries a list of subprotocols of 4,000 bytes, of which the route speaks one", function()
        local offered = {}
        for i = 1, 175 do
          offered[i] = ("protocol-%04d.example"):format(i) -- with commas between them: 4,023 bytes
        end
        local app = moonwire.app():ws("/", { protocols = { "protocol-0150.example" } })
        local client, opened = connect("ws_client.mjs", { url = serve(app, transport.secure) .. "/", protocols = offered })
        assert.equal("protocol-0150.example", opened.protocol)
        hang_up(client)
      end)

      it("tells the server its close code and reason", function()
        local inbox = async.mailbox()
        local app = moonwire.app():ws("/", { close = inbox:putter "close" })
        local url = serve(app, transport.secure) .. "/"
        for _, code in ipairs(CLOSE_CODES) do
          local client = connect("ws_client.mjs", { url = url })
          client:tell { close = { code, LEAVING } }
          local _, heard, reason = inbox:take "close"
          assert.same({ code, LEAVING }, { heard, reason })
          assert.equal(code, client:expect("close").code)
          client:release()
        end
        assert.equal(0, inbox:count())
      end)

      it("hears the server's close code and reason", function()
        local inbox = async.mailbox()
        local app = moonwire.app():ws("/", {
          message = function(ws, data)
            ws:close(tonumber(data), LEAVING)
          end,
          close = inbox:putter "close",
        })
        local url = serve(app, transport.secure) .. "/"
        for _, code in ipairs(CLOSE_CODES) do
          local client = connect("ws_client.mjs", { url = url })
          client:tell { send = { text = tostring(code) } }
          local told = client:expect "close"
          assert.same({ code, LEAVING }, { told.code, told.reason })
          local _, heard = inbox:take "close"
          assert.equal(code, heard)
          client:release()
        end
      end)

      it("may close without a code, or not at all", function()
        local inbox = async.mailbox()
        local app = moonwire.app():ws("/", { open = inbox:putter "open", close = inbox:putter "close" })
        local url = serve(app, transport.secure) .. "/"
        local polite = connect("ws_client.mjs", { url = url })
        polite:tell { close = moonwire.json.empty_array }
        local _, code, reason = inbox:take "close"
        assert.same({ 1005, "" }, { code, reason })
        assert.equal(1005, polite:expect("close").code)
        local rude = connect("ws_client.mjs", { url = url })
        rude:tell { terminate = true }
        _, code = inbox:take "close"
        assert.equal(1006, code)
      end)

      it("is cut off by terminate", function()
        local app = moonwire.app():ws("/", {
          message = function(ws)
            ws:terminate()
          end,
        })
        local client = connect("ws_client.mjs", { url = serve(app, transport.secure) .. "/" })
        client:tell { send = { text = "go" } }
        assert.equal(1006, client:expect("close").code)
      end)

      it("is pinged, and stays while it answers", function()
        local inbox = async.mailbox()
        local app = moonwire.app():ws("/", { ping_interval = 0.02, pong_timeout = 5, close = inbox:putter "close" })
        local client = connect("ws_client.mjs", { url = serve(app, transport.secure) .. "/" })
        for _ = 1, 3 do
          client:expect "ping"
        end
        assert.equal(0, inbox:count())
        hang_up(client)
      end)

      it("is dropped when it does not answer pings", function()
        local inbox = async.mailbox()
        local app = moonwire.app():ws("/", {
          ping_interval = 0.05,
          pong_timeout = 0.1,
          message = echo,
          close = inbox:putter "close",
        })
        local client = connect("ws_client.mjs", { url = serve(app, transport.secure) .. "/" })
        client:tell { pause = true }
        local _, code = inbox:take "close"
        assert.equal(1006, code)
      end)

      it("is refused with a real status", function()
        local app = moonwire.app():ws("/closed", {
          upgrade = function()
            return moonwire.reject(401, "who are you?", { ["WWW-Authenticate"] = "Bearer" })
          end,
        })
        local url = serve(app, transport.secure)
        local ca = transport.secure and tls.files().ca or nil
        local function ask(path, headers)
          local client = peer.take "ws_client.mjs"
          client:tell { connect = { url = url .. path, ca = ca, headers = headers } }
          local answer = client:expect "unexpected-response"
          client:release()
          return answer
        end
        local refused = ask "/closed"
        assert.same({ 401, "who are you?", "Bearer" }, { refused.status, refused.body, refused.headers["www-authenticate"] })
        assert.equal(404, ask("/nothing").status)
        assert.equal(403, ask("/closed", { Origin = "https://evil.example" }).status)
      end)

      it("talks with other clients through a topic", function()
        local app = moonwire.app():ws("/:room", {
          compress = true,
          open = function(ws)
            ws:subscribe(ws.params.room)
          end,
          message = function(ws, data, kind)
            ws:publish(ws.params.room, data, kind)
          end,
        })
        local url = serve(app, transport.secure)
        local one = connect("ws_client.mjs", { url = url .. "/a", deflate = true })
        local two = connect("ws_client.mjs", { url = url .. "/a" })
        local three = connect("websockets_client.py", { url = url .. "/a", deflate = true })
        local elsewhere = connect("ws_client.mjs", { url = url .. "/b" })
        one:tell { send = { size = 65536 } }
        local sent = one:expect "sent"
        for _, other in ipairs { two, three } do
          assert.equal(sent.sha256, other:expect("message").sha256)
        end
        app:publish("b", "only b")
        assert.equal("only b", elsewhere:expect("message").text)
        app:publish("a", "everybody")
        for _, each in ipairs { one, two, three } do
          assert.equal("everybody", each:expect("message").text)
        end
        assert.equal(0, elsewhere:count "message")
      end)
    end)
  end

  it("connects over a Unix socket", function()
    local path = async.directory() .. "/socket"
    local app = moonwire.app():ws("/echo", { message = echo })
    assert(app:listen { path = path })
    table.insert(apps, app)
    local client = connect("ws_client.mjs", { url = "/echo", unix = path })
    client:tell { send = { size = 65536 } }
    assert_echo(client)
    hang_up(client)
  end)

  it("connects over IPv6", function()
    local app = moonwire.app():ws("/echo", { message = echo })
    local listener, message, code = app:listen { host = "::1", port = 0 }
    if code == "EADDRNOTAVAIL" or code == "EAFNOSUPPORT" then
      pending("this machine has no IPv6: " .. message)
      return
    end
    assert(listener, message)
    table.insert(apps, app)
    local client = connect("ws_client.mjs", { url = ("ws://[::1]:%d/echo"):format(listener:address().port) })
    client:tell { send = { text = "six" } }
    assert_echo(client)
    hang_up(client)
  end)

  -- Every parameter of RFC 7692 from either side, and all four together.
  for _, case in ipairs {
    { "nothing but the name", true, {}, "" },
    { "the server's no context takeover", { server_no_context_takeover = true }, {}, "server_no_context_takeover" },
    { "the client's no context takeover", { client_no_context_takeover = true }, {}, "client_no_context_takeover" },
    { "a window of the server", { server_max_window_bits = 10 }, {}, "server_max_window_bits=10" },
    { "a window of the client", { client_max_window_bits = 10 }, { clientMaxWindowBits = true }, "client_max_window_bits=10" },
    { "no context takeover asked for by the client", true, { serverNoContextTakeover = true }, "server_no_context_takeover" },
    { "a window asked for by the client", true, { serverMaxWindowBits = 9 }, "server_max_window_bits=9" },
    {
      "everything at once",
      {
        server_no_context_takeover = true,
        client_no_context_takeover = true,
        server_max_window_bits = 9,
        client_max_window_bits = 9,
      },
      { serverNoContextTakeover = true, clientNoContextTakeover = true, clientMaxWindowBits = 10 },
      "client_max_window_bits=9",
    },
  } do
    local name, compress, deflate, expected = table.unpack(case)
    it("compresses with " .. name, function()
      local app = moonwire.app():ws("/echo", { compress = compress, message = echo })
      deflate.threshold = 0
      local client, opened = connect("ws_client.mjs", { url = serve(app) .. "/echo", deflate = deflate })
      local headers = client:expect("upgrade").headers
      local answer = headers["sec-websocket-extensions"]:gsub("%s", "")
      assert.truthy(answer:find(expected, 1, true), answer)
      assert.truthy(opened.extensions:find "permessage%-deflate")
      for _, size in ipairs { 0, 1, 126, 65536, 65536, 3000, 1048576 } do
        client:tell { send = { size = size }, every = 30000 }
        assert_echo(client, size)
        client:tell { send = { size = size, kind = "binary" } }
        assert_echo(client, size)
      end
      hang_up(client)
    end)
  end

  it("does without compression when only one side wants it", function()
    local app = moonwire.app():ws("/on", { compress = true, message = echo }):ws("/off", { message = echo })
    local url = serve(app)
    for path, deflate in pairs { ["/on"] = false, ["/off"] = true } do
      local client, opened = connect("ws_client.mjs", { url = url .. path, deflate = deflate })
      assert.equal("", opened.extensions)
      client:tell { send = { size = 65536 } }
      assert_echo(client)
      hang_up(client)
    end
  end)
end)

describe("Python's websockets against our server", function()
  it("is pinged and pings", function()
    local app = moonwire.app():ws("/echo", { ping_interval = 0.02, message = echo })
    local client = connect("websockets_client.py", { url = serve(app) .. "/echo" })
    client:tell { ping = "are you there?" }
    assert.equal("are you there?", client:expect("pong").text)
    hang_up(client)
  end)

  it("offers subprotocols and is answered one", function()
    local app = moonwire.app():ws("/", { protocols = { "chat.v2", "chat.v1" } })
    local client, opened = connect("websockets_client.py", { url = serve(app) .. "/", protocols = { "other", "chat.v1" } })
    assert.equal("chat.v1", opened.protocol)
    hang_up(client)
  end)

  it("hears close codes and tells them", function()
    local inbox = async.mailbox()
    local app = moonwire.app():ws("/", {
      message = function(ws, data)
        ws:close(tonumber(data), LEAVING)
      end,
      close = inbox:putter "close",
    })
    local url = serve(app) .. "/"
    local client = connect("websockets_client.py", { url = url })
    client:tell { send = { text = "4321" } }
    local told = client:expect "close"
    assert.same({ 4321, LEAVING }, { told.code, told.reason })
    inbox:take "close"
    client = connect("websockets_client.py", { url = url })
    client:tell { close = { 4444, LEAVING } }
    local _, code, reason = inbox:take "close"
    assert.same({ 4444, LEAVING }, { code, reason })
    client = connect("websockets_client.py", { url = url })
    client:tell { terminate = true }
    _, code = inbox:take "close"
    assert.equal(1006, code)
  end)

  it("compresses with windows of 9 bits and without context takeover", function()
    local app = moonwire.app():ws("/echo", { compress = true, message = echo })
    local client, opened = connect("websockets_client.py", {
      url = serve(app) .. "/echo",
      deflate = {
        server_no_context_takeover = true,
        client_no_context_takeover = true,
        server_max_window_bits = 9,
        client_max_window_bits = 9,
      },
    })
    assert.truthy(opened.extensions:find "server_max_window_bits=9")
    for _, size in ipairs(SIZES) do
      client:tell { send = { size = size }, every = 10000 }
      assert_echo(client, size)
    end
    hang_up(client)
  end)

  it("is refused with a real status", function()
    local app = moonwire.app():ws("/", {
      upgrade = function()
        return moonwire.reject(403)
      end,
    })
    local refused = peer.start("websockets_client.py", { url = serve(app) .. "/" }):expect "unexpected-response"
    assert.equal(403, refused.status)
  end)
end)

for _, transport in ipairs(TRANSPORTS) do
  describe("undici over " .. transport.name, function()
    local client, url, http_url

    before_each(function()
      local app = moonwire.app()
      app:ws("/echo", { compress = true, protocols = { "p" }, message = echo })
      app:get("/number/:n", function(req, res)
        res:send("number " .. req.params.n)
      end)
      app:post("/back", function(req, res)
        res:send(req.body, "application/octet-stream")
      end)
      app:get("/pieces", function(_, res)
        for i = 1, 10 do
          res:write(("%d;"):format(i):rep(1000))
          moonwire.sleep(0)
        end
      end)
      url = serve(app, transport.secure)
      http_url = url:gsub("^ws", "http")
      client = peer.start("undici_client.mjs", { ca = transport.secure and tls.files().ca or nil })
    end)

    it("opens a WebSocket and gets everything back", function()
      client:tell { open = url .. "/echo", protocols = { "p" } }
      assert.equal("p", client:expect("open").protocol)
      for _, size in ipairs(SIZES) do
        for _, kind in ipairs { "text", "binary" } do
          client:tell { send = { size = size, kind = kind } }
          assert_echo(client, size)
        end
      end
      client:tell { close = { 4000, "done" } }
      local told = client:expect "close"
      assert.same({ 4000, true }, { told.code, told.clean })
    end)

    it("fetches", function()
      client:tell { fetch = http_url .. "/number/7" }
      local response = client:expect "response"
      assert.same({ 200, "number 7" }, { response.status, response.text })
      client:tell { fetch = http_url .. "/nothing" }
      assert.equal(404, client:expect("response").status)
      client:tell { fetch = http_url .. "/pieces" }
      assert.equal(21000, client:expect("response").length)
    end)

    it("posts bodies of every size and gets them back", function()
      for _, size in ipairs(SIZES) do
        client:tell { fetch = http_url .. "/back", method = "POST", body = { size = size, kind = "binary" } }
        local response = client:expect "response"
        assert.same({ 200, size }, { response.status, response.length })
      end
      client:tell { fetch = http_url .. "/back", method = "POST", body = { size = 1048577, kind = "binary" } }
      assert.equal(413, client:expect("response").status)
    end)

    for _, depth in ipairs { 1, 10 } do
      it(("asks a hundred times on one connection, %d at a time"):format(depth), function()
        local paths = {}
        for i = 1, 100 do
          paths[i] = "/number/" .. i
        end
        client:tell { pipeline = http_url, paths = paths, depth = depth }
        local told = client:expect "pipelined"
        assert.equal(1, told.connections)
        for i, response in ipairs(told.responses) do
          assert.same({ 200, "number " .. i }, { response.status, response.text })
        end
      end)
    end
  end)
end
