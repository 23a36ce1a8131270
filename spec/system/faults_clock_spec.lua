-- faults_clock_spec.lua - the time of day jumps by an hour, forth and back, and by days, while the program serves: no time limit
-- is counted with that clock, timers go on, and what shows the time of day shows the new one. See spec/native/jumping_clock.c.
-- SPDX-License-Identifier: MIT

local account = require "spec.support.account"
local async = require "spec.support.async"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local talkers = require "spec.support.talkers"
local tls = require "spec.support.tls"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local TEXT, PING, PONG = visitor.TEXT, visitor.PING, visitor.PONG
local HOUR, DAY = 3600, 86400
local MANY = 1000 -- seconds; no limit is reached while the spec runs, but each is if an hour counts

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

local SERVER = account.SCRIPT .. [[
  local cert, key, ca, files = table.unpack(arg)
  local limit = 1000
  local app, ticks, late = moonwire.app(), 0, 0
  local ended = {}
  app:ws("/echo", {
    ping_interval = 0.1, pong_timeout = limit, idle_timeout = limit, write_timeout = limit,
    message = function(ws, data) ws:send(data) end,
    close = function(ws) ended[ws.ending.rule] = (ended[ws.ending.rule] or 0) + 1 end,
  })
  app:static("/files", files)
  app:get("/", function(_, res) res:send "fine" end)
  local waiting
  app:get("/slow", function(_, res) waiting = coroutine.running() coroutine.yield() res:send "slow" end)
  app:get("/release", function(_, res) require "moonwire.core".resume(waiting) res:send "" end)
  local secure, port
  app:get("/fetch/:what", function(req, res)
    local answer, _, code
    if req.params.what == "slow" then
      answer, _, code = moonwire.fetch("http://127.0.0.1:" .. port .. "/slow", { timeout = limit })
    else
      answer, _, code = moonwire.fetch("https://localhost:" .. secure .. "/", { tls = { ca = ca } })
    end
    res:send(answer and answer.body or code)
  end)
  moonwire.every(0.02, function() ticks = ticks + 1 end)
  moonwire.after(limit, function() late = late + 1 end)
  tell_account(app, function() return { ticks = ticks, late = late, time = os.time(), ended = ended } end)
  local limits = { head_timeout = limit, body_timeout = limit, keep_alive_timeout = limit }
  port = serve(app, limits):address().port
  secure = serve(app, { tls = { cert = cert, key = key } }):address().port
]]

-- The program with a time of day that `set` sets, in seconds off the real one.
local function start(files)
  local preload = program.binary:gsub("/moonwire$", "/spec/jumping_clock.so")
  if not uv.fs_stat(preload) then
    error(preload .. " is missing: make it, or run `make test`")
  end
  local control = program.write(("i8"):pack(0), "clock")
  local keys, metrics = tls.files(), async.directory() .. "/metrics"
  local words = program.command(SERVER, { keys.cert, keys.key, keys.ca, files }, { "--metrics", metrics })
  local sanitizer = os.getenv "ASAN_OPTIONS"
  local arguments = {
    "LD_PRELOAD=" .. preload, "JUMPING_CLOCK=" .. control,
    "ASAN_OPTIONS=" .. (sanitizer and sanitizer .. ":" or "") .. "verify_asan_link_order=0",
  }
  local child = program.spawn(table.move(words, 1, #words, #arguments + 1, arguments), { command = "/usr/bin/env" })
  return child, metrics, function(seconds)
    local file = assert(io.open(control, "r+b"))
    file:write(("i8"):pack(seconds))
    file:close()
  end
end

local function get(place, target, headers)
  local client = visitor.connect(place)
  client:request(target, (headers or "") .. "Connection: close\r\n")
  local status, body, head = client:response()
  client:close()
  return status, body, head
end

local function date_of(head, name)
  return require("moonwire.http_date").parse(head:match("\r\n" .. name .. ": ([^\r]*)"))
end

it("no time limit knows the time of day", function()
  local files = async.directory()
  local file = assert(io.open(files .. "/page.txt", "wb"))
  file:write "a page"
  file:close()
  local child, metrics, set = start(files)
  local port = child:expect("listening").port
  child:expect "listening"
  local _, _, head = get(port, "/files/page.txt")
  local modified, tag = date_of(head, "Last%-Modified"), head:match "\r\nETag: ([^\r]*)"
  account.expect_nothing_left(child, port, function()
    local good = talkers.start(port, "/echo", 5)
    local silent, half, kept, slow = visitor.connect(port), visitor.connect(port), visitor.connect(port),
      visitor.connect(port)
    silent:upgrade "/echo"
    half:write "GET / HTTP/1.1\r\nHost: "
    kept:request "/"
    assert.equal(200, (kept:response()))
    slow:request "/fetch/slow"
    local before = json.decode((select(2, get(metrics, "/health")))).uptime
    local jumps = { 2 * HOUR, -2 * HOUR, HOUR, 400 * DAY, -400 * DAY, 0 }
    for _, jump in ipairs(jumps) do
      set(jump)
      good:go_on(20)
      local told = account.ask(port)
      assert.truthy(math.abs(told.time - os.time() - jump) < MANY)
      -- Timers go on; none of those that are to wait has come.
      account.wait_for(port, 10)
      local now
      repeat
        now = account.ask(port)
      until now.ticks >= told.ticks + 5
      assert.equal(0, now.late)
      -- Pings come and are answered.
      local kind, payload
      repeat
        kind, payload = silent:frame()
      until kind == PING
      silent:send(PONG, payload)
      -- Files have the date of the disk; the answer has that of the clock.
      local status, body, head_now = get(port, "/files/page.txt")
      assert.same({ 200, "a page", modified, tag },
        { status, body, date_of(head_now, "Last%-Modified"), head_now:match "\r\nETag: ([^\r]*)" })
      assert.truthy(math.abs(date_of(head_now, "Date") - os.time() - jump) < MANY)
      assert.equal(304, (get(port, "/files/page.txt", "If-None-Match: " .. tag .. "\r\n")))
      assert.equal(304, (get(port, "/files/page.txt", "If-Modified-Since: " .. head:match "Last%-Modified: ([^\r]*)" .. "\r\n")))
      -- A certificate is looked at by the time of day.
      assert.equal(math.abs(jump) < DAY / 2 and jump >= 0 and "fine" or "tls", (select(2, get(port, "/fetch/secure"))))
      assert.truthy(json.decode((select(2, get(metrics, "/health")))).uptime - before < MANY)
    end
    half:write "x\r\n\r\n"
    assert.equal("fine", (select(2, half:response())))
    kept:request "/release"
    assert.equal(200, (kept:response()))
    assert.equal("slow", (select(2, slow:response())))
    silent:send(TEXT, "and on")
    assert.equal("and on", silent:message())
    good:go_on(5)
    good:stop()
    for _, each in ipairs { silent, half, kept, slow } do
      each:close()
    end
    local told = account.wait_for(port, 0)
    told.ended.peer_vanished = nil
    assert.same({}, told.ended)
  end)
end)
