-- peers.lua - the servers that are measured: whether each is there, its version, how it is started and ended.
-- They all do the same on the path "/": echo what comes, send what begins with "P" to everybody by their own means;
-- without compression or pings, messages up to 16 MiB, 64 MiB may wait for a reader. Each prints its port or takes one.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local moonwire = require "moonwire"
local process = require "spec.bench.process"
local uv = require "luv"

local M = {}

local START_SECONDS, RETRY_SECONDS = 10, 0.02
local VERSION_SECONDS = 10

local here = (debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$" or ".") .. "/"
local node_modules = here .. "../node_modules/"

---@class bench.Server
---@field name string
---@field version string
---@field command string
---@field arguments string[] with %d where an external server takes its port
---@field is_external boolean|nil
---@field port integer|nil while it runs
---@field process bench.Process|nil while it runs

-- The first line that a program prints; nil when it fails.
local function ask(command, ...)
  local result = process.run(command, { ... }, { seconds = VERSION_SECONDS })
  return result and result.exit.code == 0 and result.stdout:match "%S+" or nil
end

local function find_bun()
  local bun = process.find(node_modules .. ".bin/bun") or process.find "bun"
  local version = bun and ask(bun, "--version")
  if not version then
    return nil, "npm package bun"
  end
  return { version = version, command = bun, arguments = { here .. "bun.ts" } }
end

local function find_node_ws()
  local node = process.find "node"
  local version = node and ask(node, "--version")
  if not version then
    return nil, "Debian package nodejs, and npm package ws"
  end
  local file = io.open(node_modules .. "ws/package.json")
  if not file then
    return nil, "npm package ws in spec/node_modules, where `make test` puts it"
  end
  local ws = moonwire.json.decode(file:read "a")
  file:close()
  return {
    version = ("%s on node %s"):format(ws.version, version:gsub("^v", "")),
    command = node,
    arguments = { here .. "server.mjs" },
  }
end

-- Debian's interpreter: one of a virtual environment would not find Debian's package.
local function find_python_websockets()
  local python = process.find "/usr/bin/python3"
  local version = python and ask(python, "-c", "import websockets.version; print(websockets.version.version)")
  if not version then
    return nil, "Debian package python3-websockets"
  end
  return { version = version, command = python, arguments = { "-B", here .. "server.py" } }
end

local PEERS = {
  { name = "bun", find = find_bun },
  { name = "node-ws", find = find_node_ws },
  { name = "python-websockets", find = find_python_websockets },
}

---The names of the peers that are known.
---@return string[]
function M.names()
  local names = {}
  for i, peer in ipairs(PEERS) do
    names[i] = peer.name
  end
  return names
end

---moonwire itself.
---@return bench.Server
function M.moonwire()
  return {
    name = "moonwire",
    version = moonwire.version,
    command = uv.exepath(),
    arguments = { here .. "server.lua" },
  }
end

---Look for peers.
---@param wanted table<string, boolean> by name
---@return bench.Server[] present
---@return {name: string, install: string}[] absent
function M.look(wanted)
  local present, absent = {}, {}
  for _, peer in ipairs(PEERS) do
    if wanted[peer.name] then
      local server, install = peer.find()
      if server then
        server.name = peer.name
        table.insert(present, server)
      else
        table.insert(absent, { name = peer.name, install = install })
      end
    end
  end
  return present, absent
end

---A server that somebody else built: "name=command with %d for the port".
---@param text string
---@return bench.Server|nil
---@return string|nil message
function M.external(text)
  local name, command = text:match "^([%w._-]+)=(.*%%d.*)$"
  if not name then
    return nil, ('"%s" is not of the form name=command with %%d for the port'):format(text)
  end
  local arguments = { "-c", "exec " .. command }
  return { name = name, version = "", command = "/bin/sh", arguments = arguments, is_external = true }
end

local function free_port()
  local socket = uv.new_tcp()
  assert(socket:bind("127.0.0.1", 0))
  local port = socket:getsockname().port
  socket:close()
  return port
end

-- Whether somebody takes connections there now.
local function is_open(port)
  local socket, task = uv.new_tcp(), coroutine.running()
  socket:connect("127.0.0.1", port, function(problem)
    socket:close()
    core.resume(task, not problem)
  end)
  return coroutine.yield()
end

local function start_external(server, pinned_to)
  local port = free_port()
  local arguments = { "-c", (server.arguments[2]:gsub("%%d", tostring(port))) }
  local child, message = process.start_silent(server.command, arguments, pinned_to)
  if not child then
    return nil, message
  end
  local deadline = uv.hrtime() + START_SECONDS * 1e9
  while not is_open(port) do
    if child.exit or uv.hrtime() > deadline then
      process.stop(child)
      return nil, ("nobody listens on port %d"):format(port)
    end
    moonwire.sleep(RETRY_SECONDS)
  end
  return child, port
end

local function start_own(server, pinned_to)
  local child, line = process.start(server.command, server.arguments, pinned_to)
  if child and not tonumber(line) then
    process.stop(child)
    return nil, ("it printed %q where its port belongs"):format(line)
  end
  return child, child and tonumber(line) or line
end

---Start a server and wait until it listens: its `port` is known then.
---@param server bench.Server
---@param pinned_to? integer a core
---@return true|nil
---@return string|nil message
function M.start(server, pinned_to)
  local child, port = (server.is_external and start_external or start_own)(server, pinned_to)
  if not child then
    return nil, port
  end
  server.process, server.port = child, port
  return true
end

---End a server, if it runs, and wait until it is gone.
---@param server bench.Server
function M.stop(server)
  if server.process then
    process.stop(server.process)
    server.process, server.port = nil, nil
  end
end

return M
