-- fetch.lua - `moonwire.fetch`: one HTTP request as a client, redirects followed.
-- Owns the connection of each attempt and, when asked to, the file that the body goes to (`name.part` until it is
-- whole). Opens a connection per request. Wrong use raises; what the network does is `nil, message, code`.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local fs = require "moonwire.fs"
local headers_module = require "moonwire.headers"
local json = require "moonwire.json"
local options = require "moonwire.options"
local time = require "moonwire.time"
local url = require "moonwire.url"

local M = {}

local DEFAULT_TIMEOUT = 30
local DEFAULT_REDIRECTS = 10
local DEFAULT_MAX_MEMORY = 64 << 20
local REDIRECTS = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }
local KEEPS_METHOD = { [307] = true, [308] = true }
-- Not for a server the script did not name.
local SECRETS = { "Authorization", "Cookie", "Proxy-Authorization" }
local OURS = { "Content-Length", "Transfer-Encoding", "Connection" }
local HAS_BODY = { POST = true, PUT = true, PATCH = true }

local function method_name(value)
  if type(value) ~= "string" or not value:find("^[%w!#%$%%&'%*%+%-%.%^_`|~]+$") or value:upper() == "CONNECT" then
    return "must be an HTTP method"
  end
end

local function any()
  return nil
end

local FETCH_OPTIONS = {
  method = method_name,
  headers = options.table,
  body = options.text,
  json = any,
  timeout = options.either("a number of seconds, or false", options.seconds(0.001), options.off),
  redirects = options.either("an integer from 0 to 100, or false", options.integer(0, 100), options.off),
  sink = options.func,
  file = options.string,
  progress = options.func,
  max_bytes = options.integer(0),
  tls = options.group { ca = options.string, verify = options.boolean },
  proxy = url.proxy_fault,
}

---@class moonwire.FetchResponse
local FetchResponse = { __name = "moonwire.FetchResponse" }
FetchResponse.__index = FetchResponse

---The body, decoded from JSON.
---@return any value
---@return string? message
---@return string? code
function FetchResponse:json()
  return json.decode(self.body or "")
end

-- What is to be sent, checked as far as it doesn't depend on the address.
local function prepare(settings)
  local request = { headers = headers_module.copy(settings.headers, 4), body = settings.body }
  for _, name in ipairs(OURS) do
    if request.headers[name] ~= nil then
      error(("fetch: header '%s' is chosen by moonwire"):format(name), 4)
    end
  end
  if settings.json ~= nil then
    if settings.body then
      error("fetch: option 'json' excludes 'body'", 4)
    end
    request.body = json.encode(settings.json)
    if request.headers["Content-Type"] == nil then
      request.headers["Content-Type"] = "application/json"
    end
  end
  if settings.sink and settings.file then
    error("fetch: option 'sink' excludes 'file'", 4)
  end
  request.method = settings.method and settings.method:upper() or request.body and "POST" or "GET"
  return request
end

local function check(address, fetch_options)
  options.argument(options.string, address, 1, "fetch", 3)
  local settings = options.check("fetch", FETCH_OPTIONS, fetch_options, 3)
  local request = prepare(settings)
  if not coroutine.isyieldable() then
    error("fetch: can only wait inside a handler or a task (moonwire.spawn)", 3)
  end
  return settings, request
end

