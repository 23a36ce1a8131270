-- run.lua - moonwire beside its peers: make bench, or moonwire spec/bench/run.lua [growth] [options]; see USAGE.
-- Servers and the generator are processes of their own. What counts first is messages per second of the server's CPU
-- time: the generator may well be the slower side. Figures of different machines mean nothing side by side.
-- SPDX-License-Identifier: MIT

local root = arg[0]:match "^(.*)/spec/bench/[^/]*$" or "."
package.path = ("%s/?.lua;%s"):format(root, package.path)

local core = require "moonwire.core"
local moonwire = require "moonwire"
local compare = require "spec.bench.compare"
local growth = require "spec.bench.growth"
local peers = require "spec.bench.peers"
local process = require "spec.bench.process"
local scenarios = require "spec.bench.scenarios"
local uv = require "luv"

local USAGE = [[
usage: moonwire spec/bench/run.lua [growth] [options]; make bench takes the same as variables, in capitals: ROUNDS=9
  --scenario NAME[,NAME...]  only these: %s
  --rounds N                 turns of each server, of which the median counts (9; growth: 3)
  --seconds S                of each turn (1)
  --peers NAME[,NAME...]     beside moonwire, instead of all that are there: %s; or none
  --peer "NAME=COMMAND"      one more server, whose command has %%d for the port; may be repeated
  --reference NAME           what ratios refer to (the first peer that is there)
  --json FILE                keep the figures of every run
  --growth 1                 the same as the word growth: curves instead of the table, as SVG files too; 0: the table
  --largest N                where the curves end (15,000 connections, 100,000 topics)
  --out DIRECTORY            of the SVG files (docs)
  --generator COMMAND        makes the load instead of `moonwire bench`, and takes its options]]

local DEFAULTS = { seconds = 1, out = root .. "/docs" }
local NAMES = {
  "scenario", "rounds", "seconds", "peers", "peer", "reference", "json", "growth", "largest", "out", "generator",
}
local EXIT_INTERRUPTED = 130
local DESCRIPTORS_BESIDE_CONNECTIONS = 100

local function fail(code, message, ...)
  io.stderr:write(("bench: " .. message .. "\n"):format(...))
  os.exit(code)
end

-- "a,b" as a list, each of which must be one of `allowed`.
local function names_of(text, option, allowed)
  local names = {}
  for name in text:gmatch "[^,%s]+" do
    local is_known = false
    for _, known in ipairs(allowed) do
      is_known = is_known or known == name
    end
    if not is_known then
      fail(2, "--%s: there is no %s; there are %s", option, name, table.concat(allowed, ", "))
    end
    table.insert(names, name)
  end
  return names
end

local function number_of(text, option, is_integer)
  local number = tonumber(text)
  if not number or number <= 0 or is_integer and not math.tointeger(number) then
    fail(2, "--%s: %s is no %s", option, text, is_integer and "positive integer" or "positive number")
  end
  return is_integer and math.tointeger(number) or number
end

local SCENARIOS = {} -- their names
for i, scenario in ipairs(scenarios) do
  SCENARIOS[i] = scenario.name
end

-- Options as text, from the command line or the environment, which is where `make` puts its variables.
local function read_options(arguments)
  local given, is_known = { peer = {} }, {}
  for _, name in ipairs(NAMES) do
    is_known[name] = true
    local value = os.getenv(name:upper())
    if value and value ~= "" then
      given[name] = name == "peer" and { value } or value
    end
  end
  local at = 1
  while arguments[at] do
    local name = arguments[at]:match "^%-%-(%w+)$"
    if arguments[at] == "growth" then
      given.growth, at = "1", at - 1
    elseif name == "help" then
      print(USAGE:format(table.concat(SCENARIOS, " "), table.concat(peers.names(), " ")))
      os.exit(0)
    elseif not is_known[name] then
      fail(2, "unknown option %s; --help lists them", arguments[at])
    elseif not arguments[at + 1] then
      fail(2, "--%s: a value is missing", name)
    elseif name == "peer" then
      table.insert(given.peer, arguments[at + 1])
    else
      given[name] = arguments[at + 1]
    end
    at = at + 2
  end
  if given.growth == "0" then
    given.growth = nil
  end
  return given
end

local function words(text)
  local list = {}
  for word in text:gmatch "%S+" do
    table.insert(list, word)
  end
  return list
end

