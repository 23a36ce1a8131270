-- metrics.lua - tells those who look after a process how it is: /metrics in Prometheus' text format, /health and /ready, on
-- an address of their own. Its port keeps no process running, counts among nobody's limits, and answers until the very end.
-- Owns that port; the numbers are core's, read when somebody asks.
-- SPDX-License-Identifier: MIT

local app_module = require "moonwire.app"
local core = require "moonwire.core"
local http = require "moonwire.http"
local json = require "moonwire.json"
local uv = require "luv"

local M = {}

local TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
local DEFAULT_HOST = "127.0.0.1"
-- Whoever asks does so at once; a connection that only stays open would hold up the process's end.
local PATIENCE = 2
-- Of what is there, from which on a process is in trouble.
local DESCRIPTORS_FULL, MEMORY_FULL = 0.95, 0.95
-- USER_HZ of /proc/self/stat, which is 100 on every Linux that has a stable one.
local TICKS = 100

-- ---- what is told ----

local function lua_memory()
  return math.floor(collectgarbage "count" * 1024)
end

-- A file of the kernel's; "" where there is none.
local function proc(name)
  local file = io.open("/proc/" .. name)
  local text = file and file:read "a" or ""
  if file then
    file:close()
  end
  return text
end

-- Seconds since the process began.
local function read_age()
  -- The 22nd field, and the second one is a name that may hold anything.
  local ticks = proc("self/stat"):match("^.*%) %S+" .. (" %S+"):rep(18) .. " (%d+)")
  local uptime = tonumber(proc("uptime"):match "^%S+")
  return ticks and uptime and uptime - tonumber(ticks) / TICKS or 0
end

-- By the clock that never jumps; and the Unix time of the same moment, as it is now believed to be.
local began = core.now() - read_age()

local function unix_start()
  local seconds, microseconds = uv.gettimeofday()
  return seconds + microseconds / 1e6 - (core.now() - began)
end

local started = unix_start()

local function cpu_seconds()
  local usage = uv.getrusage()
  return usage.utime.sec + usage.stime.sec + (usage.utime.usec + usage.stime.usec) / 1e6
end

local function of(name)
  return function(numbers)
    return numbers[name]
  end
end

-- In the order in which they are told: name, type, help, value, and the label that the keys of a table are values of.
local FAMILIES = {
  { "moonwire_connections", "gauge", "Accepted connections that are open, HTTP and WebSocket.", of "connections" },
  { "moonwire_connections_accepted_total", "counter", "Connections accepted.", of "accepted" },
  { "moonwire_connections_refused_total", "counter", "Connections refused, by the limit.", of "refused", "reason" },
  { "moonwire_http_connections", "gauge", "Accepted connections that are no WebSockets.", of "http_connections" },
  { "moonwire_http_responses_total", "counter", "HTTP responses begun, by class of status.", of "responses", "status" },
  { "moonwire_tls_handshakes_total", "counter", "TLS handshakes of clients.", of "tls_handshakes", "result" },
  { "moonwire_websockets", "gauge", "Open WebSockets.", of "websockets", "side" },
  { "moonwire_websockets_opened_total", "counter", "WebSockets opened.", of "websockets_opened", "side" },
  { "moonwire_websockets_ended_total", "counter", "WebSockets ended, by why they did.", of "ended", "rule" },
  { "moonwire_messages_received_total", "counter", "WebSocket messages received.", of "messages_received" },
  { "moonwire_messages_sent_total", "counter", "WebSocket messages queued, one for each receiver.",
    of "messages_sent" },
  { "moonwire_publications_total", "counter", "Messages published to topics.", of "publications" },
  { "moonwire_received_bytes_total", "counter", "Bytes read from all connections, inside of TLS.",
    of "bytes_received" },
  { "moonwire_sent_bytes_total", "counter", "Bytes written to all connections, inside of TLS.", of "bytes_sent" },
  { "moonwire_send_queue_bytes", "gauge", "Bytes that wait to be sent to WebSockets.", of "queue_bytes" },
  { "moonwire_send_queue_largest_bytes", "gauge", "Bytes in the longest of these queues.", of "queue_bytes_max" },
  { "moonwire_send_queues_waiting", "gauge", "WebSockets for which bytes wait.", of "queues_waiting" },
  { "moonwire_handler_errors_total", "counter", "Handlers and tasks that failed.", of "handler_errors" },
  { "moonwire_handler_seconds", "histogram", "Time in handlers until they return or wait; those of one read together.",
    of "handler_times" },
  { "moonwire_loop_turns_total", "counter", "Turns of the event loop.", of "turns" },
  { "moonwire_lua_memory_bytes", "gauge", "Memory of the Lua state.", lua_memory },
  { "moonwire_lua_memory_limit_bytes", "gauge", "What it may have; 0: no limit.", of "lua_limit" },
  { "process_cpu_seconds_total", "counter", "CPU time, user and system.", cpu_seconds },
  { "process_resident_memory_bytes", "gauge", "Resident memory.", uv.resident_set_memory },
  { "process_open_fds", "gauge", "Open file descriptors.", of "descriptors" },
  { "process_max_fds", "gauge", "Most file descriptors.", of "descriptors_max" },
  { "process_start_time_seconds", "gauge", "Start of the process, since the epoch.", function()
    return started
  end },
}

