-- bench.lua - the command `moonwire bench`: reads its options, has core drive the load, prints what came of it.
-- Blocks the process until the run is over. Wrong options end it with 2, servers that misbehave with 1.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local json = require "moonwire.json"
local url = require "moonwire.url"

local M = {}

local USAGE = [[
usage: moonwire bench ws://HOST:PORT/PATH [options]

Loads a WebSocket server from one thread, and tells how it did.

  --mode MODE        echo     each connection has its messages sent back (default)
                     fanout   connection 0 sends, everybody gets everything
                     idle     connections that say nothing: what memory they cost
                     connect  opening handshakes, as many as go
  --connections N    64; connect: how many at a time
  --depth N          1; messages in flight on each connection (fanout: publications)
  --size BYTES       64; payload of each message
  --seconds S        5; measured
  --warmup S         1; before that, while every byte is compared
  --text             text frames rather than binary ones
  --pid PID[,PID...] processes of the server whose CPU time and memory are read
  --addresses N      source addresses 127.0.0.1, 127.0.0.2 ...; 1 per 20,000 connections
  --json             one line of JSON
]]

local MODES = { echo = true, fanout = true, idle = true, connect = true }
local MAX_CONNECTIONS, MAX_DEPTH, MAX_SIZE = 1000000, 1 << 16, 1 << 26
local MAX_SECONDS, MAX_ADDRESSES, MAX_PIDS = 86400, 1000, 64

-- ---- options ----

-- Readers of values: the value, or nil and what is right.

local function whole(least, most)
  return function(text)
    local value = text:find "^%d+$" and math.tointeger(tonumber(text))
    if value and value >= least and value <= most then
      return value
    end
    return nil, ("an integer from %d to %d"):format(least, most)
  end
end

local function seconds(least)
  return function(text)
    local value = (text:find "^%d+%.?%d*$" or text:find "^%.%d+$") and tonumber(text)
    if value and value >= least and value <= MAX_SECONDS then
      return value
    end
    return nil, ("seconds from %g to %d"):format(least, MAX_SECONDS)
  end
end

local function mode(text)
  if MODES[text] then
    return text
  end
  return nil, "echo, fanout, idle or connect"
end

local process = whole(1, 0x7fffffff)

