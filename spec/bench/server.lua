-- server.lua - moonwire as it is measured: / echoes what comes, on /fanout it goes to everybody. Prints its port.
-- Beside that, for the curve over the number of topics: a connection to /topics?count=N subscribes to as many, and
-- GET /topics/publish?seconds=S publishes to them in turn, from inside, and tells what that cost.
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local uv = require "luv"
local app = moonwire.app()

local MAX_PAYLOAD, MAX_BACKPRESSURE = 16 << 20, 64 << 20
local BATCH = 1000 -- publications between two turns of the loop
local MAX_BUFFERED = 256 << 10 -- the publisher waits above it, lest it measure how memory grows
local PUBLICATION = ("P"):rep(128)

app:ws("/", {
  max_payload = MAX_PAYLOAD,
  max_backpressure = MAX_BACKPRESSURE,
  ping_interval = false,
  message = function(ws, data, kind)
    ws:send(data, kind)
  end,
})

app:ws("/fanout", {
  max_backpressure = MAX_BACKPRESSURE,
  ping_interval = false,
  open = function(ws)
    ws:subscribe "all"
  end,
  message = function(_, data, kind)
    app:publish("all", data, kind)
  end,
})

local topics = {} -- their names
local subscriber

app:ws("/topics", {
  max_backpressure = MAX_BACKPRESSURE,
  ping_interval = false,
  upgrade = function(req)
    return { count = tonumber(req.query.count) }
  end,
  open = function(ws)
    subscriber = ws
    for i = 1, ws.data.count do
      topics[i] = ("room/%d/news"):format(i)
      ws:subscribe(topics[i])
    end
    ws:send "subscribed"
  end,
})

local function cpu_seconds()
  local usage = uv.getrusage()
  return usage.utime.sec + usage.stime.sec + (usage.utime.usec + usage.stime.usec) / 1e6
end

app:get("/topics/publish", function(req, res)
  local publications, deliveries, count = 0, 0, #topics
  local cpu, stop = cpu_seconds(), uv.hrtime() + tonumber(req.query.seconds) * 1e9
  while uv.hrtime() < stop do
    for i = publications, publications + BATCH - 1 do
      deliveries = deliveries + app:publish(topics[i % count + 1], PUBLICATION, "binary")
    end
    publications = publications + BATCH
    moonwire.sleep(0)
    while subscriber.buffered > MAX_BUFFERED do
      moonwire.sleep(0.001)
    end
  end
  res:json { publications = publications, deliveries = deliveries, cpu_seconds = cpu_seconds() - cpu }
end)

print(assert(app:listen { host = "127.0.0.1", port = 0, max_connections = 0 }):address().port)
