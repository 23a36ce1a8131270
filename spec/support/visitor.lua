-- visitor.lua - a client that does exactly what it is told, over TCP or a Unix socket: sends some bytes, stops reading,
-- goes away in the middle. Made of luv alone, nothing of moonwire's own client; quick enough for thousands at once.
-- Owns the connections it opened; `close_all` ends those that are left.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local uv = require "luv"

local M = {}

M.TEXT, M.BINARY, M.CLOSE, M.PING, M.PONG = 1, 2, 8, 9, 10

local open = {} -- visitors that were not closed yet

---@class spec.Visitor
---@field received string bytes that came and were not taken
---@field is_ended boolean the server sends no more
---@field problem string|nil such as "ECONNRESET"
local Visitor = {}
Visitor.__index = Visitor

---One masked frame (RFC 6455 §5.2). Its key is zero, which leaves the payload as it is.
---@param opcode integer
---@param payload? string
---@param changes? {fin: boolean?, rsv1: boolean?}
---@return string
function M.frame(opcode, payload, changes)
  payload, changes = payload or "", changes or {}
  local first = (changes.fin == false and 0 or 0x80) | (changes.rsv1 and 0x40 or 0) | opcode
  local length = #payload
  local head = length < 126 and string.pack("BB", first, 0x80 | length)
    or length < 65536 and string.pack(">BBI2", first, 0x80 | 126, length)
    or string.pack(">BBI8", first, 0x80 | 127, length)
  return head .. "\0\0\0\0" .. payload
end

---A client's opening handshake.
---@param target? string
---@param headers? string further header lines, each with its end
---@return string
function M.opening(target, headers)
  return ("GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    .. "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"):format(target or "/",
    headers or "")
end

-- Connect; `on_done(problem)` is called once.
local function start(place, on_done)
  local socket
  if type(place) == "string" then
    socket = uv.new_pipe(false)
    socket:connect(place, on_done)
  else
    socket = uv.new_tcp()
    socket:connect("127.0.0.1", place, on_done)
  end
  return socket
end

---Connect; waits until it is done.
---@param place integer|string a port of 127.0.0.1, or the path of a Unix socket
---@return spec.Visitor
function M.connect(place)
  local self = setmetatable({ received = "", is_ended = false }, Visitor)
  local is_done, problem
  self.socket = start(place, function(failure)
    is_done, problem = true, failure
    async.wake()
  end)
  open[self] = true
  async.wait_until(function()
    return is_done
  end, "a connection")
  if problem then
    self:close()
    error(("could not connect to %s: %s"):format(place, problem), 2)
  end
  self:resume()
  return self
end

---Whether nobody listens there.
---@param place integer|string
---@return boolean
function M.is_refused(place)
  local outcome
  local socket = start(place, function(problem)
    outcome = problem or "open"
    async.wake()
  end)
  async.wait_until(function()
    return outcome
  end, "a refusal")
  socket:close()
  return outcome == "ECONNREFUSED" or outcome == "ENOENT"
end

---Read what comes; again, after `pause`.
function Visitor:resume()
  self.socket:read_start(function(problem, bytes)
    if bytes then
      self.received = self.received .. bytes
    else
      self.is_ended, self.problem = true, problem
    end
    async.wake()
  end)
end

---Leave what comes to the kernel: a reader that stalls.
function Visitor:pause()
  self.socket:read_stop()
end

---@param bytes string
function Visitor:write(bytes)
  self.socket:write(bytes)
end

---Say that nothing more will be sent; reading goes on.
function Visitor:finish()
  self.socket:shutdown()
end

