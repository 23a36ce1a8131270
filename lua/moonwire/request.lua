-- request.lua - what a handler knows about the request it answers.
-- Owns decoded copies only: a request outlives its exchange, because `ws.request` and waiting handlers keep it.
-- SPDX-License-Identifier: MIT

local json = require "moonwire.json"
local url = require "moonwire.url"

local M = {}

---@class moonwire.Request
local Request = { __name = "moonwire.Request" }

-- The query is taken apart when somebody first asks for it.
function Request.__index(request, key)
  if key == "query" or key == "query_lists" then
    request.query, request.query_lists = url.parse_query(request.query_string)
    return rawget(request, key)
  end
  return Request[key]
end

---All values of a query parameter, in order.
---@param name string
---@return string[]
function Request:query_values(name)
  return self.query_lists[name] or {}
end

---A header by its name in any case.
---@param name string
---@return string?
function Request:header(name)
  return self.headers[name:lower()]
end

---The body, decoded from JSON.
---@return any value
---@return string? message
---@return string? code
function Request:json()
  return json.decode(self.body)
end

-- The subprotocols an upgrade request offers; core has checked that they are tokens.
local function offered_protocols(headers)
  local list = {}
  for protocol in (headers["sec-websocket-protocol"] or ""):gmatch("[^,%s]+") do
    list[#list + 1] = protocol
  end
  return list
end

---@param exchange table core's
---@param target {path: string, segments: string[], query: string, authority: string?} from `url.parse_target`
---@return moonwire.Request
function M.new(exchange, target)
  local method, url_text, minor, headers = exchange:head()
  local address, port, secure, certificate = exchange:peer()
  local peer = { address = address, port = port, secure = secure, certificate = certificate }
  return M.make(method, url_text, minor, headers, target, peer)
end

---@param method string
---@param url_text string the target as sent
---@param minor integer
---@param headers table<string, string>
---@param target table as for `new`
---@param peer {address: string, port: integer, secure: boolean?, certificate: moonwire.ClientCertificate?}
---@return moonwire.Request
function M.make(method, url_text, minor, headers, target, peer)
  -- A host in the target counts, and Host does not (RFC 9112 §3.2.2).
  headers.host = target.authority or headers.host
  return setmetatable({
    method = method,
    url = url_text,
    path = target.path,
    segments = target.segments,
    query_string = target.query,
    http_minor = minor,
    headers = headers,
    params = {},
    body = "",
    protocols = offered_protocols(headers),
    remote_address = peer.address,
    remote_port = peer.port,
    secure = peer.secure or false,
    client_certificate = peer.certificate,
  }, Request)
end

return M
