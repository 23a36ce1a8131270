-- raw.lua - the wire by hand: frames and bytes that no honest program sends, and the sockets to send them with.
-- Writes and reads the framing of RFC 6455 by itself, so that it can be wrong where moonwire would not let it be.
-- Owns the sockets it opened until `close_all`. Split sends never sleep: `turn` lets the loop poll once, and what was
-- written to a Unix socket before is read by the other end in that poll, by itself.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local core = require "moonwire.core"
local uv = require "luv"

local M = {}

-- ---- frames ----

local MASK_KEY = "\x37\xfa\x21\x3d" -- of the examples in RFC 6455 §5.7
local OPCODES = { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 }
M.RSV1, M.RSV2, M.RSV3 = 0x40, 0x20, 0x10

---@class spec.Frame
---@field opcode integer
---@field payload string
---@field fin? boolean true by default
---@field rsv? integer of RSV1, RSV2, RSV3
---@field masked? boolean as the role demands by default
---@field key? string four bytes
---@field width? 0|2|8 bytes of the extended length; the shortest form by default
---@field announce? integer the length that is told, if not the payload's own

---@param opcode integer
---@param payload? string
---@param extra? table further fields
---@return spec.Frame
function M.frame(opcode, payload, extra)
  local frame = { opcode = opcode, payload = payload or "" }
  for name, value in pairs(extra or {}) do
    frame[name] = value
  end
  return frame
end

for name, opcode in pairs(OPCODES) do
  M[name] = function(payload, extra)
    return M.frame(opcode, payload, extra)
  end
end

---A Close frame; without a code, an empty one.
---@param code? integer
---@param reason? string
---@param extra? table
---@return spec.Frame
function M.close(code, reason, extra)
  return M.frame(OPCODES.close, code and (">I2"):pack(code) .. (reason or "") or "", extra)
end

local function mask(payload, key)
  local bytes = {}
  for i = 1, #payload do
    bytes[i] = string.char(payload:byte(i) ~ key:byte((i - 1) % 4 + 1))
  end
  return table.concat(bytes)
end

local function encode_one(frame, is_client)
  local length = frame.announce or #frame.payload
  local width = frame.width or (length < 0 or length > 65535) and 8 or length > 125 and 2 or 0
  local masked = frame.masked
  if masked == nil then
    masked = is_client
  end
  local first = (frame.fin == false and 0 or 0x80) | (frame.rsv or 0) | frame.opcode
  local short = width == 8 and 127 or width == 2 and 126 or length
  local head = string.char(first, (masked and 0x80 or 0) | short)
  if width > 0 then
    head = head .. (width == 2 and ">I2" or ">i8"):pack(length)
  end
  if not masked then
    return head .. frame.payload
  end
  local key = frame.key or MASK_KEY
  return head .. key .. mask(frame.payload, key)
end

---Frames, and strings that are sent as they are, as bytes.
---@param frames (spec.Frame|string)[]
---@param is_client boolean whose frames: a client's are masked
---@return string
function M.encode(frames, is_client)
  local parts = {}
  for i, frame in ipairs(frames) do
    parts[i] = type(frame) == "string" and frame or encode_one(frame, is_client)
  end
  return table.concat(parts)
end

---Take bytes apart into frames. Payloads are unmasked.
---@param bytes string
---@return {opcode: integer, payload: string, fin: boolean, rsv: integer, masked: boolean}[] frames
---@return string rest of the bytes, no whole frame
function M.decode(bytes)
  local frames, at = {}, 1
  while #bytes - at >= 1 do
    local first, second = bytes:byte(at, at + 1)
    local length, from = second & 0x7f, at + 2
    local width = length == 127 and 8 or length == 126 and 2 or 0
    if #bytes < from + width - 1 then
      break
    elseif width > 0 then
      length, from = (width == 2 and ">I2" or ">i8"):unpack(bytes, from)
    end
    local key = second & 0x80 ~= 0 and bytes:sub(from, from + 3)
    from = from + (key and 4 or 0)
    if #bytes < from + length - 1 then
      break
    end
    local payload = bytes:sub(from, from + length - 1)
    frames[#frames + 1] = {
      opcode = first & 0x0f,
      payload = key and mask(payload, key) or payload,
      fin = first & 0x80 ~= 0,
      rsv = first & 0x70,
      masked = key and true or false,
    }
    at = from + length
  end
  return frames, bytes:sub(at)
end

-- ---- waiting ----

