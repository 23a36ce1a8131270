-- report.lua - what the soak found, as tables, curves and verdicts for people.
-- SPDX-License-Identifier: MIT

local verdict = require "spec.soak.verdict"

local M = {}

local STEPS = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }
local WIDTH = 40 -- characters of a curve
local MIB = 1 << 20
-- What libc keeps for itself at the end of its heap: up to twice the largest block that was ever freed, a file of 700 kB.
local KEPT_MIB = 1.4

-- What is looked at: its name, where it is in a sample, its unit, and the kind of memory it is.
local COLUMNS = {
  { "server: resident MiB", "server", "memory", MIB, "resident" },
  { "server: Lua MiB", "server", "lua", MIB, "lua" },
  { "server: descriptors", "server", "descriptors", 1 },
  { "server: threads", "server", "threads", 1 },
  { "client: resident MiB", "client", "memory", MIB, "resident" },
  { "client: Lua MiB", "client", "lua", MIB, "lua" },
  { "client: descriptors", "client", "descriptors", 1 },
  { "client: threads", "client", "threads", 1 },
}

local function value_of(sample, column)
  return sample[column[2]][column[3]] / column[4]
end

local function series_of(samples, column)
  local series = {}
  for i, sample in ipairs(samples) do
    series[i] = { sample.time, value_of(sample, column) }
  end
  return series
end

---All that is looked at, over time.
---@param samples table[]
---@return {name: string, points: number[][]}[]
function M.all_series(samples)
  local all = {}
  for i, column in ipairs(COLUMNS) do
    all[i] = { name = column[1], points = series_of(samples, column) }
  end
  return all
end

-- The means of as many stretches as a curve has characters, from the least to the greatest.
local function curve_of(series)
  local means, low, high = {}, math.huge, -math.huge
  local width = math.min(WIDTH, #series)
  for i = 1, width do
    local first, last = (i - 1) * #series // width + 1, i * #series // width
    local sum = 0
    for at = first, last do
      sum = sum + series[at][2]
    end
    means[i] = sum / (last - first + 1)
    low, high = math.min(low, means[i]), math.max(high, means[i])
  end
  for i, mean in ipairs(means) do
    means[i] = STEPS[high > low and 1 + math.floor((mean - low) / (high - low) * (#STEPS - 1) + 0.5) or 1]
  end
  return table.concat(means), low, high
end

local function outcome(holds, is_judged)
  return not is_judged and "-" or holds and "pass" or "FAIL"
end

---What was done.
---@param counts table<string, integer>
function M.counts(counts)
  local names, words = {}, {}
  for name in pairs(counts) do
    table.insert(names, name)
  end
  table.sort(names)
  for i, name in ipairs(names) do
    words[i] = ("%s %d"):format(name, counts[name])
  end
  print(table.concat(words, ", "))
end

---Under load: does anything grow?
---@param samples table[]
---@param limits {growth: number, judges_load: boolean, judges_resident: boolean}
---@return boolean holds
function M.curves(samples, limits)
  local holds = true
  print(("\nunder load, %d samples in %.0f s%17s %9s %8s  %s"):format(#samples, samples[#samples].time - samples[1].time,
    "level", "growth", "noise", ""))
  for _, column in ipairs(COLUMNS) do
    local series = series_of(samples, column)
    local found = verdict.of(series, limits.growth, column[5] == "resident" and KEPT_MIB or 0)
    local is_judged = limits.judges_load and (limits.judges_resident or column[5] ~= "resident")
    holds = holds and (not found.grows or not is_judged)
    local curve, low, high = curve_of(series)
    print(("%-22s %9.1f %+9.2f ±%8.2f  %s  %s %.1f..%.1f"):format(column[1], found.level, found.growth, found.noise,
      outcome(not found.grows, is_judged), curve, low, high))
  end
  local first, last = samples[1], samples[#samples]
  print(("%-22s %8.0f%%"):format("server: CPU",
    (last.server.cpu - first.server.cpu) / (last.time - first.time) * 100))
  return holds
end

---When all clients have gone: is it as it was after the warm-up?
---@param first table
---@param last table
---@param limits {rest_growth: number, idle_cpu: number, judges_resident: boolean}
---@return boolean holds
function M.at_rest(first, last, limits)
  local holds = true
  print(("\nat rest%15s %9s %9s"):format("", "warm", "end"))
  for _, column in ipairs(COLUMNS) do
    local before, after = value_of(first, column), value_of(last, column)
    local allowed = not column[5] and 0
      or math.max(before * limits.rest_growth, column[5] == "resident" and KEPT_MIB or 0)
    local passes = after <= before + allowed
    -- What a client has resident at one moment is up to libc's last look at its heap; under load there are many moments.
    local is_judged = column[5] ~= "resident" or limits.judges_resident and column[2] == "server"
    holds = holds and (passes or not is_judged)
    print(("%-22s %9.1f %9.1f %+9.1f%%  %s"):format(column[1], before, after, (after / before - 1) * 100,
      outcome(passes, is_judged)))
  end
  local is_idle = last.cpu <= limits.idle_cpu
  print(("%-22s %8.1f%% %8.1f%%             %s"):format("server: CPU", first.cpu * 100, last.cpu * 100,
    outcome(is_idle, true)))
  return holds and is_idle
end

return M
