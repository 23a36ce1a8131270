-- http_hostile_spec.lua - every row of http_rows.lua and http_app_rows.lua against our server, from a client made by hand.
-- Each request gets its answer and nothing else happens: no handler runs that must not, nothing behind an error is
-- processed, nothing unexpected is logged, and the next good request is answered.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local core = require "moonwire.core"
local http_app_rows = require "spec.support.http_app_rows"
local http_rows = require "spec.support.http_rows"
local http_wire = require "spec.support.http_wire"
local moonwire = require "moonwire"
local raw = require "spec.support.raw"

local BATCH = 64 -- connections side by side
local SPLIT_MAX = 300 -- what is not longer is also sent in two pieces, cut at every byte, and byte by byte
local GOOD = "GET /good HTTP/1.1\r\nHost: x\r\n\r\n"

local app, path, port
local calls, logged = {}, {} -- what reached the application and the log
local core_log, core_fail = core.log, core.fail

local function called(text)
  calls[#calls + 1] = text
end

local function write_file(name, text)
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
end

-- A directory to serve, with things in it and around it that must not leave.
local function make_files()
  local directory = async.directory()
  assert(os.execute(([[
    cd '%s' && mkdir -p public/sub public/.git outside && mkfifo public/pipe &&
    ln -s ../secret.txt public/link.txt && ln -s ../outside public/out
  ]]):format(directory)))
  write_file(directory .. "/public/a.txt", "0123456789")
  for _, name in ipairs { "secret.txt", "outside/secret.txt", "public/.hidden", "public/.git/config" } do
    write_file(directory .. "/" .. name, "secret")
  end
  return directory .. "/public"
end

local function make_app()
  local made = moonwire.app { max_body = 100, max_connections = 0, max_per_address = 0, keep_alive_timeout = 60 }
  made:use(function(req, _, next_handler)
    called(("%s %s %s"):format(req.method, req.path, req.body))
    next_handler()
  end)
  made:get("/", function(_, res)
    res:send "root"
  end)
  made:get("/good", function(_, res)
    res:send "good"
  end)
  made:any("/echo", function(req, res)
    res:send(req.body)
  end)
  made:any("/header", function(req, res)
    res:send(req.headers["x-test"] or "none")
  end)
  made:get("/host", function(req, res)
    res:send(req.headers.host)
  end)
  made:get("/slow", function(_, res)
    raw.turn()
    raw.turn()
    res:send "slow"
  end)
  made:get("/stream", function(_, res)
    res:write "one, "
    raw.turn()
    res:write "two"
    res:finish()
  end)
  made:get("/set", function(req, res)
    res.headers["X-Set"] = req.query.value
    res:send "set"
  end)
  made:get("/redirect", function(req, res)
    res:redirect(req.query.to)
  end)
  made:get("/fail/:what", function()
    error "on purpose"
  end)
  made:static("/files", make_files())
  made:ws("/ws", {
    upgrade = function()
      called "upgrade"
    end,
    open = function()
      called "open"
    end,
  })
  made:ws("/refused", {
    upgrade = function()
      return moonwire.reject(401, "who are you?", { ["WWW-Authenticate"] = "Bearer" })
    end,
  })
  return made
end

local function connect(is_tcp)
  return raw.connect(is_tcp and { host = "127.0.0.1", port = port } or { path = path })
end

-- ---- what came back ----

local function check_answer(expected, answer, way)
  assert(answer, way .. ": there are more answers")
  assert.equal(expected[1], answer.status, way)
  assert.is_true(answer.is_complete, way)
  if expected[2] then
    assert.equal(expected[2], answer.body, way)
  end
end

local function answers_of(row)
  if row.refused then
    return { { row.refused } }
  end
  local answers = {}
  for _ = 1, row.times or 1 do
    table.move(row.answers, 1, #row.answers, #answers + 1, answers)
  end
  return answers
end

local function check(row, received, way)
  local expected = answers_of(row)
  local answers, rest = http_wire.responses(received, expected)
  for i, each in ipairs(expected) do
    check_answer(each, answers[i], way)
  end
  assert.equal(#expected, #answers, way)
  assert.equal("", rest, way)
  local last = answers[#answers]
  if row.refused then
    assert.truthy(last.headers.connection:find "close", way)
  end
  for name, pattern in pairs(row.has or {}) do
    assert(last.headers[name], ("%s: %s is there"):format(way, name))
    assert(last.headers[name]:find(pattern), ("%s: %s: %s"):format(way, name, last.headers[name]))
  end
  for _, name in ipairs(row.lacks or {}) do
    assert.is_nil(last.headers[name], way)
  end
end

-- What reached the application, `count` times over. The order over several connections says nothing.
local function check_calls(row, count)
  local wanted = {}
  for _, text in ipairs(row.calls or {}) do
    for _ = 1, count * (row.times or 1) do
      wanted[#wanted + 1] = text
    end
  end
  table.sort(wanted)
  table.sort(calls)
  assert.same(wanted, calls)
end

local function check_log(row, count)
  if not row.log then
    return assert.same({}, logged)
  end
  assert.equal(row.told_once and 1 or count, #logged, table.concat(logged, "\n"))
  for _, line in ipairs(logged) do
    assert(line:find(row.log), ("the log has %q"):format(line))
  end
end

-- ---- one row ----

local function describe_way(way)
  return #way == 1 and "in one piece" or #way == 2 and ("cut at byte %d"):format(#way[1]) or "byte by byte"
end

local function answer_came(peer, row)
  local expected = answers_of(row)
  async.wait_until(function()
    local answers = http_wire.responses(peer.received, expected)
    return peer.ended or answers[#expected] and answers[#expected].is_complete
  end, ("%d answers, after %q"):format(#expected, peer.received:sub(-300)))
end

local function run_batch(row, batch)
  local peers = {}
  for i, way in ipairs(batch) do
    -- raw.lua says why pieces go over Unix sockets.
    peers[i] = connect(#way == 1)
  end
  raw.send_in_pieces(peers, batch)
  for i, peer in ipairs(peers) do
    answer_came(peer, row)
    if not row.refused and not row.ends then
      peer:shutdown()
    end
    peer:wait_for_end()
    check(row, peer.received, describe_way(batch[i]))
    peer:close()
  end
end

local function run(row)
  local ways = raw.ways(row.bytes .. (row.refused and GOOD or ""), SPLIT_MAX)
  for first = 1, #ways, BATCH do
    run_batch(row, table.move(ways, first, math.min(first + BATCH - 1, #ways), 1, {}))
  end
  raw.turn()
  if row.calls or row.refused then
    check_calls(row, #ways)
  end
  check_log(row, #ways)
  local peer = connect(true)
  peer:write(GOOD)
  answer_came(peer, { answers = { { 200 } } })
  check_answer({ 200, "good" }, http_wire.responses(peer.received, { {} })[1], "a good request afterwards")
  peer:close()
end

-- ---- all of them ----

setup(function()
  core.log = function(level, text)
    logged[#logged + 1] = level .. " " .. text
  end
  core.fail = function(text, _, route, event)
    logged[#logged + 1] = ("error %s %s: %s"):format(event, route, text)
  end
  app = make_app()
  path = async.directory() .. "/socket"
  assert(app:listen { path = path })
  port = assert(app:listen { port = 0 }):address().port
end)

teardown(function()
  core.log, core.fail = core_log, core_fail
  raw.close_all()
  app:close { timeout = 5 }
end)

before_each(function()
  calls, logged = {}, {}
end)

for _, group in ipairs {
  { "the server refuses", http_rows.refused },
  { "the server takes", http_rows.taken },
  { "files:", http_app_rows.files },
  { "injected headers:", http_app_rows.injections },
  { "the opening handshake is refused:", http_app_rows.handshakes },
  { "no opening handshake:", http_app_rows.not_upgrades },
} do
  describe(group[1], function()
    for _, row in ipairs(group[2]) do
      it(("%s (RFC %s)"):format(row.name, row.rfc), function()
        run(row)
      end)
    end
  end)
end
