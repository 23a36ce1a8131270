-- run.lua - a first look at speed: make bench, or moonwire spec/bench/run.lua [rounds] [seconds].
-- Servers run in processes of their own, the load comes from this one; the servers take turns, so that a machine whose
-- speed drifts treats them alike. What counts is messages per second of the server's CPU time: the load generator may
-- well be the slower side. Figures of different machines, or of a busy one, mean nothing side by side.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local moonwire = require "moonwire"
local uv = require "luv"

local ROUNDS, SECONDS = tonumber(arg[1] or 3), tonumber(arg[2] or 2)
local TICKS_PER_SECOND = 100 -- of /proc/<pid>/stat on Linux

local here = arg[0]:match("^(.*)/") or "."
local SERVERS = {
  { name = "moonwire", command = uv.exepath(), args = { here .. "/server.lua" } },
  { name = "node ws", command = "node", args = { here .. "/server.mjs" } },
}
local SCENARIOS = {
  { name = "echo, 64 connections", connections = 64, depth = 1, size = 64 },
  { name = "echo, 64 connections, 16 deep", connections = 64, depth = 16, size = 64 },
  { name = "echo, 1,000 connections", connections = 1000, depth = 1, size = 64 },
  { name = "echo, 64 connections, 16 KiB", connections = 64, depth = 1, size = 16384 },
  { name = "fan-out to 1,000", connections = 1000, depth = 1, size = 128, is_fanout = true },
}

-- Starts a server and waits for the line with its port. False when the command is not there.
local function start(server)
  local task, output = coroutine.running(), uv.new_pipe()
  local process, pid = uv.spawn(server.command, { args = server.args, stdio = { nil, output, 2 } }, function() end)
  if not process then
    output:close()
    return false
  end
  server.process, server.pid, server.output = process, pid, output
  local line = ""
  output:read_start(function(_, chunk)
    line = line .. (chunk or "\n")
    if line:find("\n", 1, true) and not server.told then
      server.told = true
      core.resume(task, tonumber(line:match("^%d+")))
    end
  end)
  server.port = coroutine.yield()
  return server.port ~= nil
end

local function cpu_seconds(pid)
  local file = assert(io.open(("/proc/%d/stat"):format(pid)))
  local fields = file:read("a"):match("%) %S (.*)")
  file:close()
  local user, system = fields:match(("%S+ "):rep(10) .. "(%d+) (%d+)")
  return (user + system) / TICKS_PER_SECOND
end

-- Loads one server for a while; returns messages per second of its CPU time, and of time.
local function measure(server, scenario)
  local count, is_over = 0, false
  local payload = (scenario.is_fanout and "P" or "e"):rep(scenario.size)
  local all = {}
  for i = 1, scenario.connections do
    local sends = not scenario.is_fanout or i == 1
    all[i] = assert(moonwire.connect(("ws://127.0.0.1:%d/"):format(server.port), {
      message = function(ws)
        count = count + 1
        if sends and not is_over then
          ws:send(payload)
        end
      end,
    }))
  end
  for i = 1, scenario.is_fanout and 1 or scenario.connections do
    for _ = 1, scenario.depth do
      all[i]:send(payload)
    end
  end
  moonwire.sleep(SECONDS / 4)
  local cpu, time, before = cpu_seconds(server.pid), core.now(), count
  moonwire.sleep(SECONDS)
  local per_cpu = (count - before) / math.max(cpu_seconds(server.pid) - cpu, 1 / TICKS_PER_SECOND)
  local per_second = (count - before) / (core.now() - time)
  is_over = true
  for _, ws in ipairs(all) do
    ws:terminate()
  end
  return per_cpu, per_second
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local running = {}
for _, server in ipairs(SERVERS) do
  if start(server) then
    table.insert(running, server)
  else
    print(("%s is not here and stays out."):format(server.name))
  end
end
print(("%-32s %-10s %14s %12s %8s"):format("median of " .. ROUNDS, "server", "msg / CPU s", "msg / s", "ratio"))
for _, scenario in ipairs(SCENARIOS) do
  local figures = {}
  for _ = 1, ROUNDS do
    for i, server in ipairs(running) do
      figures[i] = figures[i] or { {}, {} }
      local per_cpu, per_second = measure(server, scenario)
      table.insert(figures[i][1], per_cpu)
      table.insert(figures[i][2], per_second)
    end
  end
  local reference = median(figures[#running][1])
  for i, server in ipairs(running) do
    local per_cpu = median(figures[i][1])
    print(("%-32s %-10s %14.0f %12.0f %8.2f"):format(i == 1 and scenario.name or "", server.name, per_cpu,
      median(figures[i][2]), per_cpu / reference))
  end
end
for _, server in ipairs(running) do
  server.process:kill("sigterm")
  server.output:close()
end
