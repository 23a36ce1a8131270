-- growth.lua - how cost grows: latency over connections, publishing over subscribers, publishing over topics.
-- Each curve is a table on standard output and an SVG file.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local moonwire = require "moonwire"
local measure = require "spec.bench.measure"
local peers = require "spec.bench.peers"
local plot = require "spec.bench.plot"
local report = require "spec.bench.report"

local M = {}

local MOST_CONNECTIONS, MOST_TOPICS = 15000, 100000
local PUBLICATION_BYTES = 128
local TIMEOUT_SECONDS = 60 -- beside what is measured: subscribing, and a busy machine
local QUANTILES = { { "p50", "p50" }, { "p99", "p99" }, { "p999", "p99.9" } }

-- 1, 3, 10, 30 … and the last.
local function steps(first, last)
  local list, step = {}, first
  while step < last do
    table.insert(list, step)
    step = tostring(step):find "^1" and step * 3 or step // 3 * 10
  end
  table.insert(list, last)
  return list
end

local function most(settings, limit)
  return math.max(1, math.min(limit, settings.largest or limit))
end

local function median_of(results, find)
  local spread = report.spread(results, find)
  return spread and spread.median
end

-- With one server a colour is a curve; with more a colour is a server.
local function pen(servers, server_index, curve_index)
  if #servers == 1 then
    return curve_index, 1
  end
  return server_index, curve_index
end

local function curve_name(servers, server, name)
  return #servers == 1 and name or ("%s %s"):format(server.name, name)
end

-- Runs scenarios of growing size on all servers; `figures_of(results, size)` makes named numbers of one's results.
-- Returns the points, in order: { server =, size =, figures… }.
local function grow(servers, settings, kept, sizes, scenario_of, figures_of, heard)
  local points = {}
  for _, size in ipairs(sizes) do
    local scenario = scenario_of(size)
    local results, failures = measure.rounds(servers, scenario, settings)
    for _, server in ipairs(servers) do
      if failures[server.name] then
        table.insert(kept.failures, { scenario = scenario.name, server = server.name, message = failures[server.name] })
      else
        local point = figures_of(results[server.name], size)
        point.server, point.size = server.name, size
        table.insert(points, point)
        heard(point)
      end
    end
  end
  return points
end

-- Curves for the chart: of every server, one for each { field, name }.
local function curves(servers, points, fields)
  local series = {}
  for i, server in ipairs(servers) do
    for j, field in ipairs(fields) do
      local curve = { name = curve_name(servers, server, field[2]), points = {} }
      curve.colour, curve.dash = pen(servers, i, j)
      for _, point in ipairs(points) do
        if point.server == server.name and (point[field[1]] or 0) > 0 then
          table.insert(curve.points, { point.size, point[field[1]] })
        end
      end
      if #curve.points > 0 then
        table.insert(series, curve)
      end
    end
  end
  return series
end

local function draw(settings, name, chart)
  if #chart.series > 0 then
    local path = ("%s/growth-%s.svg"):format(settings.out, name)
    plot.write(path, chart)
    print(path)
  end
end

local function latency(servers, settings, kept)
  print "\nEcho, 64 bytes, one message in flight on each connection: microseconds until it is back"
  local line = report.table { { "connections", 11 }, { "server", -17 }, { "p50", 9 }, { "p99", 9 }, { "p99.9", 9 } }
  local last = math.min(most(settings, MOST_CONNECTIONS), settings.connections)
  kept.latency = grow(servers, settings, kept, steps(math.min(10, last), last), function(size)
    return { name = "latency-" .. size, mode = "echo", connections = size, depth = 1, size = 64 }
  end, function(results)
    local figures = {}
    for _, quantile in ipairs(QUANTILES) do
      figures[quantile[1]] = median_of(results, function(result)
        return result.latency_us[quantile[1]]
      end)
    end
    return figures
  end, function(point)
    line { report.number(point.size), point.server, report.number(point.p50), report.number(point.p99),
      report.number(point.p999) }
  end)
  draw(settings, "latency", {
    title = "Echo latency over connections, each with a message in flight",
    x = "connections",
    y = "µs until it is back",
    series = curves(servers, kept.latency, QUANTILES),
  })
end

local function publish(servers, settings, kept)
  print(("\nPublishing %d bytes to everybody: microseconds of the server's CPU time"):format(PUBLICATION_BYTES))
  local line = report.table { { "subscribers", 11 }, { "server", -17 }, { "publication", 11 }, { "delivery", 9 } }
  local last = math.min(most(settings, MOST_CONNECTIONS), settings.connections)
  kept.publish = grow(servers, settings, kept, steps(1, last), function(size)
    return {
      name = "publish-" .. size,
      mode = "fanout",
      path = "/fanout",
      connections = size,
      depth = 1,
      size = PUBLICATION_BYTES,
    }
  end, function(results, size)
    local per_cpu_second = median_of(results, function(result)
      return result.server and result.server.messages_per_cpu_second
    end)
    local delivery = per_cpu_second and per_cpu_second > 0 and 1e6 / per_cpu_second or nil
    return { delivery = delivery, publication = delivery and delivery * size }
  end, function(point)
    line { report.number(point.size), point.server, report.number(point.publication), report.number(point.delivery) }
  end)
  draw(settings, "publish", {
    title = "Server CPU of publishing, over subscribers",
    x = "subscribers",
    y = "µs of CPU",
    series = curves(servers, kept.publish, { { "publication", "a publication" }, { "delivery", "a delivery" } }),
  })
end

-- Subscribes one connection to that many topics, and has the server publish to them in turn.
local function publish_to_topics(server, count, settings)
  local task = coroutine.running()
  local ws = assert(moonwire.connect(("ws://127.0.0.1:%d/topics?count=%d"):format(server.port, count), {
    timeout = TIMEOUT_SECONDS,
    message = function(_, _, kind)
      if kind == "text" then
        core.resume(task)
      end
    end,
  }))
  coroutine.yield()
  local response = assert(moonwire.fetch(
    ("http://127.0.0.1:%d/topics/publish?seconds=%g"):format(server.port, settings.seconds),
    { timeout = settings.seconds + TIMEOUT_SECONDS }))
  ws:terminate()
  return assert(response:json())
end

local function topics(server, settings, kept)
  print "\nmoonwire, publishing to topics in turn, one subscriber each: microseconds of the server's CPU time"
  local line = report.table { { "topics", 11 }, { "publication", 11 } }
  kept.topics = {}
  for _, count in ipairs(steps(1, most(settings, MOST_TOPICS))) do
    local results = {}
    for i = 1, settings.rounds do
      assert(peers.start(server, settings.server_core))
      results[i] = publish_to_topics(server, count, settings)
      peers.stop(server)
    end
    local microseconds = median_of(results, function(result)
      return result.cpu_seconds / result.publications * 1e6
    end)
    table.insert(kept.topics, { server = server.name, size = count, publication = microseconds })
    line { report.number(count), report.number(microseconds) }
  end
  draw(settings, "topics", {
    title = "Server CPU of publishing to one subscriber, over topics",
    x = "topics",
    y = "µs of CPU",
    series = curves({ server }, kept.topics, { { "publication", "a publication" } }),
  })
end

---Measure all curves, print them, and write growth-latency.svg, growth-publish.svg and growth-topics.svg.
---@param servers bench.Server[] moonwire first
---@param settings bench.Settings
---@return table kept for the JSON file
function M.run(servers, settings)
  local kept = { failures = moonwire.json.array {} }
  latency(servers, settings, kept)
  publish(servers, settings, kept)
  topics(servers[1], settings, kept)
  return kept
end

return M
