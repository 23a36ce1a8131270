-- faults_network_reset_spec.lua - peers that go away at every stage of a connection: by a reset, by closing with bytes unread, or
-- by ending their side and waiting. Every open has its close, and nothing is left.
-- SPDX-License-Identifier: MIT

local account = require "spec.support.account"
local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local relay = require "spec.support.relay"
local tls = require "spec.support.tls"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local AT_ONCE = 8
local CUTS = 16 -- of a TLS connection, in each direction
local TEXT, CLOSE, CONTINUATION = visitor.TEXT, visitor.CLOSE, 0

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

local SERVER = account.SCRIPT .. [[
  local page, opened, closed, aborted = ("x"):rep(1 << 20), 0, 0, 0
  local app = moonwire.app()
  local function route(name, more)
    more.compress = true
    more.close_timeout = 0.1
    more.message = more.message or function(ws, data) ws:send(data) end
    local open = more.open
    more.open = function(ws) opened = opened + 1 if open then open(ws) end end
    more.close = function() closed = closed + 1 end
    app:ws(name, more)
  end
  route("/echo", {})
  route("/decides", { upgrade = function() moonwire.sleep(0.02) end })
  route("/opens", { open = function() moonwire.sleep(0.02) end })
  route("/handles", { message = function(ws, data) ws:send(data) moonwire.sleep(0.02) ws:send(data) end })
  route("/sends", { open = function(ws) ws:send(page) end, max_backpressure = 1 << 21 })
  route("/closes", { open = function(ws) ws:close(4000, "bye") end })
  app:get("/waits", function(_, res) moonwire.sleep(0.02) res:send "late" end)
  app:get("/page", function(_, res) res:send(page) end)
  app:get("/stream", function(_, res)
    local timer = moonwire.every(0.01, function() res:write "piece" end)
    res:on_abort(function() timer:cancel() aborted = aborted + 1 end)
    res:write "first"
    res:defer()
  end)
  app:post("/body", function(_, res) res:send "fine" end)
  tell_account(app, function() return { opened = opened, closed = closed, aborted = aborted } end)
  serve(app)
  if arg[1] then serve(app, { tls = { cert = arg[1], key = arg[2] } }) end
]]

local function on(route, bytes, waits, headers)
  return { says = visitor.opening(route, headers) .. bytes, waits = waits or "\r\n\r\n", is_ws = true }
end

local HELLO = visitor.frame(TEXT, "Hello")
local LARGE = visitor.frame(visitor.BINARY, ("x"):rep(200000))

