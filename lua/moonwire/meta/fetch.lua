---@meta
-- fetch.lua - declarations: what `moonwire.fetch` takes and gives.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.FetchOptions
---@field method? string "GET", or "POST" with a body
---@field headers? table<string, string|number|string[]>
---@field body? string
---@field json? any a value to send as JSON, instead of `body`
---@field timeout? number|false seconds for everything together; 30
---@field redirects? integer|false how many are followed; 10. false gives the 3xx answer itself
---@field sink? fun(chunk: string) takes the body of a 2xx answer piece by piece; may wait, which slows the sender down
---@field file? string where the body of a 2xx answer goes: to `file.part`, which becomes `file` when it is whole
---@field progress? fun(received: integer, total: integer?) called for every piece; bytes
---@field max_bytes? integer of the body; 64 MiB when it is kept in memory, no limit otherwise
---@field tls? {ca: string?, verify: boolean?} a PEM file with the authorities to trust; whether to verify (true)
---@field proxy? string "http://host:port"

---@class moonwire.FetchResponse
---@field status integer
---@field reason string
---@field headers table<string, string> by lower-case name
---@field body? string nil when it went to a sink or a file
---@field url string where the answer came from, after redirects
local FetchResponse = {}

---The body, decoded from JSON.
---@return any value
---@return string? message
---@return "json"? code
function FetchResponse:json() end

return FetchResponse