---Let the loop poll once: what could be read before this call has been read after it.
function M.turn()
  local task = coroutine.running()
  local check, idle = uv.new_check(), uv.new_idle() -- an idle handle keeps the poll from blocking
  local checks = 0
  idle:start(function() end)
  check:start(function()
    checks = checks + 1
    -- The first one may belong to the poll in which this was called.
    if checks == 2 then
      check:close()
      idle:close()
      core.resume(task)
    end
  end)
  coroutine.yield()
end

-- ---- sockets ----

local open = {} -- what `close_all` has to close

---@class spec.RawPeer
---@field received string all that came, unless taken
---@field ended boolean the other end closed
---@field problem? string what a read or write failed with, such as "ECONNRESET"
local Peer = {}
Peer.__index = Peer

local function new_peer(handle)
  local peer = setmetatable({ handle = handle, received = "", ended = false }, Peer)
  open[peer] = true
  return peer
end

local function listen_to(peer)
  peer.handle:read_start(function(problem, bytes)
    if bytes then
      peer.received = peer.received .. bytes
    else
      peer.ended, peer.problem = true, problem
    end
    async.wake()
  end)
end

---Send bytes now. What fails shows in `problem`.
---@param bytes string
function Peer:write(bytes)
  if not self.handle:is_closing() then
    self.handle:write(bytes, function(problem)
      self.problem = self.problem or problem
    end)
  end
end

---Send nothing more; the other end sees that.
function Peer:shutdown()
  if not self.handle:is_closing() and self.handle:is_writable() then
    self.handle:shutdown(function() end)
  end
end

function Peer:close()
  open[self] = nil
  if not self.handle:is_closing() then
    self.handle:close()
  end
end

---Wait until so many bytes or such a text have come, or the other end closed.
---@param what integer|string a pattern
---@return string received
function Peer:wait_for(what)
  async.wait_until(function()
    return self.ended or type(what) == "string" and self.received:find(what) or what == #self.received
  end, ("%q from the other end, after %q"):format(what, self.received:sub(-200)))
  return self.received
end

---Wait until the other end closed; everything that came is returned.
---@return string received
function Peer:wait_for_end()
  async.wait_until(function()
    return self.ended
  end, ("the other end to close, after %q"):format(self.received:sub(-200)))
  return self.received
end

