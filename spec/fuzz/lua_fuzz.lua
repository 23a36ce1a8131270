-- lua_fuzz.lua - takes one input of lua_fuzz.c: its first letter says which parser the rest goes to. Every function here
-- raises when a promise is broken; what malformed input is documented to give is fine.
-- SPDX-License-Identifier: MIT

require("spec.support.fake_core").install()

local headers = require "moonwire.headers"
local http_date = require "moonwire.http_date"
local json = require "moonwire.json"
local mime = require "moonwire.mime"
local options = require "moonwire.options"
local origins = require "moonwire.origins"
local request = require "moonwire.request"
local router = require "moonwire.router"
local static = require "moonwire.static"
local url = require "moonwire.url"

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

local function check_message(message)
  assert(type(message) == "string" and message ~= "", "malformed input is told with a message")
end

-- What url.parse gives can be sent in a request as it is, and means the same when it is read again.
local function check_url(text)
  local parts, message = url.parse(text)
  if not parts then
    return check_message(message)
  end
  assert(url.DEFAULT_PORTS[parts.scheme] and parts.host ~= "")
  assert(math.type(parts.port) == "integer" and parts.port >= 1 and parts.port <= 65535)
  assert(parts.target:find "^/" and not parts.target:find "[^!-~]", "the target can stand in a request line")
  assert(not parts.authority:find "[^!-~]" and not parts.authority:find "[/?#@]", "the authority is a Host header")
  local again = assert(url.parse(parts.scheme .. "://" .. parts.authority .. parts.target))
  again.user, again.password = parts.user, parts.password
  assert(same(parts, again), "an address means the same when it is written and read again")
  if parts.user then
    headers.check_value("authorization", url.basic_auth(parts))
  end
  return parts
end

local base = assert(url.parse "http://user@example.com:81/a/b/c?d=e")

local function check_resolve(text)
  local given, reference = text:match "^([^\n]*)\n(.*)$"
  local from = given and url.parse(given) or base
  local absolute = url.resolve(from, reference or text)
  assert(absolute:find "^%a[%w+%-%.]*:")
  check_url(absolute)
  url.proxy_fault(text)
end

local function check_target(text)
  local parts, message = url.parse_target(text)
  if not parts then
    return check_message(message)
  end
  assert(text == "*" or parts.path == "/" .. table.concat(parts.segments, "/"))
  for i, segment in ipairs(parts.segments) do
    assert(segment ~= "." and segment ~= ".." and not segment:find "\0", i)
  end
  local table_of_routes = router.new()
  table_of_routes:add("GET", "/a/:b", 1)
  table_of_routes:add("GET", "/a/b/*rest", 2)
  table_of_routes:add(router.ANY, "/:x/%2e%2e", 3)
  table_of_routes:find("GET", parts.segments)
  local made = request.make("GET", text, 1, {}, parts, { address = "::1", port = 1 })
  assert(type(made.query) == "table" and type(made:query_values "\0") == "table")
end

local function check_query(text)
  local values, all = url.parse_query(text)
  for name, value in pairs(values) do
    assert(all[name][#all[name]] == value)
  end
  local _, again = url.parse_query(url.format_query(all))
  assert(same(all, again), "a query means the same when it is written and read again")
  assert(url.decode(url.encode(text)) == text)
  local decoded, message = url.decode(text)
  if not decoded then
    check_message(message)
  end
end

local function check_date(text)
  local time = http_date.parse(text)
  if time then
    assert(math.type(time) == "integer")
    assert(http_date.parse(http_date.format(time)) == time, "a date means the same when it is written and read again")
  end
end

local function check_header(text)
  local name, value = text:match "^([^\n]*)\n(.*)$"
  if not name then
    return
  end
  local set = headers.new()
  local ok = pcall(function()
    set[name] = value
  end)
  local lines = {}
  headers.append_lines(set, lines)
  assert(#lines == (ok and 1 or 0))
  assert(not ok or not lines[1]:find "[\r\n%z]", "nothing can end a line")
  assert(not ok or set[name:upper()] == value)
  mime.of(text)
  local nearest = options.nearest({ max_payload = true, idle_timeout = true }, text:sub(1, 40))
  assert(nearest == nil or type(nearest) == "string")
end

local function check_range(text)
  local size_text, range = text:match "^(%d?%d?%d?)(.*)$"
  local size = math.tointeger(tonumber(size_text)) or 0
  local first, last = static.parse_range(range, size)
  if first then
    assert(math.type(first) == "integer" and math.type(last) == "integer")
    assert(0 <= first and first <= last and last < size)
  end
  local etag = '"1-2-3"'
  local fields = { "if-match", "if-none-match", "if-modified-since", "if-unmodified-since" }
  for _, name in ipairs(fields) do
    local status = static.evaluate_conditions({ [name] = range }, etag, 784111777)
    assert(status == nil or status == 304 or status == 412)
  end
end

-- The part before a line end is the Origin, the one behind it the Host.
local function check_origin(text)
  local origin, host = text:match "^([^\n]*)\n(.*)$"
  origin, host = origin or text, host or "example.com:8080"
  local listed = { "https://example.com", "http://[::1]:81", "null" }
  local by_list = origins.is_allowed(listed, origin, host)
  if by_list then
    local plain = origin:lower():gsub(":0*(%d*)$", ":%1") -- as numbers
    assert(plain == "https://example.com" or plain == "https://example.com:" or plain == "https://example.com:443"
      or plain == "http://[::1]:81" or plain == "null", "only what is listed may connect")
  end
  origins.tell_refused(origins.account(), "websocket /", listed, { origin = origin, host = host })
  if origins.is_allowed("same-host", origin, host) then
    local bare = host:lower():gsub(":%d*$", "")
    assert(origin:lower():find(bare, 1, true), "the same host is named in both")
  end
end

local function check_json(text)
  local value, message, code = json.decode(text)
  if message then
    assert(value == nil and code == "json")
    return check_message(message)
  end
  local ok, written = pcall(json.encode, value)
  if ok then
    local again = json.decode(written)
    local rewritten = json.encode(again)
    assert(written == rewritten or same(again, json.decode(rewritten)), "JSON means the same when it is written again")
  end
end

local checks = {
  u = check_url,
  r = check_resolve,
  t = check_target,
  q = check_query,
  d = check_date,
  h = check_header,
  b = check_range,
  o = check_origin,
  j = check_json,
}

return function(input)
  local check = checks[input:sub(1, 1)]
  if check then
    check(input:sub(2))
  end
end
