-- peer.lua - starts other programs for specs and talks with them in lines: the independent peers of spec/peers, which
-- take and give JSON, and any other program, whose output arrives as events named "line".
-- Owns the processes it started: `stop` ends one, `stop_all` those that are left; each by its own process id.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local json = require "moonwire.json"
local uv = require "luv"

local M = {}

local PEERS = (debug.getinfo(1, "S").source:match "^@(.*)/support/[^/]*$" or "spec") .. "/peers/"
local STDERR_KEPT = 8192
local STOP_SECONDS = 5

local running = {} -- peers whose process has not ended
local idle = {} -- file -> those of them that wait to be taken again

---@class spec.Peer
---@field pid integer
---@field stderr string the end of what it wrote there
---@field exit {code: integer, signal: integer}|nil
local Peer = {}
Peer.__index = Peer

local function describe_line(line)
  local event = line:find "^{" and json.decode(line)
  return type(event) == "table" and event.event and event or { event = "line", text = line }
end

-- Calls `on_line` for every line of a pipe, and `on_end` after the last.
local function read_lines(pipe, on_line, on_end)
  local rest = ""
  pipe:read_start(function(_, bytes)
    if not bytes then
      if rest ~= "" then
        on_line(rest)
      end
      pipe:close()
      return on_end()
    end
    rest = rest .. bytes
    local at = 1
    for stop in rest:gmatch "()\n" do
      on_line(rest:sub(at, stop - 1))
      at = stop + 1
    end
    rest = rest:sub(at)
  end)
end

---Start a program.
---@param command string
---@param arguments string[]
---@param spawn_options? {cwd: string?, env: string[]?}
---@return spec.Peer
function M.spawn(command, arguments, spawn_options)
  local self = setmetatable({ name = command, events = {}, stderr = "", open_pipes = 2 }, Peer)
  self.stdin = uv.new_pipe(false)
  local stdout, stderr = uv.new_pipe(false), uv.new_pipe(false)
  local handle, pid = uv.spawn(command, {
    args = arguments,
    stdio = { self.stdin, stdout, stderr },
    cwd = spawn_options and spawn_options.cwd,
    env = spawn_options and spawn_options.env,
  }, function(code, signal)
    self.exit = { code = code, signal = signal }
    self.handle:close()
    if not self.stdin:is_closing() then
      self.stdin:close()
    end
    self:arrived()
  end)
  if not handle then
    self.stdin:close()
    stdout:close()
    stderr:close()
    error(("%s: %s"):format(command, pid), 2)
  end
  self.handle, self.pid = handle, pid
  running[self] = true
  local function on_end()
    self.open_pipes = self.open_pipes - 1
    self:arrived()
  end
  read_lines(stdout, function(line)
    table.insert(self.events, describe_line(line))
    self:arrived()
  end, on_end)
  read_lines(stderr, function(line)
    self.stderr = (self.stderr .. line .. "\n"):sub(-STDERR_KEPT)
    async.wake()
  end, on_end)
  return self
end

---Start one of spec/peers; by its ending it is run by node or by Debian's Python.
---@param file string such as "ws_client.mjs"
---@param options? table handed over as JSON
---@return spec.Peer
function M.start(file, options)
  local text = json.encode(options or {})
  local self
  if file:find "%.py$" then
    self = M.spawn("/usr/bin/python3", { "-B", PEERS .. file, text })
  else
    self = M.spawn("node", { PEERS .. file, text })
  end
  self.name, self.ends_with_stdin = file, true
  return self
end

---Take a peer that an earlier spec released, or start one. It was given no options.
---@param file string
---@return spec.Peer
function M.take(file)
  local self = idle[file] and table.remove(idle[file])
  if not self or self.exit then
    return M.start(file)
  end
  self.events, self.is_idle = {}, false
  return self
end

