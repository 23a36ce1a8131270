-- url.lua - addresses: taking URLs and request targets apart, percent-encoding, query strings.
-- Pure: strings in, strings and tables out. Malformed input is `nil, message`; only wrong types raise.
-- SPDX-License-Identifier: MIT

local M = {}

---The port a scheme has when the URL names none.
M.DEFAULT_PORTS = { http = 80, https = 443, ws = 80, wss = 443 }

local UNRESERVED = "%w%-%._~"
-- What may stand in a path or query as it is (RFC 3986 §3.3, §3.4), "%" included.
local PATH_OR_QUERY = "[^" .. UNRESERVED .. "!%$&'%(%)%*%+,;=:@/%?%%]"

local function escape_byte(char)
  return ("%%%02X"):format(char:byte())
end

local function unescape_byte(hex)
  return string.char(tonumber(hex, 16))
end

---Percent-encode everything but letters, digits and `-._~`: fit for one path segment or one query value.
---@param text string
---@return string
function M.encode(text)
  return (text:gsub("[^" .. UNRESERVED .. "]", escape_byte))
end

---Undo percent-encoding. "+" stays a plus sign.
---@param text string
---@return string? decoded
---@return string? message when a "%" is not followed by two hexadecimal digits
function M.decode(text)
  if not text:find("%", 1, true) then
    return text
  end
  local decoded, good = text:gsub("%%(%x%x)", unescape_byte)
  local _, all = text:gsub("%%", "")
  if good ~= all then
    return nil, "malformed percent-encoding"
  end
  return decoded
end

-- Form decoding, as browsers do it: "+" is a space, a stray "%" stays.
local function decode_form(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)", unescape_byte))
end

