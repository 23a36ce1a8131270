-- clients.lua - the clients of the soak that are made with moonwire itself, and those made of bare sockets, which vanish.
-- Each of `workers` tasks does one thing after the other, chosen by chance: talks and checks what comes back, subscribes and
-- publishes, asks over HTTP, does not read, goes away in the middle. Started by run.lua, with one argument in JSON: `port`,
-- `tls_port`, `ca`, `workers`, `pause` (seconds between two things), `faults_every`, `directory`, `file_sizes`, `seed`.
-- Told "go" and "rest" in lines on standard input, and ends with it. Answers {"event":"rested", …} with what was counted.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local moonwire = require "moonwire"
local raw = require "spec.soak.raw"
local uv = require "luv"

local options = assert(moonwire.json.decode(arg[1]))
local random = math.random
math.randomseed(options.seed)

local TIMEOUT = 60
local PROBLEMS_KEPT = 20
local counts = { connections = 0, sent = 0, acknowledged = 0, lost = 0, requests = 0, vanished = 0, faults = 0, reconnects = 0 }
local problems = {}
local going, running = false, 0

local function add(name, count)
  counts[name] = counts[name] + (count or 1)
end

-- Sizes from 1 B to 300 KB, each magnitude as often as the others.
local function any_size()
  return math.floor(10 ^ (random() * math.log(300000, 10)))
end