-- Wait until `take()` finds what it looks for, or nothing more can come.
local function wait_for(self, what, take)
  local found
  local ok, problem = pcall(async.wait_until, function()
    found = table.pack(take())
    return found[1] ~= nil or self.is_ended
  end, what)
  if found[1] == nil then
    local shown = #self.received > 300 and self.received:sub(1, 300) .. "…" or self.received
    error(("%s; the connection is %s, with %d bytes: %q"):format(ok and what .. " did not come" or problem,
      self.is_ended and (self.problem or "at its end") or "open", #self.received, shown), 3)
  end
  return table.unpack(found, 1, found.n)
end

---Take everything up to the end of the first match of a pattern.
---@param pattern string
---@return string taken
function Visitor:expect(pattern)
  local last = wait_for(self, pattern, function()
    return (select(2, self.received:find(pattern)))
  end)
  local taken = self.received:sub(1, last)
  self.received = self.received:sub(last + 1)
  return taken
end

---Send a request.
---@param target string
---@param headers? string further header lines, each with its end
---@param method? string
---@param body? string
function Visitor:request(target, headers, method, body)
  headers = (headers or "") .. (body and ("Content-Length: %d\r\n"):format(#body) or "")
  self:write(("%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s"):format(method or "GET", target, headers, body or ""))
end

---Take one response: its status, its head, and a body whose length was told.
---@return integer status
---@return string body
---@return string head
function Visitor:response()
  local head = self:expect "^HTTP/1%.1.-\r\n\r\n"
  local length = tonumber(head:lower():match "\r\ncontent%-length: *(%d+)") or 0
  wait_for(self, ("a body of %d bytes"):format(length), function()
    return #self.received >= length or nil
  end)
  local body = self.received:sub(1, length)
  self.received = self.received:sub(length + 1)
  return tonumber(head:match "^HTTP/1%.1 (%d+)"), body, head
end

---Become a WebSocket.
---@param target? string
---@param headers? string
---@return string head of the answer
function Visitor:upgrade(target, headers)
  self:write(M.opening(target, headers))
  return self:expect "^HTTP/1%.1 101.-\r\n\r\n"
end

---Send one frame; arguments as of `frame`.
function Visitor:send(...)
  self:write(M.frame(...))
end

---Send a Close frame.
---@param code? integer
---@param reason? string
function Visitor:send_close(code, reason)
  self:send(M.CLOSE, code and string.pack(">I2", code) .. (reason or "") or "")
end

local function parse_frame(bytes)
  if #bytes < 2 then
    return nil
  end
  local first, length, at = bytes:byte(1), bytes:byte(2), 3
  local width = length == 127 and 8 or length == 126 and 2 or 0
  if #bytes < 2 + width then
    return nil
  elseif width > 0 then
    length, at = string.unpack(width == 2 and ">I2" or ">I8", bytes, 3)
  end
  if #bytes < at - 1 + length then
    return nil
  end
  return first & 15, bytes:sub(at, at + length - 1), at + length
end

---Take one frame of the server.
---@return integer opcode
---@return string payload
function Visitor:frame()
  local opcode, payload, after = wait_for(self, "a frame", function()
    return parse_frame(self.received)
  end)
  self.received = self.received:sub(after)
  return opcode, payload
end

---Take the server's next message; pings before it are left out.
---@return string payload
function Visitor:message()
  local opcode, payload
  repeat
    opcode, payload = self:frame()
  until opcode ~= M.PING
  if opcode ~= M.TEXT and opcode ~= M.BINARY then
    error(("a frame of kind %d came instead of a message: %q"):format(opcode, payload), 2)
  end
  return payload
end

---Take the server's Close frame, and what comes before it.
---@return integer? code
---@return string reason
function Visitor:expect_close()
  local opcode, payload
  repeat
    opcode, payload = self:frame()
  until opcode == M.CLOSE
  return #payload >= 2 and string.unpack(">I2", payload) or nil, payload:sub(3)
end

---Wait until the server has ended the connection.
---@return string rest what came before the end and was not taken
function Visitor:expect_end()
  wait_for(self, "the end of the connection", function()
    return self.is_ended or nil
  end)
  return self.received
end

function Visitor:close()
  open[self] = nil
  if not self.socket:is_closing() then
    self.socket:close()
  end
end

---End it without a word: the server sees a reset.
function Visitor:reset()
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
