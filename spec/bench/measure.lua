-- measure.lua - one scenario on several servers: started fresh, they take turns, round by round.
-- The load is made by `moonwire bench`, in a process of its own. Figures come as that gives them, see there.
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local peers = require "spec.bench.peers"
local process = require "spec.bench.process"

local M = {}

local WARMUP_SECONDS = 1 -- at most: half of what is measured
local GRACE_SECONDS = 60 -- for opening connections, until a generator counts as stuck

---@class bench.Settings
---@field rounds integer
---@field seconds number
---@field generator string[] a command and its first arguments
---@field server_core integer|nil
---@field load_core integer|nil
---@field connections integer as many as a process may have open
---@field scenarios table<string, boolean> the names of those that are chosen
---@field largest integer|nil where curves end
---@field out string a directory, for the files of curves

local function add(arguments, name, value)
  if value then
    table.insert(arguments, "--" .. name)
    table.insert(arguments, tostring(value))
  end
end

local function arguments_of(server, scenario, settings)
  local arguments = { table.unpack(settings.generator, 2) }
  table.insert(arguments, ("ws://127.0.0.1:%d%s"):format(server.port, scenario.path or "/"))
  for _, name in ipairs { "mode", "connections", "depth", "size" } do
    add(arguments, name, scenario[name])
  end
  add(arguments, "seconds", settings.seconds)
  add(arguments, "warmup", math.min(WARMUP_SECONDS, settings.seconds / 2))
  add(arguments, "pid", table.concat(process.family(server.process.pid), ","))
  table.insert(arguments, "--json")
  return arguments
end

---Load a server that runs, once.
---@param server bench.Server
---@param scenario table
---@param settings bench.Settings
---@return table|nil result
---@return string|nil message
function M.load(server, scenario, settings)
  local run, message = process.run(settings.generator[1], arguments_of(server, scenario, settings), {
    seconds = settings.seconds + WARMUP_SECONDS + GRACE_SECONDS,
    core = settings.load_core,
  })
  if not run then
    return nil, message
  end
  local result = run.exit.code == 0 and run.exit.signal == 0 and moonwire.json.decode(run.stdout)
  if type(result) ~= "table" then
    local complaint = run.stderr:match "[^\n]+"
    return nil, complaint or ("the generator ended with code %d, signal %d"):format(run.exit.code, run.exit.signal)
  end
  return result
end

---One turn: the server is started where it does not run.
---@param server bench.Server
---@param scenario table
---@param settings bench.Settings
---@return table|nil result
---@return string|nil message
local function take_turn(server, scenario, settings)
  if scenario.is_fresh then
    peers.stop(server)
  end
  if not server.process then
    local ok, message = peers.start(server, settings.server_core)
    if not ok then
      return nil, message
    end
  end
  return M.load(server, scenario, settings)
end

---All rounds of a scenario. The order is turned round in every other one, so that a machine which gets slower or faster
---does so for the first and the last alike. A server that fails has no further turn.
---@param servers bench.Server[]
---@param scenario table
---@param settings bench.Settings
---@param heard? fun(server: bench.Server, round: integer, result: table) called after each turn
---@return table<string, table[]> results by the server's name
---@return table<string, string> failures by the server's name
function M.rounds(servers, scenario, settings, heard)
  local results, failures = {}, {}
  for _, server in ipairs(servers) do
    results[server.name] = {}
  end
  for round = 1, settings.rounds do
    for i = 1, #servers do
      local server = servers[round % 2 == 1 and i or #servers + 1 - i]
      if not failures[server.name] then
        local result, message = take_turn(server, scenario, settings)
        if result then
          table.insert(results[server.name], result)
          if heard then
            heard(server, round, result)
          end
        else
          failures[server.name] = message
        end
      end
    end
  end
  for _, server in ipairs(servers) do
    peers.stop(server)
  end
  return results, failures
end

return M