-- The bytes of the request's head.
local function format_head(request, target)
  local lines = { request.method .. " " .. target.target .. " HTTP/1.1" }
  local set = request.headers
  if set["Host"] == nil then
    lines[#lines + 1] = "Host: " .. target.authority
  end
  headers_module.append_lines(set, lines)
  if set["User-Agent"] == nil then
    lines[#lines + 1] = "User-Agent: moonwire/" .. tostring(core.version)
  end
  if set["Accept"] == nil then
    lines[#lines + 1] = "Accept: */*"
  end
  if target.user and set["Authorization"] == nil then
    lines[#lines + 1] = "Authorization: " .. url.basic_auth(target)
  end
  if request.body or HAS_BODY[request.method] then
    lines[#lines + 1] = "Content-Length: " .. #(request.body or "")
  end
  lines[#lines + 1] = "Connection: close"
  lines[#lines + 1] = "\r\n"
  return table.concat(lines, "\r\n")
end

-- How to go on after a redirect: the same request, changed as RFC 9110 §15.4 says.
local function redirect(request, from, to, status)
  if not KEEPS_METHOD[status] then
    request.method = request.method == "HEAD" and "HEAD" or "GET"
    request.body = nil
    for _, name in ipairs { "Content-Type", "Content-Encoding", "Content-Language", "Content-Location" } do
      request.headers[name] = nil
    end
  end
  if from.scheme ~= to.scheme or from.host ~= to.host or from.port ~= to.port then
    request.headers["Host"] = nil
    for _, name in ipairs(SECRETS) do
      request.headers[name] = nil
    end
  end
end

local function parse_http(address)
  local target, message = url.parse(address)
  if not target then
    return nil, ("%s: %s"):format(message, address), "url"
  elseif target.scheme ~= "http" and target.scheme ~= "https" then
    return nil, ("fetch can't speak '%s': %s"):format(target.scheme, address), "url"
  end
  return target
end

local function took_too_long(settings)
  return nil, ("the request took longer than %g s"):format(settings.timeout), "timeout"
end

-- One request to one address, as far as the head of the answer.
local function attempt(request, target, settings, deadline)
  local remaining = deadline and deadline - core.now() or nil
  if remaining and remaining <= 0 then
    return took_too_long(settings)
  end
  local tls = settings.tls or {}
  local proxy = settings.proxy and url.parse(settings.proxy) or {}
  return core.request {
    host = target.host,
    port = target.port,
    tls = target.secure and { ca = tls.ca, verify = tls.verify ~= false, server_name = target.host },
    timeout = remaining or 0,
    proxy_host = proxy.host,
    proxy_port = proxy.port,
    method = request.method,
    head = format_head(request, target),
    body = request.body,
  }
end

-- Ask, and ask again wherever the answers point to. Returns the last answer and where it came from.
local function follow(address, request, settings, deadline)
  local target, message, code = parse_http(address)
  local limit = settings.redirects == nil and DEFAULT_REDIRECTS or settings.redirects
  local count = 0
  while target do
    local response
    response, message, code = attempt(request, target, settings, deadline)
    if not response then
      return nil, message, code
    end
    local location = limit and REDIRECTS[response.status] and response.headers.location
    if not location then
      return response, target
    end
    response:close()
    if count == limit then
      return nil, ("more than %d redirects"):format(limit), "redirects"
    end
    count = count + 1
    local previous = target
    target, message, code = parse_http(url.resolve(previous, location))
    if target then
      redirect(request, previous, target, response.status)
    end
  end
  return nil, message, code
end

-- A place for the body: in memory, a function, or a file. `accept(chunk)` takes a piece, `close(is_complete)` ends it.
local function open_memory()
  local pieces = {}
  return {
    accept = function(chunk)
      pieces[#pieces + 1] = chunk
      return true
    end,
    close = function()
      return true
    end,
    text = function()
      return table.concat(pieces)
    end,
  }
end

local function open_function(sink)
  return {
    accept = function(chunk)
      sink(chunk)
      return true
    end,
    close = function()
      return true
    end,
  }
end

local function open_file(path)
  local part = path .. ".part"
  local fd, message, code = fs.open(part, "w")
  if not fd then
    return nil, message, code
  end
  return {
    accept = function(chunk)
      return fs.write(fd, chunk)
    end,
    close = function(is_complete)
      fs.close(fd)
      if is_complete then
        return fs.rename(part, path)
      end
      return fs.unlink(part)
    end,
  }
end

local function open_destination(response, settings)
  local is_success = response.status >= 200 and response.status <= 299
  if is_success and settings.file then
    return open_file(settings.file)
  elseif is_success and settings.sink then
    return open_function(settings.sink)
  end
  return open_memory()
end

-- Move the body from the connection to its destination.
local function receive(response, destination, settings, is_limited)
  local limit = settings.max_bytes or is_limited and DEFAULT_MAX_MEMORY
  local total = math.tointeger(tonumber(response.headers["content-length"]))
  local received = 0
  while true do
    local chunk, message, code = response:read()
    if not chunk then
      return message == nil, message, code
    end
    received = received + #chunk
    if limit and received > limit then
      return false, ("the body is larger than %d bytes"):format(limit), "too_large"
    end
    local ok
    ok, message, code = destination.accept(chunk)
    if not ok then
      return false, message, code
    end
    if settings.progress then
      settings.progress(received, total)
    end
  end
end

-- Receive the body before the deadline. Closes the connection in any case, and the file if a sink or progress raises.
local function finish(response, settings, deadline)
  local destination, message, code = open_destination(response, settings)
  if not destination then
    response:close()
    return nil, message, code
  end
  local is_late = false
  local timer = deadline and time.after(math.max(0, deadline - core.now()), function()
    is_late = true
    response:close()
  end)
  local finished, ok
  local is_limited = destination.text ~= nil
  finished, ok, message, code = xpcall(receive, debug.traceback, response, destination, settings, is_limited)
  if timer then
    timer:cancel()
  end
  response:close()
  local is_complete = finished and ok and not is_late
  local closed, close_message, close_code = destination.close(is_complete)
  if not finished then
    error(ok, 0)
  elseif is_late then
    return took_too_long(settings)
  elseif not ok then
    return nil, message, code
  elseif not closed then
    return nil, close_message, close_code
  end
  return destination
end

---Make an HTTP request and wait for the answer. Redirects are followed; a 404 is an answer like any other.
---@param address string http:// or https://
---@param fetch_options? moonwire.FetchOptions
---@return moonwire.FetchResponse? response
---@return string? message
---@return string? code "url", "refused", "timeout", "tls", "redirects", "too_large", "closed" …
function M.fetch(address, fetch_options)
  local settings, request = check(address, fetch_options)
  if settings.timeout == nil then
    settings.timeout = DEFAULT_TIMEOUT
  end
  local deadline = settings.timeout and core.now() + settings.timeout
  local response, target, code = follow(address, request, settings, deadline)
  if not response then
    return nil, target, code
  end
  local destination, message
  destination, message, code = finish(response, settings, deadline)
  if not destination then
    return nil, message, code
  end
  return setmetatable({
    status = response.status,
    reason = response.reason,
    headers = response.headers,
    body = destination.text and destination.text(),
    url = target.scheme .. "://" .. target.authority .. target.target,
  }, FetchResponse)
end

return M
