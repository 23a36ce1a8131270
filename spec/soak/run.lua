-- run.lua - the soak: make soak, or moonwire spec/soak/run.lua [options]; see USAGE. A server under a load of all kinds, most of
-- it ill-mannered, whose memory and descriptors must not grow, whose threads must stay the same, and of whose messages none
-- that was acknowledged may be lost. After a quarter of the time, and at the end, all clients rest: both times it must hold the
-- same, and be idle. Owns the processes, which end with it.
-- SPDX-License-Identifier: MIT

local root = arg[0]:match "^(.*)/spec/soak/[^/]*$" or "."
package.path = ("%s/?.lua;%s"):format(root, package.path)

local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local picture = require "spec.soak.picture"
local program = require "spec.support.program"
local report = require "spec.soak.report"
local sampler = require "spec.soak.sampler"
local tls = require "spec.support.tls"
local uv = require "luv"

local USAGE = [[
usage: moonwire spec/soak/run.lua [options]; make soak takes the same as variables, in capitals: SECONDS=60
  --seconds S    of load, a quarter of which is warm-up (1200)
  --workers N    that do one thing after the other, in each of the two programs of clients (16)
  --svg FILE     the curves as a picture
  --log FILE     what the server writes on standard error
  --leak KIND    plant a leak: memory, descriptor, or both with a comma; the soak must then fail
Exit codes: 0 nothing grew and nothing was lost; 1 something did; 2 wrong options]]

local WARM_UP = 1 / 4 -- of the time
local SAMPLES = 200 -- in all, but one in 5 s at least and 5 a second at most
local SCRAPE_SECONDS = 1
local RENEWALS = 15 -- of the certificate in all, but one a minute at least
local PAUSE = 0.03 -- seconds between two things that a worker does, on average
local FAULTS = 60 -- handlers that run away or take all memory, in all, but one in 10 s at least and one in 5 s at most
-- So long that it does not hit those who only had to wait for a processor.
local HANDLER_LIMIT_SECONDS = 2
local FILE_SIZES = { 100, 20000, 700000 }
local SETTLE_SECONDS, IDLE_SECONDS = 60, 1
local IDLE_CPU = 0.05 -- of a core, for a timer and the look at the certificates
-- What may grow under load, and what memory may be more at rest. A short run has not seen its busiest moment: it is only judged
-- at rest, and of memory only what Lua holds, where only what is no doubt a leak is one. Sanitizers keep what is freed.
local LONG_SECONDS = 600
local GROWTH, REST_GROWTH, SHORT_REST_GROWTH = 0.02, 0.05, 1

local function fail_usage(message)
  io.stderr:write("soak: ", message, "\n", USAGE, "\n")
  os.exit(2)
end

local function read_options()
  local given = {}
  local is_known = {}
  for _, name in ipairs { "seconds", "workers", "svg", "log", "leak" } do
    is_known[name] = true
    given[name] = os.getenv(name:upper())
  end
  for at = 1, #arg, 2 do
    local name = arg[at]:match "^%-%-(%l+)$"
    if not is_known[name] then
      fail_usage(arg[at] .. " is none of the options")
    end
    given[name] = arg[at + 1] or fail_usage(arg[at] .. ": a value is missing")
  end
  for name, value in pairs(given) do
    given[name] = value ~= "" and value or nil
  end
  local seconds, workers = tonumber(given.seconds or 1200), math.tointeger(tonumber(given.workers or 16))
  if not seconds or seconds < 4 then
    fail_usage "--seconds: at least 4 are needed"
  elseif not workers or workers < 1 then
    fail_usage "--workers: a number from 1 is needed"
  end
  return { seconds = seconds, workers = workers, svg = given.svg, log = given.log, leak = given.leak or "" }
end

local options = read_options()
local now = function()
  return uv.hrtime() / 1e9
end

