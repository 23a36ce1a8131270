---@meta
-- url.lua - declarations of `require "moonwire.url"`. Malformed input is `nil, message`.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.url
---@field DEFAULT_PORTS table<string, integer> by scheme
local url = {}

---@class moonwire.url.Parts
---@field scheme "http"|"https"|"ws"|"wss"
---@field secure boolean https or wss
---@field user? string decoded
---@field password? string decoded
---@field host string a name or an address; IPv6 without brackets
---@field port integer the scheme's own when the URL names none
---@field authority string host, and port unless it is the scheme's own: the Host header
---@field path string encoded, at least "/"
---@field query? string encoded, without the "?"
---@field target string path and query, as sent in a request

---Take an absolute URL apart. A fragment is dropped, text that is not ASCII is encoded.
---```lua
---local parts = assert(url.parse "wss://example.com:8443/chat?room=a%20b")
---print(parts.host, parts.port, url.parse_query(parts.query).room) --> example.com 8443 a b
---```
---@param text string
---@return moonwire.url.Parts? parts
---@return string? message
function url.parse(text) end

---Take a request target ("/path?query", "http://host/path", "*") apart.
---@param target string
---@return {path: string, segments: string[], query: string, authority: string?}? parts `path` is decoded and
---normalised; `authority` is there if the target names a host
---@return string? message
function url.parse_target(target) end

---Split an encoded path into decoded segments, with "." and ".." resolved.
---@param path string starts with "/"
---@return string[]? segments
---@return string? message
function url.split_path(path) end

---Take a query string apart, as browsers write it. A repeated name keeps its last value in the first table.
---@param query? string without the "?"
---@return table<string, string> values
---@return table<string, string[]> all every value of every name, in order
function url.parse_query(query) end

---Build a query string, names in alphabetical order; a list gives its name once per item.
---@param values table<string, string|number|boolean|(string|number|boolean)[]>
---@return string query without the "?"
function url.format_query(values) end

---Percent-encode everything but letters, digits and `-._~`.
---@param text string
---@return string
function url.encode(text) end

---Undo percent-encoding; "+" stays a plus sign.
---@param text string
---@return string? decoded
---@return string? message
function url.decode(text) end

---Host and port as they stand in a URL; IPv6 addresses get brackets.
---@param host string
---@param port? integer
---@return string
function url.format_host(host, port) end

---The value of an Authorization header for the user of a URL (RFC 7617).
---@param target moonwire.url.Parts with a `user`
---@return string
function url.basic_auth(target) end

---What is wrong with the address of a proxy, for checking options: it must be http, without a user name.
---@param value any
---@return string? wrong
function url.proxy_fault(value) end

---Resolve a reference, such as a Location header, against the URL it was found at.
---@param base moonwire.url.Parts
---@param reference string
---@return string url absolute
function url.resolve(base, reference) end

return url
