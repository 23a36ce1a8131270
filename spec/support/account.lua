-- account.lua - what a server under test holds, asked of itself and seen from outside: connections, descriptors, memory, CPU
-- time. After whatever happened to it, all that has to be as it was before.
-- Owns nothing; asks over one connection at a time, which is counted and then closed.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local json = require "moonwire.json"
local program = require "spec.support.program"
local visitor = require "spec.support.visitor"

local M = {}

local GROWTH = 1.03 -- how much more memory a round may leave than the one before
local ROUNDS = 5 -- at most
local IDLE_SECONDS, IDLE_TICKS = 0.2, 2

---For the script of the server: `tell_account(app, more)` answers GET /account; `more()` may return further fields.
M.SCRIPT = [[
local function tell_account(app, more)
  app:get("/account", function(_, res)
    -- Everything that is only garbage goes; the pool of coroutines and libc's own caches stay.
    collectgarbage() collectgarbage()
    local told, count = more and more() or {}, require "moonwire.core".count()
    told.connections, told.websockets = count.connections, count.websockets
    res:json(told)
  end)
end
]]
M.SCRIPT = M.SCRIPT:gsub("%-%-[^\n]*", ""):gsub("\n%s*", " ")

---What the server tells.
---@param place integer|string port or path
---@return {connections: integer, websockets: integer} told with what else its script adds
function M.ask(place)
  local client = visitor.connect(place)
  client:request("/account", "Connection: close\r\n")
  local _, body = client:response()
  client:close()
  return (assert(json.decode(body)))
end

---Ask until so many connections are left, besides the one that asks, and every other WebSocket has had its close.
---@param place integer|string
---@param connections integer
---@return table told
function M.wait_for(place, connections)
  local deadline = os.time() + async.GUARD
  local told
  repeat
    told = M.ask(place)
    if os.time() > deadline then
      error(("waited %d s for %d connections; there are %d"):format(async.GUARD, connections, told.connections - 1), 2)
    end
  until told.connections == connections + 1 and told.websockets <= connections
  return told
end

---Wait until only the connection that asks is left, and return what the server then holds.
---@param child spec.Peer
---@param place integer|string
---@return integer descriptors
---@return integer memory KiB
---@return table told
function M.take(child, place)
  local client = visitor.connect(place)
  local told
  repeat
    client:request "/account"
    local _, body = client:response()
    told = json.decode(body)
  until told.connections == 1 and told.websockets == 0
  local descriptors, memory = program.descriptors(child.pid), program.memory(child.pid)
  client:close()
  return descriptors, memory, told
end

---Memory goes up until the heap has seen its busiest moment, which on a loaded machine may come late; what leaks goes up for
---ever. So the round is repeated until one more leaves no more than the one before, but not for ever.
---@param child spec.Peer
---@param place integer|string
---@param memory integer KiB, after a round
---@param round fun()
function M.expect_no_growth(child, place, memory, round)
  for _ = 1, ROUNDS do
    round()
    local _, now = M.take(child, place)
    if now <= memory * GROWTH then
      return
    end
    memory = now
  end
  error(("memory grew in each of %d rounds, to %d KiB"):format(ROUNDS, memory), 2)
end

-- CPU time of a process, in the kernel's ticks (usually 1/100 s).
local function ticks(pid)
  local file = assert(io.open(("/proc/%d/stat"):format(pid)))
  local after_name = file:read("a"):match "%) (.*)"
  file:close()
  local user, system = after_name:match(("%S+ "):rep(11) .. "(%d+) (%d+)")
  return tonumber(user) + tonumber(system)
end

---The process does nothing while nothing is asked of it.
---@param pid integer
function M.expect_idle(pid)
  local before = ticks(pid)
  async.quiet(IDLE_SECONDS)
  local used = ticks(pid) - before
  if used > IDLE_TICKS then
    error(("%d ticks of CPU time were used in %g s without work"):format(used, IDLE_SECONDS), 2)
  end
end

---Do a round, and another one: descriptors are as they were, memory does not grow, the process is idle, and a new client is
---served. Ends the process, cleanly.
---@param child spec.Peer
---@param place integer|string a port, or the path of a Unix socket
---@param round fun()
---@param error_line? string pattern of what the log may have as an error
function M.expect_nothing_left(child, place, round, error_line)
  round()
  local descriptors, memory = M.take(child, place)
  round()
  local now, more_memory = M.take(child, place)
  if now ~= descriptors then
    error(("%d descriptors are open, %d before"):format(now, descriptors), 2)
  end
  if not program.is_sanitized and more_memory > memory * GROWTH then
    M.expect_no_growth(child, place, more_memory, round)
  end
  M.expect_idle(child.pid)
  local client = visitor.connect(place)
  client:upgrade "/echo"
  client:send(visitor.TEXT, "still there?")
  assert(client:message() == "still there?")
  client:send_close(1000)
  client:expect_end()
  child:kill "sigterm"
  -- Who was closed may be told; nothing of ours went wrong.
  for failure in program.expect_clean_end(child):gmatch "moonwire: error: ([^\n]*)" do
    if not error_line or not failure:find(error_line) then
      error("it wrote: " .. failure, 2)
    end
  end
end

return M