-- ---- what is started ----

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function copy(from, to)
  assert(uv.fs_copyfile(from, to .. ".new"))
  assert(uv.fs_rename(to .. ".new", to))
end

local places = { directory = async.directory() }
places.files, places.cert, places.key = places.directory .. "/files", places.directory .. "/cert.pem",
  places.directory .. "/key.pem"
assert(uv.fs_mkdir(places.files, tonumber("755", 8)))
for name, size in ipairs(FILE_SIZES) do
  write(("%s/%d"):format(places.files, name), ("file "):rep(size // 5 + 1):sub(1, size))
end
local pairs_of_keys = { tls.files(), tls.issue(places.directory, "second", { names = "DNS:localhost,IP:127.0.0.1" }) }
local renewed = 0
local function renew()
  renewed = renewed + 1
  local pair = pairs_of_keys[renewed % 2 + 1]
  copy(pair.key, places.key)
  copy(pair.cert, places.cert)
end
renew()

local metrics = { server = async.port(), client = async.port() }
local command = {
  program.binary, "--metrics", tostring(metrics.server), "--memory-limit", "48M",
  "--handler-limit", tostring(HANDLER_LIMIT_SECONDS),
  root .. "/spec/soak/server.lua",
  moonwire.json.encode {
    cert = places.cert, key = places.key, ca = tls.files().ca, files = places.files, leak = options.leak,
  },
}
local server
if options.log then
  -- The same process, with another standard error.
  server = peer.spawn("sh", { "-c", 'log=$1; shift; exec "$@" 2>"$log"', "sh", options.log, table.unpack(command) })
else
  server = peer.spawn(command[1], table.move(command, 2, #command, 1, {}))
end
local listening = server:expect "listening"

local settings = moonwire.json.encode {
  port = listening.port, tls_port = listening.tls_port, ca = tls.files().ca, directory = places.directory,
  workers = options.workers, pause = PAUSE, faults_every = math.max(5, math.min(10, options.seconds / FAULTS)),
  file_sizes = FILE_SIZES, seed = os.time(),
}
local clients = {
  program.spawn { "--metrics", tostring(metrics.client), root .. "/spec/soak/clients.lua", settings },
  peer.spawn("node", { root .. "/spec/soak/clients.mjs", settings }),
}

for _, each in ipairs(clients) do
  each:expect "ready"
end

local problems, told = {}, {}
local function problem(text, ...)
  table.insert(problems, text:format(...))
end

local function order(word)
  for _, each in ipairs(clients) do
    each.stdin:write(word .. "\n")
  end
end

-- ---- load, and rest ----

local scrapes, samples = 0, {}
local began = now()

local lua_memory, is_scraping = { server = 0, client = 0 }, {}

-- As somebody's Prometheus does; samples are taken meanwhile.
local function scrape(who)
  if is_scraping[who] then
    return
  end
  is_scraping[who] = true
  local answer, message = moonwire.fetch(("http://127.0.0.1:%d/metrics"):format(metrics[who]))
  is_scraping[who] = false
  if not answer or answer.status ~= 200 then
    return problem("the metrics could not be read: %s", message or answer.status)
  end
  scrapes = scrapes + 1
  lua_memory[who] = tonumber(answer.body:match "\nmoonwire_lua_memory_bytes (%d+)")
end

local function take_sample()
  local sample = { time = now() - began, server = sampler.sample(server.pid), client = sampler.sample(clients[1].pid) }
  sample.server.lua, sample.client.lua = lua_memory.server, lua_memory.client
  return sample
end

-- Both programs of clients at work for so long. What is sampled is kept if it is wanted.
local function load(seconds, keeps)
  local ends = now() + seconds
  local sample_every = math.max(0.2, math.min(5, options.seconds / SAMPLES))
  local renew_every = math.min(60, options.seconds / RENEWALS)
  local next_scrape, next_sample, next_renewal = 0, now() + sample_every, now() + renew_every
  order "go"
  while now() < ends and not server.exit do
    if now() >= next_scrape then
      next_scrape = now() + SCRAPE_SECONDS
      moonwire.spawn(scrape, "server")
      moonwire.spawn(scrape, "client")
    end
    if now() >= next_sample then
      next_sample = next_sample + sample_every
      if keeps then
        table.insert(samples, take_sample())
      end
    end
    if now() >= next_renewal then
      next_renewal = next_renewal + renew_every
      renew()
    end
    moonwire.sleep(math.max(0.001, math.min(next_sample, next_renewal, ends) - now()))
  end
end

-- Ask the server until only the connection that asks is left.
local function settle()
  local deadline = now() + SETTLE_SECONDS
  local account
  repeat
    moonwire.sleep(0.1)
    local answer = assert(moonwire.fetch(("http://127.0.0.1:%d/account"):format(listening.port)))
    account = answer:json()
  until account.connections == 1 and account.websockets == 0 or now() > deadline
  if account.connections ~= 1 or account.websockets ~= 0 then
    problem("%d connections and %d WebSockets are left", account.connections - 1, account.websockets)
  end
  return account
end

-- All clients go; what is left when nothing happens any more.
local function rest()
  order "rest"
  for i, each in ipairs(clients) do
    told[i] = each:expect("rested", SETTLE_SECONDS)
  end
  local account = settle()
  local before = take_sample()
  moonwire.sleep(IDLE_SECONDS)
  local sample = take_sample()
  sample.server.lua, sample.client.lua = account.lua, told[1].lua
  sample.cpu = (sample.server.cpu - before.server.cpu) / IDLE_SECONDS
  sample.received = account.received
  return sample
end

-- ---- the verdict ----

local function add_up()
  local counts = {}
  for _, each in ipairs(told) do
    for name, count in pairs(each.counts) do
      counts[name] = (counts[name] or 0) + count
    end
    for _, text in ipairs(each.problems) do
      problem("%s", text)
    end
  end
  return counts
end

local function judge(first, last)
  local is_long = options.seconds >= LONG_SECONDS
  local limits = {
    growth = GROWTH,
    rest_growth = is_long and REST_GROWTH or SHORT_REST_GROWTH,
    idle_cpu = IDLE_CPU,
    judges_load = is_long,
    judges_resident = is_long and not program.is_sanitized,
  }
  local counts = add_up()
  if counts.lost > 0 then
    problem("%d messages were lost", counts.lost)
  elseif last.received < counts.acknowledged then
    problem("the server heard %d messages and acknowledged %d", last.received, counts.acknowledged)
  end
  counts.scrapes, counts.renewals = scrapes, renewed - 1
  report.counts(counts)
  local holds = report.curves(samples, limits)
  holds = report.at_rest(first, last, limits) and holds
  if options.svg then
    picture.write(options.svg, ("A soak of %g s"):format(options.seconds), report.all_series(samples))
  end
  return holds
end

local function main()
  print(("soak of %g s: server %d, clients %d and %d"):format(options.seconds, server.pid, clients[1].pid,
    clients[2].pid))
  load(options.seconds * WARM_UP, false)
  local first = rest()
  load(options.seconds * (1 - WARM_UP), true)
  local last = rest()
  local holds = judge(first, last)
  for _, each in ipairs(clients) do
    each:stop()
  end
  server.stdin:close()
  local ok, message = pcall(program.expect_clean_end, server)
  if not ok then
    problem("%s", message)
  end
  return holds
end

io.stdout:setvbuf "line"
local ok, holds = xpcall(main, debug.traceback)
if not ok then
  problem("%s%s", holds, server.stderr ~= "" and "\nthe server wrote: " .. server.stderr or "")
  peer.stop_all()
end
for _, text in ipairs(problems) do
  print("problem: " .. text)
end
local passes = ok and holds and #problems == 0
print(passes and "PASS" or "FAIL")
os.exit(passes)
