-- faults_network_slow_spec.lua - two hundred peers at once that say nothing, dribble, or never read, while twenty others talk on
-- without losing a message or their turn. With long limits they stay and do no harm; with short ones they go.
-- SPDX-License-Identifier: MIT

local account = require "spec.support.account"
local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local talkers = require "spec.support.talkers"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local SLOW, TALKERS = 200, 20
local ROUNDS = 30 -- messages of each talker meanwhile
local DRIBBLE_MS = 50 -- a byte each time, while limits are a tenth of the real ones

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

-- On Unix sockets the kernel keeps little of what is not read.
local SERVER = account.SCRIPT .. [[
  local page, opened, closed = ("x"):rep(1 << 19), 0, 0
  local app = moonwire.app()
  local function route(name, limits)
    limits.message = function(ws, data) ws:send(data) end
    limits.open = function(ws)
      opened = opened + 1
      if ws.request.query.page then ws:send(page) end
    end
    limits.close = function() closed = closed + 1 end
    app:ws(name, limits)
  end
  route("/echo", {})
  route("/long", { write_timeout = 60, idle_timeout = 60 })
  route("/short", {
    write_timeout = 0.3, idle_timeout = 0.6, close_timeout = 0.1, ping_interval = 0.1, pong_timeout = 0.2,
  })
  app:get("/page", function(_, res) res:send(page) end)
  app:post("/body", function(_, res) res:send "fine" end)
  tell_account(app, function() return { opened = opened, closed = closed } end)
  serve(app)
  serve(app, { path = arg[1], head_timeout = 60, body_timeout = 60, write_timeout = 60, keep_alive_timeout = 60 })
  serve(app, {
    path = arg[2], head_timeout = 0.3, body_timeout = 0.3, write_timeout = 0.3, keep_alive_timeout = 0.3,
    min_body_rate = 1024,
  })
]]

local FRAME = visitor.frame(visitor.TEXT, ("x"):rep(1000)):sub(1, -999)

-- What each of them says, what it then dribbles, and whether it reads. %s: the route.
local WAYS = {
  { says = "" },
  { says = "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", dribbles = "x" },
  { says = "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n", dribbles = "x" },
  { says = "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n", dribbles = "x" },
  { says = "GET /page HTTP/1.1\r\nHost: x\r\n\r\n", is_deaf = true },
  { says = visitor.opening "%s?page=yes", is_deaf = true },
  { says = visitor.opening "%s?page=yes", dribbles = visitor.frame(visitor.PONG, ""), is_deaf = true },
  { says = visitor.opening "%s" },
  { says = visitor.opening "%s" .. FRAME, dribbles = "x" },
  { says = visitor.opening "%s" .. visitor.frame(visitor.TEXT, "", { fin = false }),
    dribbles = visitor.frame(0, "x", { fin = false }) },
}

-- Connect them all, and keep them at it until the function that is returned is called.
local function start_slow(path, route)
  local sockets, connected, dribbled = {}, 0, 0
  for i = 1, SLOW do
    local way, socket = WAYS[i % #WAYS + 1], uv.new_pipe(false)
    sockets[i] = socket
    socket:connect(path, function(problem)
      assert(not problem, problem)
      connected = connected + 1
      socket:write((way.says:gsub("%%s", route)))
      if not way.is_deaf then
        socket:read_start(function() end)
      end
      async.wake()
    end)
  end
  async.wait_until(function()
    return connected == SLOW
  end, "all to connect")
  local timer = uv.new_timer()
  timer:start(DRIBBLE_MS, DRIBBLE_MS, function()
    dribbled = dribbled + 1
    for i, socket in ipairs(sockets) do
      local bytes = WAYS[i % #WAYS + 1].dribbles
      if bytes then
        socket:write(bytes, function() end)
      end
    end
  end)
  async.wait_until(function()
    return dribbled == 3
  end, "some bytes of each")
  return function()
    timer:close()
    for _, socket in ipairs(sockets) do
      socket:close()
    end
  end
end

it("peers that are slow in every way hold up nobody, and go when their time is over", function()
  local directory = async.directory()
  local long, short = directory .. "/long", directory .. "/short"
  local child = program.start(SERVER, { long, short })
  local port = child:expect("listening").port
  child:expect "listening"
  child:expect "listening"
  account.expect_nothing_left(child, port, function()
    local good = talkers.start(port, "/echo", TALKERS)
    local leave = start_slow(long, "/long")
    account.wait_for(port, SLOW + TALKERS)
    good:go_on(ROUNDS)
    assert.equal(SLOW + TALKERS, account.ask(port).connections - 1)
    leave()
    account.wait_for(port, TALKERS)
    leave = start_slow(short, "/short")
    good:go_on(ROUNDS)
    local told = account.wait_for(port, TALKERS)
    assert.equal(told.opened, told.closed + TALKERS)
    good:go_on(ROUNDS)
    leave()
    good:stop()
  end)
end)