local function pids(text)
  local list = {}
  for part in (text .. ","):gmatch "([^,]*)," do
    local pid = process(part)
    if not pid or #list == MAX_PIDS then
      return nil, ("process numbers, at most %d, with commas between them"):format(MAX_PIDS)
    end
    list[#list + 1] = pid
  end
  return list
end

local READERS = {
  mode = mode,
  connections = whole(1, MAX_CONNECTIONS),
  depth = whole(1, MAX_DEPTH),
  size = whole(0, MAX_SIZE),
  seconds = seconds(0.01),
  warmup = seconds(0),
  pid = pids,
  addresses = whole(1, MAX_ADDRESSES),
}
local SWITCHES = { text = true, json = true }

local function read_address(options, text)
  local parts, message = url.parse(text)
  if not parts then
    return ("%s: %s; ws://HOST:PORT/PATH is right"):format(text, message)
  elseif parts.scheme ~= "ws" then
    return ("%s: only ws:// is loaded, not %s://"):format(text, parts.scheme)
  elseif options.url then
    return ("%s: there is an address already, %s"):format(text, options.url)
  end
  options.url, options.host, options.port = text, parts.host, parts.port
  options.host_header, options.target = parts.authority, parts.target
end

-- The name and the value of an option, which is behind "=" or the next argument.
local function split(argument)
  local name, value = argument:match "^%-%-([^=]+)=(.*)$"
  return name or argument:sub(3), value
end

local function read_option(options, arguments, at)
  local name, value = split(arguments[at])
  if SWITCHES[name] then
    options[name] = true
    return at, value and ("--%s: takes no value, not %q"):format(name, value) or nil
  elseif not READERS[name] then
    return at, ("unknown option %s"):format(arguments[at])
  elseif not value then
    at = at + 1
    value = arguments[at]
  end
  local read, expected = READERS[name](value or "")
  if read == nil then
    return at, ("--%s: must be %s, not %s"):format(name, expected, value and ("%q"):format(value) or "missing")
  end
  options[name] = read
  return at
end

---Read a command line.
---@param arguments string[]
---@return table? options of `core.load`, and `json`
---@return string? message
function M.parse(arguments)
  local options = { mode = "echo", connections = 64, depth = 1, size = 64, seconds = 5, warmup = 1 }
  local at = 1
  while at <= #arguments do
    local problem
    if arguments[at]:sub(1, 1) == "-" then
      at, problem = read_option(options, arguments, at)
    else
      problem = read_address(options, arguments[at])
    end
    if problem then
      return nil, problem
    end
    at = at + 1
  end
  if not options.url then
    return nil, "the address is missing: moonwire bench ws://HOST:PORT/PATH"
  elseif options.mode == "fanout" and options.size == 0 then
    return nil, "--size: must be at least 1 with --mode fanout, not 0"
  end
  options.pids = options.pid
  return options
end

-- ---- results ----

local APPLIES = { echo = { "depth", "size" }, fanout = { "depth", "size" }, idle = {}, connect = {} }

-- More digits than three behind the point would only look exact.
local function round(values)
  for name, value in pairs(values) do
    if type(value) == "table" then
      round(value)
    elseif math.type(value) == "float" then
      values[name] = math.floor(value * 1000 + 0.5) / 1000
    end
  end
end

-- What was asked for, beside what came of it.
local function complete(result, options)
  round(result)
  result.mode, result.connections = options.mode, options.connections
  for _, name in ipairs(APPLIES[options.mode]) do
    result[name] = options[name]
  end
  return result
end

local function with_commas(number)
  local text = ("%.0f"):format(number)
  local sign, digits = text:match "^(%-?)(%d+)$"
  return sign .. digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
end

-- Three digits that matter, in the unit that fits.
local function duration(us)
  if us >= 1e6 then
    return ("%.3g s"):format(us / 1e6)
  elseif us >= 1e3 then
    return ("%.3g ms"):format(us / 1e3)
  end
  return ("%.3g us"):format(us)
end

local function share(cpu)
  return ("%.0f %% of a core"):format(cpu * 100)
end

---A result for people.
---@param result table
---@return string text
function M.format(result)
  local lines = {}
  local function add(name, format, ...)
    lines[#lines + 1] = ("%-12s " .. format .. "\n"):format(name, ...)
  end
  local what = result.mode == "connect" and "handshakes" or result.mode == "fanout" and "deliveries" or "messages"
  local load = ("%s, %s connections"):format(result.mode, with_commas(result.connections))
  if result.size then
    load = ("%s, depth %s, %s bytes"):format(load, with_commas(result.depth), with_commas(result.size))
  end
  add("load", "%s, %.3g s", load, result.seconds)
  if result.messages then
    add(what, "%s, %s a second", with_commas(result.messages), with_commas(result.messages_per_second))
    local latency = result.latency_us
    add("latency", "50 %%: %s, 99 %%: %s, 99.9 %%: %s, longest: %s", duration(latency.p50), duration(latency.p99),
      duration(latency.p999), duration(latency.max))
  end
  add("generator", "%s", share(result.client_cpu))
  local server = result.server
  if server then
    local per_second = server.messages_per_cpu_second
    add("server", "%s%s", share(server.cpu),
      per_second and (", %s %s for each second of it"):format(with_commas(per_second), what) or "")
    local per_connection = server.bytes_per_connection
    add("memory", "%s KiB%s", with_commas(server.memory_kib),
      per_connection and (", %s KiB before: %s bytes for each connection")
        :format(with_commas(server.memory_before_kib), with_commas(per_connection)) or "")
  end
  return table.concat(lines)
end

-- ---- the command ----

local function fail(code, message)
  io.stderr:write("moonwire bench: ", message, "\n")
  return code
end

---Run the command to its end, with all it prints.
---@param arguments string[]
---@return integer code for the shell
function M.run(arguments)
  for _, argument in ipairs(arguments) do
    if argument == "--help" or argument == "-h" then
      io.stdout:write(USAGE)
      return 0
    end
  end
  local options, problem = M.parse(arguments)
  if not options then
    return fail(2, problem)
  end
  local result, message, code = core.load(options)
  if not result then
    return fail(code == "use" and 2 or 1, message)
  end
  complete(result, options)
  io.stdout:write(options.json and json.encode(result) .. "\n" or M.format(result))
  return 0
end

return M