---Wait until a Close frame came, or the other end closed.
function Peer:wait_for_close_frame()
  async.wait_until(function()
    local frames = M.decode(self.received)
    return self.ended or frames[1] and frames[#frames].opcode == OPCODES.close
  end, ("a Close frame, after %q"):format(self.received:sub(-200)))
end

---Take the head of a message away from `received`; wait for it.
---@return string? head with its blank line; nil when the other end closed before
function Peer:take_head()
  self:wait_for "\r\n\r\n"
  local head, rest = self.received:match "^(.-\r\n\r\n)(.*)$"
  if head then
    self.received = rest
  end
  return head
end

---Connect to { host =, port = } or { path = }. Waits until connected.
---@param address {host: string?, port: integer?, path: string?}
---@return spec.RawPeer
function M.connect(address)
  local peer = new_peer(address.path and uv.new_pipe() or uv.new_tcp())
  local is_done, problem = false, nil
  local function on_connect(failure)
    is_done, problem = true, failure
    async.wake()
  end
  if address.path then
    peer.handle:connect(address.path, on_connect)
  else
    peer.handle:connect(address.host, address.port, on_connect)
    peer.handle:nodelay(true)
  end
  async.wait_until(function()
    return is_done
  end, "a connection")
  assert(not problem, problem)
  listen_to(peer)
  return peer
end

---@class spec.RawServer
---@field address {host: string?, port: integer?, path: string?}
local Server = {}
Server.__index = Server

---Listen on a Unix socket, or on a free port of 127.0.0.1.
---@param is_tcp? boolean
---@return spec.RawServer
function M.listen(is_tcp)
  local make = is_tcp and uv.new_tcp or uv.new_pipe
  local server = setmetatable({ handle = make(), accepted = {} }, Server)
  open[server] = true
  if is_tcp then
    assert(server.handle:bind("127.0.0.1", 0))
    server.address = { host = "127.0.0.1", port = server.handle:getsockname().port }
  else
    server.address = { path = async.directory() .. "/socket" }
    assert(server.handle:bind(server.address.path))
  end
  assert(server.handle:listen(128, function(problem)
    assert(not problem, problem)
    local peer = new_peer(make())
    server.handle:accept(peer.handle)
    listen_to(peer)
    table.insert(server.accepted, peer)
    async.wake()
  end))
  return server
end

Server.close = Peer.close

---The next connection; waits for it.
---@return spec.RawPeer
function Server:accept()
  async.wait_until(function()
    return self.accepted[1]
  end, "somebody to connect")
  return table.remove(self.accepted, 1)
end

---Close every socket that was opened here.
function M.close_all()
  for each in pairs(open) do
    each.close(each)
  end
end

-- ---- sending in pieces ----

---The ways in which bytes can be cut: whole, in two at every position, and into single bytes.
---@param bytes string
---@param longest integer more than so many bytes stay whole
---@return string[][] ways
function M.ways(bytes, longest)
  local ways = { { bytes } }
  if #bytes > 1 and #bytes <= longest then
    for i = 1, #bytes - 1 do
      ways[#ways + 1] = { bytes:sub(1, i), bytes:sub(i + 1) }
    end
    local single = {}
    for i = 1, #bytes do
      single[i] = bytes:sub(i, i)
    end
    ways[#ways + 1] = single
  end
  return ways
end

---Send each peer its pieces, all of them side by side; every piece has been read before the next one is sent.
---@param peers spec.RawPeer[]
---@param ways string[][] as many as there are peers
function M.send_in_pieces(peers, ways)
  local step, sent = 0, true
  while sent do
    step, sent = step + 1, false
    for i, peer in ipairs(peers) do
      local piece = ways[i][step]
      if piece then
        peer:write(piece)
        sent = true
      end
    end
    M.turn()
  end
end

-- ---- the opening handshake ----

local KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" -- RFC 6455 §1.3
M.KEY, M.ACCEPT = KEY, ACCEPT

---A client's opening handshake.
---@param target string
---@param lines? string further header lines, each with its end
---@return string
function M.opening(target, lines)
  return ("GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    .. "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n"):format(target, KEY, lines or "")
end

local function rotate(word, count)
  return (word << count | (word & 0xffffffff) >> (32 - count)) & 0xffffffff
end

-- FIPS 180-4; here so that the answer to a key does not come from the code under test.
local function sha1(text)
  local h = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 }
  local padded = text .. "\x80" .. ("\0"):rep((55 - #text) % 64) .. (">I8"):pack(#text * 8)
  for at = 1, #padded, 64 do
    local w = { (">" .. ("I4"):rep(16)):unpack(padded, at) }
    for i = 17, 80 do
      w[i] = rotate(w[i - 3] ~ w[i - 8] ~ w[i - 14] ~ w[i - 16], 1)
    end
    local a, b, c, d, e = table.unpack(h)
    for i = 1, 80 do
      local f, k
      if i <= 20 then
        f, k = b & c | ~b & d, 0x5a827999
      elseif i <= 40 then
        f, k = b ~ c ~ d, 0x6ed9eba1
      elseif i <= 60 then
        f, k = b & c | b & d | c & d, 0x8f1bbcdc
      else
        f, k = b ~ c ~ d, 0xca62c1d6
      end
      a, b, c, d, e = (rotate(a, 5) + (f & 0xffffffff) + e + k + w[i]) & 0xffffffff, a, rotate(b, 30), c, d
    end
    for i, word in ipairs { a, b, c, d, e } do
      h[i] = (h[i] + word) & 0xffffffff
    end
  end
  return (">I4I4I4I4I4"):pack(table.unpack(h, 1, 5))
end

local LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(bytes)
  return (bytes:gsub("..?.?", function(group)
    local a, b, c = group:byte(1, 3)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    local text = ""
    for i = 0, 3 do
      local index = bits >> (18 - 6 * i) & 63
      text = text .. (i <= #group and LETTERS:sub(index + 1, index + 1) or "=")
    end
    return text
  end))
end

---What a server answers to a key (RFC 6455 §4.2.2).
---@param key string
---@return string
function M.accept_of(key)
  return base64(sha1(key .. "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
end

---The answer of a server to the head of a request.
---@param request string
---@param lines? string further header lines, each with its end
---@return string
function M.answer(request, lines)
  local key = assert(request:match "\r\nSec%-WebSocket%-Key: (%S+)\r\n", "the request has no key")
  return ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    .. "Sec-WebSocket-Accept: %s\r\n%s\r\n"):format(M.accept_of(key), lines or "")
end

return M
