-- faults_sleep_spec.lua - the program itself sleeps for longer than every time limit: a handler that blocks, a stopped process.
-- Whoever did its part meanwhile is neither dropped nor told that it was late, and nothing that it sent is lost.
-- SPDX-License-Identifier: MIT

local account = require "spec.support.account"
local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local talkers = require "spec.support.talkers"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local LIMIT_SECONDS = program.is_sanitized and 1.2 or 0.6 -- long enough for clients on a busy machine
local SLEEP_SECONDS = 3 * LIMIT_SECONDS
local TICKERS, TALKERS = 600, 5 -- more than are looked at in one turn of the loop
local TICK_MS = 200
local TEXT, CLOSE, PONG = visitor.TEXT, visitor.CLOSE, visitor.PONG

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

local SERVER = account.SCRIPT .. [[
  local limit = tonumber(arg[1])
  local app = moonwire.app()
  local ends, out_of_order = {}, 0
  local function ended(ws, code) ends[code .. " " .. ws.ending.rule] = (ends[code .. " " .. ws.ending.rule] or 0) + 1 end
  local function route(name, options)
    options.close, options.close_timeout, options.write_timeout = ended, limit, limit
    options.ping_interval, options.pong_timeout = options.ping_interval or false, limit
    app:ws(name, options)
  end
  route("/echo", { idle_timeout = limit, message = function(ws, data) ws:send(data) end })
  route("/ticks", { idle_timeout = limit, message = function(ws, data)
    if tonumber(data) ~= (ws.data.last or 0) + 1 then out_of_order = out_of_order + 1 end
    ws.data.last = tonumber(data)
  end })
  route("/silent", { ping_interval = 0.1 })
  route("/page", { open = function(ws) ws:send(("x"):rep(1000000)) end, max_backpressure = 1 << 24 })
  route("/closes", { message = function(ws) ws:close(4000) end })
  app:get("/", function(_, res) res:send "fine" end)
  app:post("/", function(req, res) res:send(#req.body .. " bytes") end)
  tell_account(app, function() return { ends = ends, out_of_order = out_of_order } end)
  serve(app, { head_timeout = limit, body_timeout = limit, keep_alive_timeout = 30, write_timeout = limit })
  local pipe = uv.new_pipe(false)
  pipe:open(0)
  pipe:read_start(function(_, text)
    if not text then return pipe:close() end
    if text:find "in a handler of luv's" then tell "sleeps" uv.sleep(limit * 3000 // 1) tell "awake" end
  end)
  app:get("/sleep", function(_, res) tell "sleeps" uv.sleep(limit * 3000 // 1) tell "awake" res:send "awake" end)
]]

-- Clients that send a number now and then, answer pings, and expect nothing.
local function start_tickers(port, target, count, is_silent)
  local self = { sockets = {}, sent = {}, open = 0, pings = 0 }
  for i = 1, count do
    local socket, rest = uv.new_tcp(), ""
    self.sockets[i] = socket
    socket:connect("127.0.0.1", port, function(problem)
      assert(not problem, problem)
      socket:write(visitor.opening(target))
      socket:read_start(function(failure, bytes)
        if not bytes then
          self.problem = self.problem or failure or "cut off"
          return
        end
        rest = rest .. bytes
        local head_end = select(2, rest:find("\r\n\r\n", 1, true))
        if head_end and rest:find "^HTTP/1.1 101" then
          self.open, self.sent[i], rest = self.open + 1, 0, rest:sub(head_end + 1)
          async.wake()
        end
        while rest:find "^\x89\0" do
          self.pings, rest = self.pings + 1, rest:sub(3)
          socket:write(visitor.frame(PONG))
        end
        if rest:find "^\x88" then
          self.problem = self.problem or ("%q came"):format(rest)
        end
      end)
    end)
  end
  local timer = uv.new_timer()
  timer:start(TICK_MS, TICK_MS, function()
    for i, sent in pairs(is_silent and {} or self.sent) do
      self.sent[i] = sent + 1
      self.sockets[i]:write(visitor.frame(TEXT, tostring(sent + 1)))
    end
  end)
  async.wait_until(function()
    return self.open == count
  end, "all to be open")
  function self.stop()
    timer:close()
    for _, socket in ipairs(self.sockets) do
      socket:write(visitor.frame(CLOSE, "\x03\xe8"))
      socket:shutdown(function()
        socket:close()
      end)
    end
  end
  return self
end

-- How it falls asleep: calls `meanwhile` when it does, and returns when it is awake.
local SLEEPS = {
  ["in a handler"] = function(child, port, meanwhile)
    local sleeper = visitor.connect(port)
    sleeper:request("/sleep", "Connection: close\r\n")
    child:expect "sleeps"
    meanwhile()
    child:expect "awake"
    sleeper:expect_end()
  end,
  ["in a callback of luv's"] = function(child, _, meanwhile)
    child.stdin:write "in a handler of luv's"
    child:expect "sleeps"
    meanwhile()
    child:expect "awake"
  end,
  ["by SIGSTOP"] = function(child, _, meanwhile)
    child:kill "sigstop"
    meanwhile()
    async.quiet(SLEEP_SECONDS)
    child:kill "sigcont"
  end,
}

for how, sleep in pairs(SLEEPS) do
  it("nobody is dropped because the program slept " .. how, function()
    local child = program.start(SERVER, { tostring(LIMIT_SECONDS) }, { "--handler-limit", "0", "--handler-warning", "0" })
    local port = child:expect("listening").port
    account.expect_nothing_left(child, port, function()
      local before = account.ask(port).ends
      local good, ticking = talkers.start(port, "/echo", TALKERS), start_tickers(port, "/ticks", TICKERS)
      local silent = start_tickers(port, "/silent", TALKERS, true)
      async.wait_until(function()
        return silent.pings >= 2 * TALKERS
      end, "pings")
      local head, body, closing, page = visitor.connect(port), visitor.connect(port), visitor.connect(port),
        visitor.connect(port)
      closing:upgrade "/closes"
      page:upgrade "/page"
      closing:send(TEXT, "close")
      assert.equal(4000, (closing:expect_close()))
      head:write "GET / HTTP/1.1\r\nHost: "
      body:request("/", "Content-Length: 2000\r\n", "POST")
      body:write(("x"):rep(1000))
      sleep(child, port, function()
        head:write "x\r\n\r\n"
        body:write(("x"):rep(1000))
        closing:send_close(4000)
      end)
      assert.equal(200, (head:response()))
      assert.equal("2000 bytes", select(2, body:response()))
      closing:expect_end()
      head:close()
      body:close()
      assert.equal(1000000, #page:message())
      page:send_close(1000)
      page:expect_close()
      page:expect_end()
      good:go_on(10)
      good:stop()
      local pings = silent.pings
      async.wait_until(function()
        return silent.pings >= pings + 2 * TALKERS
      end, "further pings")
      assert.is_nil(ticking.problem)
      assert.is_nil(silent.problem)
      ticking:stop()
      silent:stop()
      local told = account.wait_for(port, 0)
      for what, count in pairs(before) do
        told.ends[what] = told.ends[what] - count
      end
      assert.same({
        ["1000 peer_closed"] = 1 + TICKERS + TALKERS, ["1006 peer_vanished"] = TALKERS, ["4000 closed_by_script"] = 1,
      }, told.ends)
      assert.equal(0, told.out_of_order)
    end)
  end)
end
