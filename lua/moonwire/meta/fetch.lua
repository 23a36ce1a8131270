---@meta
-- fetch.lua - declarations: what `moonwire.fetch` takes and gives. Durations are seconds, sizes bytes.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---How a client checks a server (TLS 1.2 or newer).
---@class moonwire.TlsOptions
---@field ca? string a PEM file with the authorities to trust, instead of the system's
---@field verify? boolean false takes any certificate: for trying things out; true

---@class moonwire.FetchOptions
---@field method? string "GET", or "POST" with a body; any but CONNECT
---`Host`, `User-Agent`, `Accept` and `Authorization` replace what is sent by itself; `Content-Length`, `Transfer-Encoding` and
---`Connection` are refused.
---@field headers? table<string, string|number|(string|number)[]>
---@field body? string
---@field json? any a value to send as JSON, instead of `body`
---@field timeout? number|false for everything together, redirects and body included; 30. Past it: code "timeout"
---@field redirects? integer|false how many are followed, at most 100; 10. Past it: code "redirects". false: the 3xx is the answer
---@field sink? fun(chunk: string) takes the body of a 2xx answer piece by piece; may wait, which slows the sender down
---@field file? string where the body of a 2xx answer goes: to `file.part`, which becomes `file` when it is whole
---@field progress? fun(received: integer, total: integer?) called for every piece; bytes
---@field max_bytes? integer of the body; 64 MiB in memory, else no limit. Past it: code "too_large"
---@field tls? moonwire.TlsOptions
---@field proxy? string "http://host:port"; asked for a tunnel (CONNECT), for http as well

---@class moonwire.FetchResponse
---@field status integer
---@field reason string what stands behind the status; may be ""
---@field headers table<string, string> by lower-case name; a repeated header is joined with ", "
---@field body? string nil when it went to a sink or a file
---@field url string where the answer came from, after redirects
local FetchResponse = {}

---The body, decoded from JSON. A body that went elsewhere counts as empty, which is not JSON.
---@return any value
---@return string? message
---@return "json"? code
function FetchResponse:json() end

return FetchResponse
