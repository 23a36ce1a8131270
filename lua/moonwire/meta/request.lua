---@meta
-- request.lua - declarations: what a handler knows about the request.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---A certificate of a client, verified.
---@class moonwire.ClientCertificate
---@field subject string as in RFC 2253, the most specific first: "CN=ann,O=Example"
---@field issuer string likewise
---@field serial string hexadecimal, upper-case, as `openssl x509 -serial` shows it
---@field not_after integer when it expires, in seconds since 1970 (`os.time`)
---@field fingerprint string SHA-256 of the certificate: 64 lower-case hexadecimal digits
---@field names {dns: string[], email: string[], uri: string[]} its subject alternative names; the lists may be empty

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
---@field client_certificate? moonwire.ClientCertificate only when one was sent and verified (`tls.client_ca` of `app:listen`)
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
