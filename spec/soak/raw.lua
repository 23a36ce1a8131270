-- raw.lua - connections of bare sockets for the soak, which go away as no honest client does: with RST or FIN, in the middle of
-- a request, of a handshake, of a frame.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local M = { opening = visitor.opening }

-- The beginning of a ClientHello; the rest never comes.
M.TLS_HELLO = "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03" .. ("\x2a"):rep(100)

---Connect to a port of 127.0.0.1; waits. Nothing is read.
---@param port integer
---@return uv_tcp_t
function M.connect(port)
  local socket, task = uv.new_tcp(), coroutine.running()
  socket:connect("127.0.0.1", port, function(problem)
    core.resume(task, problem)
  end)
  local problem = coroutine.yield()
  if problem then
    socket:close()
    error(problem)
  end
  return socket
end

local function fragments()
  return visitor.frame(visitor.TEXT, "one", { fin = false }) .. visitor.frame(visitor.PING, "in between")
    .. visitor.frame(0, "two", { fin = false }) .. visitor.frame(0, ("three"):rep(1000))
end

local WAYS = {
  function() return visitor.opening "/echo" .. visitor.frame(visitor.TEXT, ("hello"):rep(math.random(2000))) end,
  function() return visitor.opening "/echo" .. fragments() end,
  function() return visitor.opening "/echo" .. fragments() .. visitor.frame(visitor.CLOSE, "\x03\xe8") end,
  function() return visitor.opening "/echo" .. visitor.frame(visitor.BINARY, ("\0"):rep(math.random(300000))) end,
  function()
    return visitor.opening("/context", "Sec-WebSocket-Extensions: permessage-deflate\r\n")
      .. visitor.frame(visitor.TEXT, "\xf2\x48\xcd\xc9\xc9\x07\x00", { rsv1 = true }):rep(math.random(10))
  end,
  function() return visitor.opening "/room/vanished" .. visitor.frame(visitor.TEXT, "1 said"):rep(math.random(50)) end,
  function() return visitor.opening "/echo" .. visitor.frame(3, "a broken rule") end,
  function() return ("GET /files/%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(math.random(3)):rep(math.random(5)) end,
  function() return "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" .. ("b"):rep(math.random(99999)) end,
  function() return "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" end,
  function() return "GET /fetch?name=3 HTTP/1.1\r\nHost: x\r\n\r\n" end,
  function() return "no HTTP at all\r\n\r\n" end,
}

---What one of them would have sent, had it stayed.
---@return string
function M.bytes()
  return WAYS[math.random(#WAYS)]()
end

---Go, with RST or FIN.
---@param socket uv_tcp_t
function M.leave(socket)
  if math.random(2) == 1 then
    socket:close_reset()
  else
    socket:close()
  end
end

return M
