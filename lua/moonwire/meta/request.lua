---@meta
-- request.lua - declarations: what a handler knows about the request.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.Request
---@field method string as sent: "GET"
---@field path string decoded, "." and ".." resolved (RFC 3986 §5.2.4)
---@field url string path and query as they were sent
---@field query table<string, string> decoded; the last value of a repeated name
---@field headers table<string, string> by lower-case name; a repeated header is joined with ", ", cookies with "; "
---@field params table<string, string> of the route's pattern, decoded
---@field body string whole, as far as `max_body` allows; "" without one
---@field protocols string[] WebSocket subprotocols the client offers, in its order
---@field remote_address string of the client, or of the proxy in front of us; "unix" for a Unix socket
---@field remote_port integer 0 for a Unix socket
---@field secure boolean whether it came over TLS
local Request = {}

---All values of a query parameter, in order.
---@param name string
---@return string[] values empty when it is not there
function Request:query_values(name) end

---A header by its name in any case.
---@param name string
---@return string?
function Request:header(name) end

---The body, decoded from JSON.
---```lua
---local order, message = req:json()
---if not order then
---  res.status = 400
---  return res:send(message)
---end
---```
---@return any value
---@return string? message
---@return "json"? code
function Request:json() end

return Request