-- Files are written after minutes of work: that they can be is seen before it.
local function directory_of(path)
  local found = uv.fs_stat(path)
  if not found or found.type ~= "directory" then
    fail(2, "--out: %s is not a directory that is there", path)
  end
  return path
end

local function settings_of(given)
  local cores = process.cores()
  local can_pin = #cores > 1 and process.find "taskset"
  local chosen = {}
  for _, name in ipairs(given.scenario and names_of(given.scenario, "scenario", SCENARIOS) or SCENARIOS) do
    chosen[name] = true
  end
  return {
    rounds = given.rounds and number_of(given.rounds, "rounds", true) or given.growth and 3 or 9,
    seconds = given.seconds and number_of(given.seconds, "seconds") or DEFAULTS.seconds,
    largest = given.largest and number_of(given.largest, "largest", true),
    out = directory_of(given.out or DEFAULTS.out),
    generator = given.generator and words(given.generator) or { uv.exepath(), "bench" },
    server_core = can_pin and cores[1] or nil,
    load_core = can_pin and cores[2] or nil,
    connections = process.descriptor_limit() - DESCRIPTORS_BESIDE_CONNECTIONS,
    scenarios = chosen,
  }
end

-- moonwire first, then the peers that are there, then those given by command. The curves are moonwire's alone unless
-- peers are asked for.
local function servers_of(given)
  local wanted = {}
  local text = given.peers or given.growth and "none" or table.concat(peers.names(), ",")
  for _, name in ipairs(text == "none" and {} or names_of(text, "peers", peers.names())) do
    wanted[name] = true
  end
  local servers, absent = peers.look(wanted)
  table.insert(servers, 1, peers.moonwire())
  for _, peer in ipairs(given.peer) do
    local server, message = peers.external(peer)
    if not server then
      fail(2, "--peer: %s", message)
    end
    table.insert(servers, server)
  end
  return servers, absent
end

local function reference_of(given, servers)
  local name = given.reference or (servers[2] or servers[1]).name
  for _, server in ipairs(servers) do
    if server.name == name then
      return name
    end
  end
  fail(1, "--reference: %s is not among the servers that are measured", name)
end

-- What the figures are worth depends on it.
local function machine()
  local processors = uv.cpu_info()
  return { processor = processors[1].model, cores = #processors, kernel = uv.os_uname().release }
end

local function announce(servers, absent, settings)
  local names = {}
  for i, server in ipairs(servers) do
    names[i] = server.version == "" and server.name or server.name .. " " .. server.version
  end
  print(table.concat(names, ", "))
  for _, peer in ipairs(absent) do
    print(("%s is not here and stays out (%s)."):format(peer.name, peer.install))
  end
  local here = machine()
  print(("%s, %d cores, Linux %s; %s."):format(here.processor, here.cores, here.kernel, settings.server_core
    and ("servers on core %d, load on core %d"):format(settings.server_core, settings.load_core)
    or "servers and load share what cores there are"))
  print(("Medians of %d rounds of %g s."):format(settings.rounds, settings.seconds))
end

-- The figures of every run, with what they depend on.
local function keep(path, kept, servers, absent, settings)
  kept.machine, kept.rounds, kept.seconds = machine(), settings.rounds, settings.seconds
  kept.absent, kept.servers = moonwire.json.array(absent), {}
  for i, server in ipairs(servers) do
    kept.servers[i] = { name = server.name, version = server.version }
  end
  local file = assert(io.open(path, "w"))
  assert(file:write(moonwire.json.encode(kept), "\n"))
  file:close()
end

local function main()
  local given = read_options(arg)
  local settings = settings_of(given)
  local servers, absent = servers_of(given)
  announce(servers, absent, settings)
  local kept = given.growth and growth.run(servers, settings)
    or compare.run(servers, settings, reference_of(given, servers))
  for _, failure in ipairs(kept.failures) do
    print(("%s, %s: %s"):format(failure.scenario, failure.server, failure.message))
  end
  if given.json then
    keep(given.json, kept, servers, absent, settings)
  end
  return #kept.failures == 0
end

-- A table that was interrupted is not whole. The processes have been ended before.
core.on_exit(function()
  os.exit(EXIT_INTERRUPTED)
end)

io.stdout:setvbuf "line"
local ok, result = xpcall(main, debug.traceback)
process.kill_all()
if not ok then
  fail(1, "%s", result)
end
os.exit(result)