---Take a query string apart. A name that is repeated keeps its last value in the first table.
---@param query? string without the "?"
---@return table<string, string> values
---@return table<string, string[]> all every value of every name, in order
function M.parse_query(query)
  local values, all = {}, {}
  for pair in (query or ""):gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    name, value = decode_form(name), decode_form(value)
    values[name] = value
    local list = all[name]
    if list then
      list[#list + 1] = value
    else
      all[name] = { value }
    end
  end
  return values, all
end

---Build a query string, names in alphabetical order; a list gives its name once per item.
---@param values table<string, string|number|boolean|(string|number|boolean)[]>
---@return string query without the "?"
function M.format_query(values)
  local names, parts = {}, {}
  for name in pairs(values) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = values[name]
    for _, item in ipairs(type(value) == "table" and value or { value }) do
      parts[#parts + 1] = M.encode(name) .. "=" .. M.encode(tostring(item))
    end
  end
  return table.concat(parts, "&")
end

---Split an encoded path into decoded segments, with "." and ".." (also written %2e) resolved. "/a/b" gives {"a", "b"},
---"/a/" gives {"a", ""}, "/" gives {""}.
---@param path string starts with "/"
---@return string[]? segments
---@return string? message malformed encoding, a NUL, or a ".." that leaves the root
function M.split_path(path)
  local segments, count = {}, 0
  local ends_in_dots = false
  for raw in path:gmatch("/([^/]*)") do
    local segment, message = M.decode(raw)
    if not segment then
      return nil, message
    elseif segment:find("\0", 1, true) then
      return nil, "NUL in the path"
    end
    ends_in_dots = segment == "." or segment == ".."
    if segment == ".." then
      if count == 0 then
        return nil, "the path leaves the root"
      end
      segments[count] = nil
      count = count - 1
    elseif segment ~= "." then
      count = count + 1
      segments[count] = segment
    end
  end
  if ends_in_dots then
    segments[count + 1] = ""
  end
  return segments
end

-- The path and the query of a request target in origin-form or absolute-form, and the host that the latter names.
local function split_target(target)
  local authority
  if not target:find("^/") then
    local rest
    authority, rest = target:match("^[hH][tT][tT][pP][sS]?://([^/%?#]+)(.*)$")
    if not rest then
      return nil
    end
    target = rest:find("^/") and rest or "/" .. rest
  end
  local path, query = target:match("^([^%?]*)%??(.*)$")
  return path, query, authority
end

---Take a request target (RFC 9112 §3.2) apart.
---@param target string "/path?query", "http://host/path?query", or "*"
---@return {path: string, segments: string[], query: string, authority: string?}? parts `path` is decoded and
---normalised; `authority` is there if the target names a host
---@return string? message
function M.parse_target(target)
  if target == "*" then
    return { path = "*", segments = {}, query = "" }
  elseif target:find("[%c #]") then
    return nil, "the request target has a blank, a control character or a fragment"
  end
  local raw, query, authority = split_target(target)
  if not raw then
    return nil, "the request target is neither a path nor an http URL"
  end
  local segments, message = M.split_path(raw)
  if not segments then
    return nil, message
  end
  return { path = "/" .. table.concat(segments, "/"), segments = segments, query = query, authority = authority }
end

-- Bytes that can't stand in a URL but are clear in meaning (non-ASCII) are encoded; blanks and controls are mistakes.
local function tidy(text)
  return (text:gsub(PATH_OR_QUERY, escape_byte))
end

local function parse_host(text)
  local v6, after = text:match("^%[([%x:%.]+)%](.*)$")
  if v6 then
    return v6:find(":", 1, true) and v6 or nil, after
  end
  local host, rest = text:match("^([^:]*)(.*)$")
  if host:find("[^%w%-%._]") or host == "" then
    return nil
  end
  return host:lower(), rest
end

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

---Take an absolute URL apart. A fragment is dropped.
---@param text string
---@return moonwire.url.Parts? parts
---@return string? message
function M.parse(text)
  local scheme, rest = text:match("^(%a[%w+%-%.]*)://(.*)$")
  local default_port = scheme and M.DEFAULT_PORTS[scheme:lower()]
  if not scheme then
    return nil, "the URL has no scheme"
  elseif not default_port then
    return nil, ("the scheme '%s' is not http, https, ws or wss"):format(scheme)
  elseif text:find("[%c ]") then
    return nil, "the URL contains a blank or a control character"
  end
  local authority, tail = rest:match("^([^/%?#]*)([^#]*)")
  local user_info, host_port = authority:match("^(.*)@(.*)$")
  local host, port_text = parse_host(host_port or authority)
  if not host then
    return nil, "the host of the URL is malformed"
  end
  local port = port_text == "" and default_port or math.tointeger(tonumber(port_text:match("^:(%d*)$")))
  if port_text == ":" then
    port = default_port
  elseif not port or port < 1 or port > 65535 then
    return nil, "the port of the URL is malformed"
  end
  local path, query = tail:match("^([^%?]*)%??(.*)$")
  local parts = {
    scheme = scheme:lower(),
    host = host,
    port = port,
    path = path == "" and "/" or tidy(path),
    query = tail:find("?", 1, true) and tidy(query) or nil,
  }
  if user_info then
    local user, password = user_info:match("^([^:]*):?(.*)$")
    parts.user, parts.password = M.decode(user), M.decode(password)
    if not parts.user or not parts.password then
      return nil, "malformed percent-encoding in the user name of the URL"
    end
  end
  parts.secure = parts.scheme == "https" or parts.scheme == "wss"
  parts.authority = M.format_host(host, port ~= default_port and port or nil)
  parts.target = parts.path .. (parts.query and "?" .. parts.query or "")
  return parts
end

---Host and port as they stand in a URL or a Host header.
---@param host string IPv6 addresses get their brackets
---@param port? integer
---@return string
function M.format_host(host, port)
  if host:find(":", 1, true) then
    host = "[" .. host .. "]"
  end
  return port and host .. ":" .. port or host
end

-- RFC 3986 §5.2.4 on an encoded path; what climbs above the root is dropped.
local function remove_dots(path)
  local output = {}
  for segment in path:gmatch("/([^/]*)") do
    local plain = segment:gsub("%%2[eE]", ".")
    if plain == ".." then
      output[#output] = nil
    elseif plain ~= "." then
      output[#output + 1] = segment
    end
  end
  local last = path:match("/([^/]*)$"):gsub("%%2[eE]", ".")
  if last == "." or last == ".." then
    output[#output + 1] = ""
  end
  return "/" .. table.concat(output, "/")
end

---Resolve a reference, such as a Location header, against the URL it was found at (RFC 3986 §5.2).
---@param base moonwire.url.Parts
---@param reference string
---@return string url absolute
function M.resolve(base, reference)
  reference = reference:gsub("#.*$", "")
  if reference:find("^%a[%w+%-%.]*:") then
    return reference
  elseif reference:find("^//") then
    return base.scheme .. ":" .. reference
  end
  local origin = base.scheme .. "://" .. base.authority
  local path, query = reference:match("^([^%?]*)(.*)$")
  if path == "" then
    return origin .. base.path .. (query ~= "" and query or base.query and "?" .. base.query or "")
  elseif not path:find("^/") then
    path = base.path:match("^(.*/)") .. path
  end
  return origin .. remove_dots(path) .. query
end

---What is wrong with the address of an HTTP proxy, if anything: a check for options.lua.
---@param value any
---@return string?
function M.proxy_fault(value)
  local parts = type(value) == "string" and M.parse(value)
  if not parts or parts.scheme ~= "http" then
    return 'must be an address such as "http://proxy:3128"'
  elseif parts.user then
    return "must not have a user name: proxies that ask for one are not supported"
  end
end

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64(text)
  local encoded = text:gsub("..?.?", function(group)
    local a, b, c = group:byte(1, 3)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    local letters = {}
    for i = 0, 3 do
      local index = bits >> (18 - 6 * i) & 63
      letters[i + 1] = i <= #group and BASE64:sub(index + 1, index + 1) or "="
    end
    return table.concat(letters)
  end)
  return encoded
end

---The Authorization header for the user and password of a URL (RFC 7617).
---@param target {user: string, password: string}
---@return string
function M.basic_auth(target)
  return "Basic " .. base64(target.user .. ":" .. target.password)
end

return M