local WORDS = { "push", "topic", "close", "drain", "größer", "世界", "{\"a\":1}", "0000", "\n" }
local function any_message()
  local size = any_size()
  if random(2) == 1 then
    -- Bytes that cannot be compressed, of one block that is cut anew each time.
    local block = {}
    for i = 1, 64 do
      block[i] = string.pack("I8", random(0))
    end
    local bytes = table.concat(block)
    return bytes:rep(size // #bytes + 1):sub(1, size), "binary"
  end
  local word = WORDS[random(#WORDS)]
  return word:rep(math.max(1, size // #word)), "text"
end

local function place()
  local secure = random(3) == 1
  return secure, secure and options.tls_port or options.port
end

local function url_of(scheme, path)
  local secure, port = place()
  return ("%s%s://localhost:%d%s"):format(scheme, secure and "s" or "", port, path), { ca = options.ca }
end

local function connect(path, more)
  local url, tls = url_of("ws", path)
  more = more or {}
  more.tls, more.timeout = url:find "^wss" and tls or nil, TIMEOUT
  add "connections"
  return assert(moonwire.connect(url, more))
end

-- ---- what a client does ----

local ACTIONS = {}

-- Messages, each of which must come back as it was, in order; then one of the ways to go.
function ACTIONS.talk()
  local path = ({ "/echo", "/packed", "/context" })[random(3)]
  local ws = connect(path, {
    compress = path == "/context" and { server_no_context_takeover = false, client_no_context_takeover = false }
      or path == "/packed",
  })
  local receive = ws:messages()
  local waiting = {}
  local function take()
    local data, kind = receive()
    local expected = table.remove(waiting, 1)
    if data ~= expected[1] or kind ~= expected[2] then
      add "lost"
      local ending = ws.ending
      error(("%s: %s instead of %d bytes %s; %s"):format(path, data and #data .. " bytes " .. kind or "the end",
        #expected[1], expected[2], ending and ending.text or "open"))
    end
    add "acknowledged"
  end
  for _ = 1, random(20) do
    local data, kind = any_message()
    assert(ws:send(data, kind))
    add "sent"
    table.insert(waiting, { data, kind })
    while #waiting >= 4 do
      take()
    end
  end
  if random(4) == 1 then
    add("vanished")
    return ws:terminate()
  end
  while waiting[1] do
    take()
  end
  ws:close(1000, "done")
  assert(receive() == nil)
end

-- Three who listen and one who speaks: what was acknowledged is what the others have heard, in order.
function ACTIONS.publish()
  local path = ("/room/%x"):format(random(0))
  local listeners = {}
  for i = 1, 3 do
    local ws = connect(path, { compress = i == 1 })
    listeners[i] = { ws = ws, receive = ws:messages() }
    assert(listeners[i].receive())
  end
  local speaker = connect(path)
  local receive = speaker:messages()
  local there = assert(receive())
  assert(there == "4", there .. " in the room")
  for number = 1, random(30) do
    local text = ("%d %s"):format(number, ("publication "):rep(random(100)))
    assert(speaker:send(text))
    add "sent"
    local answer = receive()
    if answer ~= ("3 %d"):format(number) then
      add "lost"
      error(("publication %d: the answer was %s"):format(number, answer))
    end
    for _, listener in ipairs(listeners) do
      if listener.receive() ~= text then
        add "lost"
        error(("publication %d was acknowledged and did not come"):format(number))
      end
    end
    add "acknowledged"
  end
  speaker:close()
  for _, listener in ipairs(listeners) do
    if random(3) == 1 then
      listener.ws:terminate()
    else
      listener.ws:close()
    end
    assert(listener.receive() == nil)
  end
end

local function request(path, more)
  local url, tls = url_of("http", path)
  more = more or {}
  more.tls, more.timeout = url:find "^https" and tls or nil, more.timeout or TIMEOUT
  add "requests"
  return moonwire.fetch(url, more)
end

function ACTIONS.body()
  local data = any_message()
  local answer = assert(request("/body", { body = data }))
  assert(answer.status == 200 and answer.body == data, "a body came back changed")
end

function ACTIONS.file()
  local name = random(#options.file_sizes)
  local answer = assert(request(("/files/%d"):format(name)))
  assert(answer.status == 200 and #answer.body == options.file_sizes[name], "a file is not whole")
  local again = assert(request(("/files/%d"):format(name), { headers = { ["If-None-Match"] = answer.headers.etag } }))
  assert(again.status == 304, again.status)
end

function ACTIONS.fetch()
  local name = random(#options.file_sizes)
  local path = ("/fetch?name=%d%s%s"):format(name, random(2) == 1 and "&secure=yes" or "",
    random(2) == 1 and "&file=yes" or "")
  local answer = assert(request(path))
  assert(answer.status == 200 and #answer.body == options.file_sizes[name], "what the server fetched is not whole")
end

function ACTIONS.fetch_to_file()
  local name = random(#options.file_sizes)
  local path = ("%s/%x"):format(options.directory, random(0))
  assert(request(("/files/%d"):format(name), { file = path }))
  local size = uv.fs_stat(path).size
  os.remove(path)
  assert(size == options.file_sizes[name], "a file that was fetched is not whole")
end

function ACTIONS.stream()
  local answer = assert(request "/stream")
  assert(#answer.body > 40000)
end

-- Gives up in the middle; which of both is quicker does not matter.
function ACTIONS.abort()
  request(({ "/stream", "/files/3", "/fetch?name=3" })[random(3)], { timeout = 0.001 + random() * 0.03 })
  add "vanished"
end

function ACTIONS.error()
  assert(request("/fail").status == 500)
  add "faults"
end

-- A handler that fails costs its connection, and nothing else.
local function provoke(fault)
  local ws = connect "/faulty"
  local receive = ws:messages()
  assert(ws:send(fault))
  assert(receive() == nil)
  add "faults"
  assert(ws.ending.code == 1011, ("%s: %d %s"):format(fault, ws.ending.code, ws.ending.text))
end

function ACTIONS.fault()
  provoke(random(2) == 1 and "error" or "waiting")
end

-- The server goes away, and the client comes back, with what it had to say meanwhile.
function ACTIONS.reconnect()
  local task, opened = coroutine.running(), 0
  local wanted = random(3)
  local ws = connect("/faulty", {
    queue = true,
    reconnect = { delay = 0.01, retries = false },
    open = function(ws)
      opened = opened + 1
      if opened > wanted then
        ws:close()
      else
        ws:send "terminate"
      end
    end,
    close = function(ws)
      if opened > wanted then
        core.resume(task)
      end
    end,
  })
  if ws.ready_state ~= moonwire.CLOSED then
    coroutine.yield()
  end
  add("reconnects", opened - 1)
end

-- ---- bare sockets: no TLS, no manners ----

function ACTIONS.vanish()
  local socket = raw.connect(options.port)
  add "connections"
  local bytes = raw.bytes()
  socket:write(bytes:sub(1, random(#bytes)))
  moonwire.sleep(random() * 0.05)
  add "vanished"
  raw.leave(socket)
end

-- Over TLS a bare socket does not get further than this.
function ACTIONS.vanish_secure()
  local socket = raw.connect(options.tls_port)
  add "connections"
  socket:write(raw.TLS_HELLO:sub(1, random(#raw.TLS_HELLO)))
  moonwire.sleep(random() * 0.05)
  add "vanished"
  raw.leave(socket)
end

function ACTIONS.slow_reader()
  local socket = raw.connect(options.port)
  add "connections"
  socket:write(raw.opening("/slow/" .. ({ "close", "drop", "latest" })[random(3)]))
  moonwire.sleep(0.2 + random() * 2)
  add "vanished"
  raw.leave(socket)
end

-- ---- the workers ----

local NAMES, WEIGHTS = {}, { talk = 8, publish = 3, body = 3, file = 3, vanish = 6, error = 0.5, fault = 0.5, slow_reader = 0.7 }
local total = 0
for name in pairs(ACTIONS) do
  table.insert(NAMES, name)
  total = total + (WEIGHTS[name] or 1)
end
table.sort(NAMES)

local function any_action()
  local at = random() * total
  for _, name in ipairs(NAMES) do
    at = at - (WEIGHTS[name] or 1)
    if at <= 0 then
      return name
    end
  end
  return NAMES[1]
end

local function attempt(name, action, ...)
  local ok, problem = pcall(action, ...)
  if not ok and #problems < PROBLEMS_KEPT then
    table.insert(problems, ("%s: %s"):format(name, tostring(problem)))
  end
end

local function report()
  running = running - 1
  if running == 0 then
    collectgarbage()
    collectgarbage()
    local lua = math.floor(collectgarbage "count" * 1024)
    print(moonwire.json.encode { event = "rested", counts = counts, problems = moonwire.json.array(problems), lua = lua })
    io.stdout:flush()
  end
end

local function work()
  while going do
    local name = any_action()
    attempt(name, ACTIONS[name])
    moonwire.sleep(random() * 2 * options.pause)
  end
  report()
end

-- Those that hold everybody up come by the clock.
local turn = 0
local function provoke_by_the_clock()
  local next_time = uv.hrtime() / 1e9
  while going do
    if uv.hrtime() / 1e9 >= next_time then
      next_time, turn = uv.hrtime() / 1e9 + options.faults_every, turn + 1
      attempt("by the clock", provoke, turn % 2 == 0 and "runaway" or "hog")
    end
    moonwire.sleep(0.1)
  end
  report()
end

local ORDERS = {}
function ORDERS.go()
  going, running = true, options.workers + 1
  for _ = 1, options.workers do
    moonwire.spawn(work)
  end
  moonwire.spawn(provoke_by_the_clock)
end
function ORDERS.rest()
  going = false
end

print '{"event":"ready"}'
io.stdout:flush()
local input = uv.new_pipe(false)
input:open(0)
input:read_start(function(_, bytes)
  if not bytes then
    going = false
    return input:close()
  end
  for order in bytes:gmatch "%a+" do
    ORDERS[order]()
  end
end)
