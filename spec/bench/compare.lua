-- compare.lua - the scenarios on all servers as one table, and the figures behind it.
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local measure = require "spec.bench.measure"
local report = require "spec.bench.report"
local scenarios = require "spec.bench.scenarios"

local M = {}

local function of_server(field)
  return function(result)
    return result.server and result.server[field]
  end
end

-- The figures of one server in one scenario.
local function row_of(scenario, server, results)
  local memory = report.spread(results, of_server "memory_kib")
  local row = {
    scenario = scenario.name,
    server = server.name,
    per_cpu_second = report.spread(results, of_server "messages_per_cpu_second"),
    per_second = report.spread(results, function(result)
      return result.messages_per_second
    end),
    memory_kib = memory and memory.median,
    bytes_per_connection = report.spread(results, of_server "bytes_per_connection"),
  }
  if scenario.mode == "idle" then
    row.per_cpu_second, row.per_second = nil, nil
  end
  return row
end

-- The median of what each round says by itself: the two runs that are compared lie seconds apart, the medians of all rounds
-- may lie minutes apart, and a machine does not stay the same for so long. What a connection takes is better when it is less:
-- that ratio is turned round.
local function ratio(scenario, results, base)
  local is_idle = scenario.mode == "idle"
  local find = of_server(is_idle and "bytes_per_connection" or "messages_per_cpu_second")
  local ratios = {}
  for i = 1, math.min(#results, #base) do
    local own, other = find(results[i]), find(base[i])
    if own and other and own > 0 and other > 0 then
      table.insert(ratios, is_idle and other / own or own / other)
    end
  end
  local spread = report.spread(ratios, function(value)
    return value
  end)
  return spread and spread.median
end

local COLUMNS = {
  { "scenario", -13 }, { "server", -17 }, { "per CPU s", 11 }, { "min..max %", 10 }, { "per s", 11 }, { "ratio", 6 },
  { "MiB", 6 }, { "B each", 7 },
}

local function print_rows(line, rows, failures)
  for i, row in ipairs(rows) do
    local name = i == 1 and row.scenario or ""
    if failures[row.server] then
      line { name, row.server, "failed" }
    else
      line {
        name,
        row.server,
        report.number(row.per_cpu_second and row.per_cpu_second.median),
        report.percent(row.bytes_per_connection or row.per_cpu_second),
        report.number(row.per_second and row.per_second.median),
        row.ratio and ("%.2f"):format(row.ratio) or "-",
        row.memory_kib and ("%.1f"):format(row.memory_kib / 1024) or "-",
        row.bytes_per_connection and report.number(row.bytes_per_connection.median) or "",
      }
    end
  end
end

-- One scenario on all servers; what came of it is kept.
local function run_scenario(scenario, servers, settings, kept)
  local results, failures = measure.rounds(servers, scenario, settings, function(server, round, result)
    table.insert(kept.runs, { scenario = scenario.name, server = server.name, round = round, result = result })
  end)
  local rows = {}
  for i, server in ipairs(servers) do
    rows[i] = row_of(scenario, server, results[server.name])
    rows[i].ratio = ratio(scenario, results[server.name], results[kept.reference] or {})
    local message = failures[server.name]
    if message then
      table.insert(kept.failures, { scenario = scenario.name, server = server.name, message = message })
    end
  end
  table.move(rows, 1, #rows, #kept.rows + 1, kept.rows)
  return rows, failures
end

---Measure the chosen scenarios and print the table.
---@param servers bench.Server[]
---@param settings bench.Settings
---@param reference string the server that ratios refer to
---@return table kept for the JSON file
function M.run(servers, settings, reference)
  print "Messages (deliveries, handshakes) per second of the server's CPU time, and per second."
  print(("Ratio: to %s, more is better.\n"):format(reference))
  local line = report.table(COLUMNS)
  local array = moonwire.json.array
  local kept = { reference = reference, runs = array {}, rows = array {}, failures = array {} }
  for _, scenario in ipairs(scenarios) do
    if settings.scenarios[scenario.name] then
      if scenario.connections > settings.connections then
        line { scenario.name, ("left out: `ulimit -n` allows %d connections"):format(settings.connections) }
      else
        print_rows(line, run_scenario(scenario, servers, settings, kept))
      end
    end
  end
  return kept
end

return M