-- What is said, and what is waited for before the peer goes.
local STAGES = {
  ["after the connect"] = { says = "" },
  ["in the request line"] = { says = "GET /ec" },
  ["in a header"] = { says = "GET /echo HTTP/1.1\r\nHost: x\r\nX-H" },
  ["before the last byte of a head"] = { says = visitor.opening("/echo"):sub(1, -2) },
  ["in a body"] = { says = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf" },
  ["in a chunk"] = { says = "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf" },
  ["while its request is handled"] = { says = "GET /waits HTTP/1.1\r\nHost: x\r\n\r\n" },
  ["in the answer"] = { says = "GET /page HTTP/1.1\r\nHost: x\r\n\r\n", waits = "xxx" },
  ["in a stream"] = { says = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", waits = "piece" },
  ["behind the opening handshake"] = { says = visitor.opening "/echo", is_ws = true },
  ["while the upgrade is decided"] = { says = visitor.opening "/decides", is_ws = true },
  ["in the handshake's answer"] = on("/echo", "", "HTTP"),
  ["while `open` waits"] = on("/opens", HELLO),
  ["in a frame's first bytes"] = on("/echo", HELLO:sub(1, 1)),
  ["in a frame's length"] = on("/echo", LARGE:sub(1, 5)),
  ["in a frame's key"] = on("/echo", HELLO:sub(1, 4)),
  ["behind a frame's header"] = on("/echo", HELLO:sub(1, 6)),
  ["in a payload"] = on("/echo", HELLO .. HELLO:sub(1, -2), "Hello"),
  ["in a large payload"] = on("/echo", LARGE:sub(1, -2)),
  ["in a compressed message"] = on("/echo", visitor.frame(TEXT, "\xf2\x48\xcd", { rsv1 = true, fin = false }), nil,
    "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
  ["between fragments"] = on("/echo", visitor.frame(TEXT, "Hel", { fin = false })),
  ["in a fragment"] = on("/echo", visitor.frame(TEXT, "Hel", { fin = false }) .. visitor.frame(CONTINUATION, "lo"):sub(1, -2)),
  ["while its message is handled"] = on("/handles", HELLO:rep(3), "Hello"),
  ["while it is sent to"] = on("/sends", "", "xxx"),
  ["in a Close frame"] = on("/echo", visitor.frame(CLOSE, "\x03\xe8"):sub(1, -2)),
  ["behind its Close frame"] = on("/echo", visitor.frame(CLOSE, "\x03\xe8")),
  ["behind the server's Close frame"] = on("/closes", "", "\x88\x05\x0f\xa0bye"),
  ["behind a broken rule"] = on("/echo", visitor.frame(3, "")),
}

-- Connect, say it, wait, and go.
local function visit(port, stage, way, on_done)
  local socket, received, is_leaving, is_done = uv.new_tcp(), "", false, false
  local function done()
    if not is_done then
      is_done = true
      if not socket:is_closing() then
        socket:close()
      end
      on_done()
    end
  end
  local function leave()
    if is_leaving then
      return
    end
    is_leaving = true
    if way == "reset" then
      socket:close_reset()
      done()
    elseif way == "close" then
      done()
    else
      socket:shutdown()
    end
  end
  socket:connect("127.0.0.1", port, function(problem)
    assert(not problem, problem)
    socket:read_start(function(_, bytes)
      if not bytes then
        return done()
      end
      received = #received < 4096 and received .. bytes or received
      if stage.waits and received:find(stage.waits, 1, true) then
        leave()
      end
    end)
    socket:write(stage.says, function()
      if not stage.waits then
        leave()
      end
    end)
  end)
end

for _, way in ipairs { "reset", "close", "finish" } do
  it(("peers that go by a %s, at every stage, leave nothing"):format(way), function()
    local child = program.start(SERVER)
    local port = child:expect("listening").port
    account.expect_nothing_left(child, port, function()
      for name, stage in pairs(STAGES) do
        local before, gone = account.ask(port), 0
        for _ = 1, AT_ONCE do
          visit(port, stage, way, function()
            gone = gone + 1
            async.wake()
          end)
        end
        async.wait_until(function()
          return gone == AT_ONCE
        end, ("the server to end those who went %s"):format(name))
        local told = account.wait_for(port, 0)
        assert.equal(told.opened, told.closed, name)
        if stage.waits and stage.is_ws then
          assert.equal(AT_ONCE, told.opened - before.opened, name)
        end
      end
    end)
  end)
end

it("peers that go in the middle of a TLS connection, its handshake above all, leave nothing", function()
  local files = tls.files()
  local child = program.start(SERVER, { files.cert, files.key })
  local port, secure = child:expect("listening").port, child:expect("listening").port
  -- A WebSocket that says something; through a relay, which may cut it off.
  local function talk(limits, at_limit)
    local between = relay.start(secure, limits, at_limit)
    local ws = moonwire.connect(("wss://localhost:%d/echo"):format(between.port), { tls = { ca = files.ca } })
    if ws then
      ws:send "Hello"
      ws:messages()()
      ws:close()
      for _ in ws:messages() do end
    end
    between:close()
    return between
  end
  local whole = talk()
  account.expect_nothing_left(child, port, function()
    for direction, total in pairs { up = whole.up, down = whole.down } do
      for i = 0, CUTS - 1 do
        for _, way in ipairs { relay.Relay.reset, relay.Relay.finish } do
          local cut = talk({ [direction] = total * i // CUTS }, way)
          assert.equal(total * i // CUTS, cut[direction])
        end
      end
    end
    local told = account.wait_for(port, 0)
    assert.equal(told.opened, told.closed)
  end)
end)
