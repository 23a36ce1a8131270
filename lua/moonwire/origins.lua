-- origins.lua - which pages may open a WebSocket (RFC 6454, RFC 6455 §10.2), and the log line about those that may not.
-- Owns the account of what was told about each route: at most MOST_TOLD origins, one line a minute for each.
-- SPDX-License-Identifier: MIT

local clock = require "moonwire.clock"
local core = require "moonwire.core"
local options = require "moonwire.options"
local url = require "moonwire.url"

local M = {}

local QUIET_SECONDS = 60
local MOST_TOLD = 32
local LONGEST_SHOWN = 200

-- "https://chat.example:8443" as scheme, host and port, for comparing; nil when it is no origin.
local function parse(text)
  local scheme, rest = text:match("^(%a[%w+%-%.]*)://(.+)$")
  if not scheme then
    return nil
  end
  local host, after = rest:match("^(%[[%x:%.]+%])(.*)$")
  if not host then
    host, after = rest:match("^([%w%-%._]+)(.*)$")
  end
  local port = after == "" and after or after and after:match("^:(%d*)$")
  -- More digits than a port has are not the scheme's own port, which they would become below.
  if not port or #port > 5 then
    return nil
  end
  scheme = scheme:lower()
  return { scheme = scheme, host = host:lower(), port = math.tointeger(tonumber(port)) or url.DEFAULT_PORTS[scheme] }
end

local function origin(value)
  if type(value) ~= "string" or (value ~= "null" and not parse(value)) then
    return "must be an origin such as \"https://example.com\""
  end
end

---What is wrong with the option `origins` of a route, or nothing.
---@param value any
---@return string?
function M.fault(value)
  if value == "same-host" or value == "*" then
    return nil
  elseif type(value) == "string" then
    return 'must be "same-host", "*" or a list of origins'
  end
  return options.list_of(origin)(value)
end

local function same_host(offered, host_header)
  if not host_header or not offered.port then
    return false
  end
  local host = parse(offered.scheme .. "://" .. host_header)
  return host ~= nil and host.host == offered.host and host.port == offered.port
end

---Whether a page of this origin may connect.
---@param allowed "same-host"|"*"|string[]
---@param header? string the Origin header; programs that are no browsers send none
---@param host_header? string
---@return boolean
function M.is_allowed(allowed, header, host_header)
  if not header or allowed == "*" then
    return true
  end
  local offered = parse(header)
  if allowed == "same-host" then
    return offered ~= nil and same_host(offered, host_header)
  end
  for _, entry in ipairs(allowed) do
    local known = parse(entry)
    if entry == header then
      return true
    elseif known and offered and known.scheme == offered.scheme and known.host == offered.host
      and known.port == offered.port then
      return true
    end
  end
  return false
end

-- Text from a client, fit for a log line: quoted, cut, and nothing in it that a terminal obeys.
local function shown(text)
  text = tostring(text)
  local cut = text:sub(1, LONGEST_SHOWN):gsub('[%c"\\\127-\255]', function(byte)
    return ("\\x%02x"):format(byte:byte())
  end)
  return '"' .. cut .. (#text > LONGEST_SHOWN and "…" or "") .. '"'
end

local function advice(allowed, header)
  if header == "null" then
    return 'origins = { "null" } would allow it, and every other page that has no origin of its own'
  elseif #header > LONGEST_SHOWN or not parse(header) then
    return 'that is no origin: only origins = "*" would allow it'
  end
  return ("origins = { %s%s } would allow it"):format(type(allowed) == "table" and next(allowed) and "…, " or "",
    shown(header))
end

-- Counts a refusal. Returns nil while this origin has been told of lately, or how many were not told of since: of the
-- origin itself, and of those that there was no room for.
local function count(told, header)
  local now = clock.now()
  local entry = told.origins[header]
  if entry and now - entry.at < QUIET_SECONDS then
    entry.count = entry.count + 1
    return nil
  elseif not entry and told.size >= MOST_TOLD then
    for other, old in pairs(told.origins) do
      if now - old.at >= QUIET_SECONDS then
        told.origins[other], told.size, told.others = nil, told.size - 1, told.others + old.count
      end
    end
    if told.size >= MOST_TOLD then
      told.others = told.others + 1
      return nil
    end
  end
  local again, others = entry and entry.count or 0, told.others
  told.size, told.others = told.size + (entry and 0 or 1), 0
  told.origins[header] = { at = now, count = 0 }
  return again, others
end

---A new account of what was told about a route.
---@return table told
function M.account()
  return { origins = {}, size = 0, others = 0 }
end

---Tell the log that a page was refused, unless it has been told lately.
---@param told table of the route
---@param label string the route's
---@param allowed "same-host"|"*"|string[]
---@param headers table<string, string> of the request
function M.tell_refused(told, label, allowed, headers)
  local header = headers.origin:sub(1, LONGEST_SHOWN + 1)
  local again, others = count(told, header)
  if not again then
    return
  end
  local line = ("%s: refused a page: its Origin %s is not %s; %s"):format(label, shown(header),
    allowed == "same-host" and "of the Host it asked, " .. shown(headers.host)
      or ("among the route's origins (Host %s)"):format(shown(headers.host)), advice(allowed, header))
  if allowed == "same-host" and headers["x-forwarded-host"] then
    line = line .. "; X-Forwarded-Host is not looked at, so the proxy has to pass Host on"
  end
  if again > 0 then
    line = ("%s (%d more of it since the last line)"):format(line, again)
  end
  if others > 0 then
    line = ("%s (%d from other origins were not told of)"):format(line, others)
  end
  core.log("warning", line)
end

return M