local function number(value)
  return math.type(value) == "integer" and ("%d"):format(value) or ("%.14g"):format(value)
end

local function add_histogram(lines, name, times)
  local count = 0
  for i, bucket in ipairs(times.buckets) do
    count = count + bucket
    local bound = times.bounds[i] and number(times.bounds[i]) or "+Inf"
    lines[#lines + 1] = ('%s_bucket{le="%s"} %d'):format(name, bound, count)
  end
  lines[#lines + 1] = ("%s_sum %s"):format(name, number(times.sum))
  lines[#lines + 1] = ("%s_count %d"):format(name, count)
end

local function add_labelled(lines, name, label, values)
  local keys = {}
  for key in pairs(values) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    lines[#lines + 1] = ('%s{%s="%s"} %s'):format(name, label, key, number(values[key]))
  end
end

---Everything, in Prometheus' text format (0.0.4).
---@return string
function M.text()
  local numbers, lines = core.metrics(), {}
  lines[1] = "# HELP moonwire_info The versions it is made of."
  lines[2] = "# TYPE moonwire_info gauge"
  lines[3] = ('moonwire_info{version="%s",lua="%s",libuv="%s"} 1'):format(core.version, _VERSION, uv.version_string())
  for _, family in ipairs(FAMILIES) do
    local name, kind, help, read, label = table.unpack(family)
    lines[#lines + 1] = ("# HELP %s %s"):format(name, help)
    lines[#lines + 1] = ("# TYPE %s %s"):format(name, kind)
    local value = read(numbers)
    if kind == "histogram" then
      add_histogram(lines, name, value)
    elseif label then
      add_labelled(lines, name, label, value)
    else
      lines[#lines + 1] = ("%s %s"):format(name, number(value))
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

-- What is wrong with the process, if anything.
local function trouble(numbers)
  if numbers.is_stopping then
    return "draining"
  elseif numbers.descriptors >= numbers.descriptors_max * DESCRIPTORS_FULL then
    return "out of descriptors"
  elseif numbers.lua_limit > 0 and lua_memory() >= numbers.lua_limit * MEMORY_FULL then
    return "out of memory"
  end
end

---The state of the process in a few words.
---@return integer status 200, or 503 while it ends or lacks something
---@return table body
function M.health()
  local numbers = core.metrics()
  local wrong = trouble(numbers)
  return wrong and 503 or 200, {
    status = wrong or "ok",
    uptime = math.max(0, math.floor(core.now() - began)),
    version = core.version,
    connections = numbers.connections,
    websockets = numbers.websockets.server + numbers.websockets.client,
  }
end

---Whether clients may be sent here: the script is set up (its main chunk has ended, or it listens), and the process stays.
---@return integer status 200 or 503
---@return table body
function M.ready()
  local numbers = core.metrics()
  local is_up = numbers.is_set_up or numbers.listeners > 0
  local status = numbers.is_stopping and "draining" or not is_up and "starting" or "ok"
  return status == "ok" and 200 or 503, { status = status }
end

-- ---- the port ----

local function make_app()
  local app = app_module.new()
  app:use(function(_, res, next)
    res.must_close = true
    res.headers["Cache-Control"] = "no-store"
    next()
  end)
  app:get("/metrics", function(_, res)
    res:send(M.text(), TEXT_FORMAT)
  end)
  for _, name in ipairs { "health", "ready" } do
    app:get("/" .. name, function(_, res)
      local status, body = M[name]()
      res.status = status
      res:send(json.encode(body) .. "\n", "application/json")
    end)
  end
  return app
end

---Answer on an address; from then on handlers are timed.
---@param options {host: string?, port: integer?, path: string?}
---@return table? listener with `address()` and `close()`
---@return string? message
---@return string? code
function M.listen(options)
  local app = make_app()
  local listener, message, code = core.listen({
    host = not options.path and (options.host or DEFAULT_HOST) or nil,
    port = options.port,
    path = options.path,
    head_timeout = PATIENCE,
    write_timeout = PATIENCE,
    keep_alive_timeout = PATIENCE,
    background = true,
  }, function(exchange)
    http.serve(app, exchange)
  end)
  if not listener then
    return nil, message, code
  end
  core.time_handlers()
  return listener
end

---The address that a person wrote: "9100", "0.0.0.0:9100", "[::1]:9100", or a path with a slash in it.
---@param text string
---@return table? options nil when it is none of these
function M.parse_address(text)
  if text:find("/", 1, true) then
    return { path = text }
  end
  local host, port = text:match "^%[([%x:.]+)%]:(%d+)$"
  if not host then
    host, port = text:match "^([^%[%]:]+):(%d+)$"
  end
  port = tonumber(port or text:match "^%d+$")
  return port and port <= 65535 and { host = host or DEFAULT_HOST, port = math.tointeger(port) } or nil
end

---What the option --metrics does; raises when it can't.
---@param address string
function M.start(address)
  local options = M.parse_address(address)
  if not options then
    error("[HOST:]PORT, or the path of a Unix socket with a / in it, is expected", 0)
  end
  local listener, message = M.listen(options)
  if not listener then
    error(message, 0)
  end
  local place = listener:address()
  core.log("info", "metrics on " .. (place.path or ("http://%s:%d/metrics"):format(
    place.host:find(":", 1, true) and "[" .. place.host .. "]" or place.host, place.port)))
end

return M