---Leave a peer, whose work is done, to the next `take`: starting a program is what takes longest in most specs.
function Peer:release()
  idle[self.name] = idle[self.name] or {}
  table.insert(idle[self.name], self)
  self.is_idle = true
end

-- Something came, or the program ended: "exit" is an event too, after everything that was written.
function Peer:arrived()
  if self.exit and self.open_pipes == 0 and running[self] then
    running[self] = nil
    table.insert(self.events, { event = "exit", code = self.exit.code, signal = self.exit.signal })
  end
  async.wake()
end

---Give the peer a command.
---@param command table
function Peer:tell(command)
  if self.stdin:is_closing() then
    error(self:report "it has ended and can't be told anything", 2)
  end
  self.stdin:write(json.encode(command) .. "\n")
end

local function find(events, name)
  for i, event in ipairs(events) do
    if event.event == name then
      return i
    end
  end
end

local function shown(event)
  local text = json.encode(event)
  return #text > 300 and text:sub(1, 300) .. "…" or text
end

function Peer:report(problem)
  local lines = { ("%s: %s; it had told:"):format(self.name, problem) }
  for _, event in ipairs(self.events) do
    table.insert(lines, "  " .. shown(event))
  end
  if self.stderr ~= "" then
    table.insert(lines, "and on standard error:\n" .. self.stderr)
  end
  return table.concat(lines, "\n")
end

-- What means that nothing else will come. A client has one connection at a time, and closing is the last it hears of it.
local function find_end(self)
  local is_client = self.name:find "^ws_client" or self.name:find "^websockets_client"
  return find(self.events, "exit") or find(self.events, "failed") or is_client and find(self.events, "close")
end

---Take the first event of that name, wherever it stands among the others; wait for it if need be. Fails at once when it
---can't come any more.
---@param name string
---@param seconds? number the guard
---@return table event
function Peer:expect(name, seconds)
  local found
  local ok, problem = pcall(async.wait_until, function()
    found = find(self.events, name)
    return found or name ~= "exit" and find_end(self)
  end, name, seconds)
  if not found then
    error(self:report(ok and ("%s did not come"):format(name) or problem), 2)
  end
  return table.remove(self.events, found)
end

---Take the first event that has one of these names; wait for it if need be.
---@param ... string
---@return table event
function Peer:expect_any(...)
  local names, found = { ... }, nil
  async.wait_until(function()
    for _, name in ipairs(names) do
      found = found or find(self.events, name)
    end
    return found or self.exit
  end, table.concat(names, " or "))
  return found and table.remove(self.events, found) or error(self:report "it ended before that", 2)
end

---How many events of that name have come and were not taken.
---@param name string
---@return integer
function Peer:count(name)
  local count = 0
  for _, event in ipairs(self.events) do
    count = count + (event.event == name and 1 or 0)
  end
  return count
end

---Send a signal to the program, by its process id.
---@param signal string|integer such as "sigterm"
function Peer:kill(signal)
  if not self.exit then
    self.handle:kill(signal)
  end
end

---End the program: a peer by closing its standard input, another one with SIGTERM; by force if that takes too long.
---Waits until it is gone.
function Peer:stop()
  if not self.stdin:is_closing() then
    self.stdin:close()
  end
  if not self.ends_with_stdin then
    self:kill "sigterm"
  end
  local function is_gone()
    return not running[self]
  end
  if not pcall(async.wait_until, is_gone, "the peer to end", STOP_SECONDS) then
    self:kill "sigkill"
    async.wait_until(is_gone, self.name .. " to be killed")
  end
end

---Stop every peer that is neither stopped nor released; for `after_each`.
---@param released_too? boolean
function M.stop_all(released_too)
  local peers = {}
  for each in pairs(running) do
    if released_too or not each.is_idle then
      table.insert(peers, each)
    end
  end
  for _, each in ipairs(peers) do
    each:stop()
  end
end

---Stop every peer, also the released ones; for the `teardown` of a spec file.
function M.finish()
  M.stop_all(true)
end

return M
