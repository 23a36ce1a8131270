-- raw.lua - a client that sends exactly the bytes it is told, over TCP or a Unix socket, and knows just enough of
-- WebSocket frames to read what comes back. Made of luv alone, nothing of moonwire's own client.
-- Owns the connections it opened; `close_all` ends those that are left.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local uv = require "luv"

local M = {}

M.TEXT, M.BINARY, M.CLOSE, M.PING, M.PONG = 1, 2, 8, 9, 10

local open = {} -- clients that are not closed yet

---@class spec.Raw
---@field received string bytes that came and were not taken
---@field is_ended boolean the server sends no more
---@field problem string|nil such as "ECONNRESET"
local Raw = {}
Raw.__index = Raw

---One masked frame (RFC 6455 §5.2).
---@param opcode integer
---@param payload? string
---@param changes? {fin: boolean?, rsv: integer?, key: string?}
---@return string
function M.frame(opcode, payload, changes)
  payload, changes = payload or "", changes or {}
  local first = (changes.fin == false and 0 or 0x80) | (changes.rsv or 0) << 4 | opcode
  local length = #payload
  local head = length < 126 and string.pack("BB", first, 0x80 | length)
    or length < 65536 and string.pack(">BBI2", first, 0x80 | 126, length)
    or string.pack(">BBI8", first, 0x80 | 127, length)
  -- A key of zeros leaves the payload as it is.
  return head .. "\0\0\0\0" .. payload
end

---Connect; waits until it is done.
---@param place integer|string|{port: integer?, path: string?} a port of 127.0.0.1 or the path of a Unix socket
---@return spec.Raw
function M.connect(place)
  local self = setmetatable({ received = "", is_ended = false }, Raw)
  local is_connected, problem
  local function on_connected(err)
    is_connected, problem = true, err
    async.wake()
  end
  place = type(place) == "table" and (place.path or place.port) or place
  if type(place) == "string" then
    self.socket = uv.new_pipe(false)
    self.socket:connect(place, on_connected)
  else
    self.socket = uv.new_tcp()
    self.socket:connect("127.0.0.1", place, on_connected)
  end
  open[self] = true
  async.wait_until(function()
    return is_connected
  end, "a connection")
  if problem then
    self:close()
    error(("could not connect to %s: %s"):format(place, problem), 2)
  end
  self:resume()
  return self
end

---Whether nobody listens there.
---@param port integer
---@return boolean
function M.is_refused(port)
  local socket, outcome = uv.new_tcp(), nil
  socket:connect("127.0.0.1", port, function(err)
    outcome = err or "open"
    async.wake()
  end)
  async.wait_until(function()
    return outcome
  end, "a refusal")
  socket:close()
  return outcome == "ECONNREFUSED"
end

---Read what comes, also after `pause`.
function Raw:resume()
  self.socket:read_start(function(err, bytes)
    if bytes then
      self.received = self.received .. bytes
    else
      self.is_ended, self.problem = true, err
    end
    async.wake()
  end)
end

---Leave what comes to the kernel: a stalled reader.
function Raw:pause()
  self.socket:read_stop()
end

function Raw:write(bytes)
  self.socket:write(bytes)
end

---Say that nothing more will be sent; reading goes on.
function Raw:finish()
  self.socket:shutdown()
end

function Raw:describe()
  local shown = #self.received > 300 and self.received:sub(1, 300) .. "…" or self.received
  return ("there were %d bytes, %s: %q"):format(#self.received, self.is_ended and (self.problem or "ended") or "open", shown)
end

-- Wait until `take()` finds what it looks for, or nothing more can come.
local function wait_for(self, what, take)
  local found
  pcall(async.wait_until, function()
    found = table.pack(take())
    return found[1] ~= nil or self.is_ended
  end, what)
  if found[1] == nil then
    error(("%s did not come; %s"):format(what, self:describe()), 3)
  end
  return table.unpack(found, 1, found.n)
end

---Take everything up to the end of the first match of a pattern.
---@param pattern string
---@return string taken
function Raw:expect(pattern)
  return (wait_for(self, ("%q"):format(pattern), function()
    local _, last = self.received:find(pattern)
    if last then
      local taken = self.received:sub(1, last)
      self.received = self.received:sub(last + 1)
      return taken
    end
  end))
end

---Take one response: its status, its whole head, and a body whose length was told.
---@return integer status
---@return string head
---@return string body
function Raw:response()
  local head = self:expect "^HTTP/1%.1.-\r\n\r\n"
  local length = tonumber(head:lower():match "\r\ncontent%-length: *(%d+)") or 0
  local body = wait_for(self, ("a body of %d bytes"):format(length), function()
    return #self.received >= length and self.received:sub(1, length) or nil
  end)
  self.received = self.received:sub(length + 1)
  return tonumber(head:match "^HTTP/1%.1 (%d+)"), head, body
end

---Send a request without a body.
---@param target string
---@param headers? string further header lines, each with its end
---@param method? string
function Raw:request(target, headers, method)
  self:write(("%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"):format(method or "GET", target, headers or ""))
end

M.UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
  .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

---Become a WebSocket.
---@param target? string
---@param headers? string
---@return string head of the answer
function Raw:upgrade(target, headers)
  self:request(target or "/", M.UPGRADE .. (headers or ""))
  return self:expect "^HTTP/1%.1 101.-\r\n\r\n"
end

---Send one frame.
function Raw:send(...)
  self:write(M.frame(...))
end

local function parse_frame(bytes)
  if #bytes < 2 then
    return nil
  end
  local first, length, at = bytes:byte(1), bytes:byte(2), 3
  if length == 126 and #bytes >= 4 then
    length, at = string.unpack(">I2", bytes, 3)
  elseif length == 127 and #bytes >= 10 then
    length, at = string.unpack(">I8", bytes, 3)
  elseif length >= 126 then
    return nil
  end
  if #bytes < at - 1 + length then
    return nil
  end
  return first & 15, bytes:sub(at, at + length - 1), first, at + length
end

---Take one frame.
---@return integer opcode
---@return string payload
---@return integer first the first byte, with FIN and the reserved bits
function Raw:frame()
  local opcode, payload, first, after = wait_for(self, "a frame", function()
    return parse_frame(self.received)
  end)
  self.received = self.received:sub(after)
  return opcode, payload, first
end

---Take a Close frame, whatever comes before it.
---@return integer? code
---@return string reason
function Raw:expect_close()
  local opcode, payload
  repeat
    opcode, payload = self:frame()
  until opcode == M.CLOSE
  return #payload >= 2 and string.unpack(">I2", payload) or nil, payload:sub(3)
end

---Answer a Close frame, or send one.
---@param code? integer
---@param reason? string
function Raw:send_close(code, reason)
  self:send(M.CLOSE, code and string.pack(">I2", code) .. (reason or "") or "")
end

---Wait until the server has ended the connection.
---@return string rest what came before the end and was not taken
function Raw:expect_end()
  wait_for(self, "the end of the connection", function()
    return self.is_ended or nil
  end)
  return self.received
end

function Raw:close()
  open[self] = nil
  if not self.socket:is_closing() then
    self.socket:close()
  end
end

---End it without a word: the server sees a reset.
function Raw:reset()
  open[self] = nil
  self.socket:close_reset()
end

---Close every connection that is still there; for `after_each`.
function M.close_all()
  for each in pairs(open) do
    each:close()
  end
end

return M
