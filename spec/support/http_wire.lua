-- http_wire.lua - reads responses from the bytes that a server sent, by RFC 9112 §6, for specs that made the requests by
-- hand. Pure.
-- SPDX-License-Identifier: MIT

local M = {}

---@class spec.HttpResponse
---@field status integer
---@field reason string
---@field minor integer
---@field headers table<string, string> by lower-case name; repeated ones joined with ", "
---@field body string
---@field is_complete boolean whether its end was there; one that ends with the connection always is

local function parse_head(head)
  local minor, status, reason = head:match "^HTTP/1%.(%d) (%d%d%d) ([^\r\n]*)\r\n"
  assert(status, ("no status line: %q"):format(head:sub(1, 100)))
  local headers = {}
  for line in head:match("\r\n(.*)$"):gmatch "(.-)\r\n" do
    local name, value = line:match "^([%w%-]+): (.*)$"
    assert(name or line == "", ("no header line: %q"):format(line))
    if name then
      name = name:lower()
      headers[name] = headers[name] and headers[name] .. ", " .. value or value
    end
  end
  return {
    minor = math.tointeger(tonumber(minor)),
    status = math.tointeger(tonumber(status)),
    reason = reason,
    headers = headers,
    body = "",
    is_complete = false,
  }
end

-- The body from `at` on; returns where it ends, or nil when it isn't whole.
local function chunked(response, bytes, at)
  local pieces = {}
  while true do
    local size, from = bytes:match("^(%x+)\r\n()", at)
    size = tonumber(size or "", 16)
    if not size then
      return nil
    elseif size == 0 then
      response.body = table.concat(pieces)
      return bytes:match("^\r\n()", from)
    end
    pieces[#pieces + 1] = bytes:sub(from, from + size - 1)
    at = bytes:match("^\r\n()", from + size)
    if not at then
      return nil
    end
  end
end

local function read_body(response, bytes, at, is_head)
  local length = tonumber(response.headers["content-length"])
  if is_head or response.status < 200 or response.status == 204 or response.status == 304 then
    return at
  elseif response.headers["transfer-encoding"] == "chunked" then
    return chunked(response, bytes, at)
  elseif length then
    response.body = bytes:sub(at, at + length - 1)
    return #response.body == length and at + length or nil
  end
  response.body = bytes:sub(at)
  return #bytes + 1
end

---Take bytes apart into responses.
---@param bytes string
---@param requests {head: boolean?}[] what they answer: those to HEAD have no body
---@return spec.HttpResponse[]
---@return string rest behind the last one, or of a head that isn't whole
function M.responses(bytes, requests)
  local list, at, answered = {}, 1, 0
  while true do
    local head, from = bytes:match("^(HTTP/.-\r\n\r\n)()", at)
    if not head then
      return list, bytes:sub(at)
    end
    local response = parse_head(head)
    list[#list + 1] = response
    if response.status >= 200 then
      answered = answered + 1
    end
    local request = requests[answered] or {}
    at = read_body(response, bytes, from, request.head)
    response.is_complete = at ~= nil
    if not at then
      return list, ""
    end
  end
end

return M
