-- relay.lua - stands between one client and a server, passes on what both say, and holds it or cuts it at a byte: what happens in
-- the middle of a TLS handshake needs a real one.
-- Owns its three sockets until `close`.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local uv = require "luv"

local M = {}

---@class spec.Relay
---@field port integer where the client connects
---@field up integer bytes that the client has sent and the server got
---@field down integer the other way
---@field is_ended boolean the server has closed
local Relay = {}
M.Relay = Relay
Relay.__index = Relay

local function close(handle)
  if not handle:is_closing() then
    handle:close()
  end
end

-- Passes on as much as may pass. Beyond, bytes are kept, and `at_limit` is called once.
local function pass(self, direction, to, bytes)
  local room = (self.limits[direction] or math.huge) - self[direction]
  local now = #bytes <= room and bytes or bytes:sub(1, room)
  self[direction] = self[direction] + #now
  self.kept[direction] = self.kept[direction] .. bytes:sub(#now + 1)
  if #now > 0 then
    to:write(now)
  end
  if #now < #bytes and self.at_limit then
    local act = self.at_limit
    self.at_limit = nil
    act(self)
  end
end

-- Both ends are connected.
local function join(self)
  self.onward:read_start(function(_, bytes)
    if bytes then
      pass(self, "down", self.client, bytes)
    else
      self.is_ended = true
      self:close()
      async.wake()
    end
  end)
  self.client:read_start(function(_, bytes)
    if bytes then
      pass(self, "up", self.onward, bytes)
    else
      self:close()
    end
  end)
end

---Stand before a port.
---@param port integer
---@param limits? {up: integer?, down: integer?} bytes that pass from the client, and from the server
---@param at_limit? fun(relay: spec.Relay) called when there is more; otherwise the rest waits for `open`
---@return spec.Relay
function M.start(port, limits, at_limit)
  local self = setmetatable({
    limits = limits or {}, at_limit = at_limit, kept = { up = "", down = "" }, up = 0, down = 0, is_ended = false,
    server = uv.new_tcp(), client = uv.new_tcp(), onward = uv.new_tcp(),
  }, Relay)
  assert(self.server:bind("127.0.0.1", 0))
  self.port = self.server:getsockname().port
  assert(self.server:listen(1, function()
    self.server:accept(self.client)
    self.onward:connect("127.0.0.1", port, function(problem)
      assert(not problem, problem)
      join(self)
    end)
  end))
  return self
end

---Let the rest pass, and all that follows.
function Relay:open()
  self.limits = {}
  for direction, to in pairs { up = self.onward, down = self.client } do
    local kept = self.kept[direction]
    self.kept[direction] = ""
    pass(self, direction, to, kept)
  end
end

---The server sees a reset.
function Relay:reset()
  if not self.onward:is_closing() then
    self.onward:close_reset()
  end
  self:close()
end

---The server sees the end, and may still speak.
function Relay:finish()
  self.client:read_stop()
  self.onward:shutdown()
end

function Relay:close()
  close(self.server)
  close(self.client)
  close(self.onward)
end

return M
