-- target.lua - where a client connects to, and what it says there: an address and options, in the form core takes.
-- Pure: raises or returns, owns nothing.
-- SPDX-License-Identifier: MIT

local headers_module = require "moonwire.headers"
local url = require "moonwire.url"

local M = {}

local DEFAULT_TIMEOUT = 10
local OURS = { "Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
  "Sec-WebSocket-Extensions" }

-- Header lines for the request.
local function header_lines(given, target, level)
  local set = headers_module.copy(given, level + 1)
  for _, name in ipairs(OURS) do
    if set[name] ~= nil then
      error(("connect: header '%s' is chosen by moonwire"):format(name), level + 1)
    end
  end
  if target.user and set["Authorization"] == nil then
    set["Authorization"] = url.basic_auth(target)
  end
  local lines = {}
  headers_module.append_lines(set, lines)
  lines[#lines + 1] = ""
  return table.concat(lines, "\r\n")
end

---@param settings moonwire.ConnectOptions checked
---@param address string ws:// or wss://
---@param level integer as the caller would give it to `error`
---@return table target
function M.of(settings, address, level)
  local target, message = url.parse(address)
  if not target or (target.scheme ~= "ws" and target.scheme ~= "wss") then
    error(("connect: %s: %s"):format(message or "the scheme must be ws or wss", address), level + 1)
  end
  local proxy = settings.proxy and url.parse(settings.proxy)
  local tls = settings.tls or {}
  return {
    host = target.host,
    port = target.port,
    path = settings.path,
    proxy_host = proxy and proxy.host,
    proxy_port = proxy and proxy.port,
    tls = target.secure and { ca = tls.ca, verify = tls.verify ~= false, server_name = tls.server_name },
    timeout = settings.timeout == false and 0 or settings.timeout or DEFAULT_TIMEOUT,
    host_header = target.authority,
    target = target.target,
    protocols = settings.protocols and table.concat(settings.protocols, ", "),
    headers = header_lines(settings.headers, target, level + 1),
  }
end

return M
