-- malloc_spec.lua - memory runs out at each of the first 500 calls of malloc, and at each call while it serves: the program
-- goes on, and loses nothing but the connection that it was for, or it ends with a reason and 1. See spec/native/failing_malloc.c
-- for how calls fail, and spec/peers/malloc_sweep.py for what is looked at in each run.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local tls = require "spec.support.tls"
local uv = require "luv"

local SECONDS = 110
local GROWTH = 1.03 -- how much more memory a round may leave than the one before

after_each(peer.stop_all)

-- Before anything is loaded: calls may be counted from here on.
local BEGINNING = [[
  local first = os.getenv "FAIL_AT"
  if first then
    local control = io.open(os.getenv "FAILING_MALLOC", "r+b")
    control:write(("<I8"):pack(tonumber(first)))
    control:close()
  end
  dofile(table.remove(arg, 1))
]]

local SERVICE = [[
  local core = require "moonwire.core"
  local cert, key, files = table.unpack(arg)
  local app, port = moonwire.app(), nil
  local function url(scheme, path)
    return scheme .. (cert ~= "" and "s" or "") .. "://127.0.0.1:" .. port .. path
  end
  app:ws("/rooms/:room", {
    compress = true,
    open = function(ws) ws:subscribe(ws.params.room) end,
    message = function(ws, data)
      if data:find "^say " then ws:publish(ws.params.room, data, "text") end
      ws:send(data, "binary")
    end,
  })
  app:get("/", function(_, res) res:send "hello\n" end)
  app:post("/count", function(req, res) res:send(tostring(#req.body)) end)
  app:get("/stream", function(_, res)
    for _, piece in ipairs { "a ", "b ", "c " } do
      res:write(piece)
      moonwire.sleep(0)
    end
  end)
  app:get("/fetch", function(_, res)
    local answer, message, code = moonwire.fetch(url("http", "/"), { tls = { verify = false } })
    if not answer or answer.status ~= 200 then res.status = 502 end
    res:send(answer and answer.body or message .. " " .. code)
  end)
  app:get("/connect", function(_, res)
    local ws, message, code = moonwire.connect(url("ws", "/rooms/back"), { tls = { verify = false }, reconnect = false })
    if ws then
      ws:send("and back", "binary")
      for data in ws:messages() do message = data break end
      ws:close()
    end
    if message ~= "and back" then res.status = 502 end
    res:send((message or "closed") .. (code and " " .. code or ""))
  end)
  app:static("/files", files)
  app:get("/account", function(_, res)
    collectgarbage() collectgarbage()
    res:json { connections = core.count().connections, websockets = core.count().websockets }
  end)
  port = serve(app, { tls = cert ~= "" and { cert = cert, key = key } or nil }):address().port
]]

local function files()
  return async.shared_directory("malloc", function(directory)
    local file = assert(io.open(directory .. "/content", "wb"))
    file:write(("moonwire"):rep(10000))
    file:close()
  end)
end

-- Run a job of malloc_sweep.py to its end; what was wrong in some run is an error.
local function sweep(job)
  job.preload = program.binary:gsub("/moonwire$", "/spec/failing_malloc.so")
  if not uv.fs_stat(job.preload) then
    error(job.preload .. " is missing: make it, or run `make test`")
  end
  local is_tls, keys = job.tls, job.tls and tls.files()
  job.command = { program.binary, program.write(BEGINNING), program.script(SERVICE), is_tls and keys.cert or "",
    is_tls and keys.key or "", files() }
  job.at_once = 3
  if program.is_sanitized then
    -- The preloaded object asks the sanitizer's malloc, not the other way round.
    local options = os.getenv "ASAN_OPTIONS"
    options = (options and options .. ":" or "") .. "verify_asan_link_order=0"
    -- luv itself loses a timer that Lua has no room for.
    options = options .. (job.length and ":detect_leaks=0" or "")
    job.environment = { ASAN_OPTIONS = options, FAILING_MALLOC_MAIN = "1" }
  end
  local sweeper = peer.start("malloc_sweep.py", job)
  local done = sweeper:expect("done", SECONDS)
  if sweeper:count "run" > 0 then
    error(sweeper:report "not every run went well")
  end
  return done
end

-- Sanitizers let everything take longer, and Lua ask for each of its blocks: they see a part of the runs.
local function numbers(last, sanitized_last, sanitized_step)
  return { first = 1, last = program.is_sanitized and sanitized_last or last,
    step = program.is_sanitized and sanitized_step or 1 }
end

local function with(job, more)
  for name, value in pairs(more) do
    job[name] = value
  end
  return job
end

describe("when memory runs out", function()
  it("while it starts, the program says why it can't and ends with 1, or serves all the same", function()
    local done = sweep(with(numbers(500, 9000, 331), { when = "start" }))
    assert.is_true(done.counts.ended > 20)
  end)

  it("while its script sets things up, the program serves all the same, or says why not and ends with 1", function()
    local done = sweep(with(numbers(500, 9000, 331), { when = "script" }))
    assert.is_true(done.counts["went on"] > 10)
  end)

  it("while it serves, that costs no more than the connection that it was for", function()
    local done = sweep(with(numbers(500, 2700, 113), { when = "serves" }))
    assert.is_nil(done.counts.ended)
    assert.is_true(done.counts["went on"] > 20)
  end)

  it("for three calls in a row, so that collecting garbage does not help, it goes on or says why not", function()
    local job = numbers(250, 2700, 113)
    job.step = program.is_sanitized and job.step or 3
    local done = sweep(with(job, { when = "serves", length = 3 }))
    assert.is_true(done.counts["went on"] > 4 * (done.counts.ended or 0))
  end)

  it("in the middle of TLS, it goes on", function()
    local done = sweep(with(numbers(500, 2000, 211), { when = "serves", tls = true, step = program.is_sanitized and 211 or 9 }))
    assert.is_nil(done.counts.ended)
  end)

  it("again and again, no memory and no descriptor is left behind", function()
    local done = sweep { first = 1, last = 1, when = "soak", every = 50, visits = program.is_sanitized and 50 or 100 }
    assert.is_table(done.rounds)
    local best = math.huge
    assert.is_true(done.rounds[2].descriptors <= done.rounds[1].descriptors)
    for i = 3, #done.rounds do
      assert.is_true(done.rounds[i].descriptors <= done.rounds[1].descriptors)
      best = math.min(best, done.rounds[i].memory / done.rounds[i - 1].memory)
    end
    -- A sanitizer keeps what was freed, and tells of leaks itself, in the end.
    assert.is_true(best < GROWTH or program.is_sanitized)
  end)
end)
