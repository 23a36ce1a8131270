-- response.lua - the answer to one request, from status line to last byte.
-- Borrows core's exchange, to which it gives raw bytes: the head, then a body that is as long as it said, chunked, or
-- ended by closing. Wrong use raises; a peer that went away is `nil, message, "closed"`.
-- SPDX-License-Identifier: MIT

local headers = require "moonwire.headers"
local http_date = require "moonwire.http_date"
local json = require "moonwire.json"
local mime = require "moonwire.mime"
local reasons = require "moonwire.http_status"
local static = require "moonwire.static"

local M = {}

local CLOSED = "the connection is closed"
-- What describes a body; a handler that failed may have set them for another one.
local BODY_HEADERS = {
  "Content-Type", "Content-Length", "Content-Encoding", "Content-Range", "Content-Disposition",
  "Accept-Ranges", "ETag", "Last-Modified", "Cache-Control", "Transfer-Encoding",
}

---@class moonwire.Response
local Response = { __name = "moonwire.Response" }
Response.__index = Response

---@param exchange table core's
---@param request moonwire.Request
---@param on_done? fun(response: moonwire.Response) called once, when it is finished or the peer is gone
---@return moonwire.Response
function M.new(exchange, request, on_done)
  return setmetatable({
    exchange = exchange,
    request = request,
    on_done = on_done,
    status = 200,
    headers = headers.new(),
    sent = false,
    finished = false,
    aborted = false,
    deferred = false,
    must_close = false,
  }, Response)
end

local function bodiless(status)
  return status == 204 or status == 304
end

local function done(self)
  local on_done = self.on_done
  self.on_done = nil
  if on_done then
    on_done(self)
  end
end

local function mark_aborted(self)
  if self.aborted or self.finished then
    return
  end
  self.aborted = true
  done(self)
  for _, fn in ipairs(self.abort_handlers or {}) do
    fn()
  end
end

local function write(self, bytes)
  local ok, message = self.exchange:write(bytes)
  if not ok then
    mark_aborted(self)
    return nil, CLOSED, "closed"
  end
  return true, message
end

local function finish_exchange(self, keep_alive)
  self.finished = true
  self.exchange:finish(keep_alive)
  done(self)
end

local function run_hooks(self)
  local hooks = self.hooks
  self.hooks = nil
  for _, hook in ipairs(hooks or {}) do
    hook(self)
  end
end

local function check_status(status)
  local integer = math.type(status) == "integer"
  if not integer or status < 200 or status > 999 then
    error(("res.status must be an integer from 200 to 999, not %s"):format(tostring(status)), 0)
  end
end

-- What the script says about the connection; everything else about it is moonwire's business.
local function apply_connection_header(self)
  local value = self.headers["Connection"]
  if value == nil then
    return
  elseif type(value) ~= "string" or (value:lower() ~= "close" and value:lower() ~= "keep-alive") then
    error("header 'Connection': only 'close' can be asked for", 0)
  elseif value:lower() == "close" then
    self.must_close = true
  end
  self.headers["Connection"] = nil
end

-- Decide how the end of the body is told. `length` is nil when it isn't known yet.
local function choose_framing(self, length)
  local set = self.headers
  if set["Transfer-Encoding"] ~= nil then
    error("header 'Transfer-Encoding' is chosen by moonwire", 0)
  end
  local declared = set["Content-Length"]
  if declared ~= nil and not length then
    length = type(declared) == "string" and declared:find("^%d+$") and math.tointeger(tonumber(declared))
    if not length then
      error("header 'Content-Length' must be a whole number", 0)
    end
  end
  set["Content-Length"] = nil
  if bodiless(self.status) then
    self.framing = "none"
    return
  end
  if length then
    self.framing, self.remaining = "length", length
    set["Content-Length"] = length
  elseif self.request.http_minor >= 1 then
    self.framing = "chunked"
    set["Transfer-Encoding"] = "chunked"
  else
    self.framing, self.must_close = "close", true
  end
  if self.request.method == "HEAD" then
    self.framing = "none"
  end
end

-- The head as bytes. Nothing is marked as sent before everything in it is known to be fine.
local function format_head(self, length)
  run_hooks(self)
  check_status(self.status)
  self.headers = headers.adopt(self.headers)
  apply_connection_header(self)
  choose_framing(self, length)
  local lines = { ("HTTP/1.1 %d %s"):format(self.status, reasons[self.status] or "") }
  headers.append_lines(self.headers, lines)
  self.keep_alive = not self.must_close and self.exchange:keep_alive()
  if self.headers["Date"] == nil then
    lines[#lines + 1] = "Date: " .. http_date.now()
  end
  local connection = not self.keep_alive and "close" or self.request.http_minor == 0 and "keep-alive" or nil
  if self.headers["Upgrade"] ~= nil then
    -- Upgrade is for the next hop only, and Connection must say so (RFC 9110 §7.8).
    connection = connection and connection .. ", upgrade" or "upgrade"
  end
  if connection then
    lines[#lines + 1] = "Connection: " .. connection
  end
  lines[#lines + 1] = "\r\n"
  return table.concat(lines, "\r\n")
end

local function refuse_second(self, what)
  if self.sent then
    error(("res:%s: the response has been sent already"):format(what), 3)
  end
end

local function check_body(body, what)
  if type(body) == "number" then
    return tostring(body)
  elseif body ~= nil and type(body) ~= "string" then
    local hint = type(body) == "table" and "; use res:json for a table" or ""
    error(("bad argument #1 to '%s' (string expected, got %s%s)"):format(what, type(body), hint), 3)
  end
  return body or ""
end

-- Wrong headers and a wrong status are told at the script's line, two levels up.
local function protected_head(self, length)
  local ok, head = pcall(format_head, self, length)
  if not ok then
    self.framing = nil
    error(head, 3)
  end
  return head
end

---Answer with this body and be done.
---@param body? string
---@param content_type? string a type, or the ending of a file name such as "html"; "text/plain" in UTF-8 by default
---@return true? ok
---@return string? message "backpressure", or why not
---@return string? code
function Response:send(body, content_type)
  body = check_body(body, "send")
  refuse_second(self, "send")
  if self.aborted then
    return nil, CLOSED, "closed"
  end
  if content_type then
    self.headers["Content-Type"] = content_type:find("/", 1, true) and content_type or mime.of(content_type)
  elseif body ~= "" and self.headers["Content-Type"] == nil then
    self.headers["Content-Type"] = mime.types.txt
  end
  if body ~= "" and bodiless(self.status) then
    error(("res:send: an answer with status %d has no body"):format(self.status), 2)
  end
  local length = #body
  if self.request.method == "HEAD" and body == "" and self.headers["Content-Length"] ~= nil then
    length = nil
  end
  local head = protected_head(self, length)
  self.sent = true
  local ok, message, code = write(self, self.framing == "none" and head or head .. body)
  if ok then
    finish_exchange(self, self.keep_alive and not self.must_close)
  end
  return ok, message, code
end

---Answer with a value as JSON.
---@param value any
---@return true? ok
---@return string? message
---@return string? code
function Response:json(value)
  refuse_second(self, "json")
  return self:send(json.encode(value), mime.types.json)
end

---Answer with a file, in whole or in part, or with 304, as the request asks for. Waits.
---@param path string
---@param file_options? {type: string?, max_age: number?}
---@return true? ok
---@return string? message why nothing was sent
---@return string? code "ENOENT", "EACCES" …, "closed"
function Response:file(path, file_options)
  refuse_second(self, "file")
  local ok, message, code = static.send_file(self, path, file_options)
  if not ok and not self.sent then
    self.missing_file = message
    self.is_short = static.SHORTAGES[code]
  end
  return ok, message, code
end

---Send the client elsewhere.
---@param location string
---@param status? integer 302 by default
---@return true? ok
---@return string? message
---@return string? code
function Response:redirect(location, status)
  refuse_second(self, "redirect")
  status = status or 302
  if math.type(status) ~= "integer" or status < 300 or status > 399 then
    error(("bad argument #2 to 'redirect' (a status from 300 to 399 expected, got %s)"):format(tostring(status)), 2)
  end
  self.status = status
  self.headers["Location"] = location
  return self:send()
end

---Send a piece of the body; the first one sends the head before it. An empty piece sends just the head.
---@param chunk? string
---@return true? ok
---@return "backpressure"|string|nil message after "backpressure", `res:drain()` waits until there is room again
---@return string? code
function Response:write(chunk)
  chunk = check_body(chunk, "write")
  if self.aborted then
    return nil, CLOSED, "closed"
  elseif self.finished then
    error("res:write: the response is finished", 2)
  end
  local head = ""
  if not self.sent then
    head = protected_head(self, nil)
    self.sent = true
  end
  if self.framing == "length" then
    if #chunk > self.remaining then
      error("res:write: more than the Content-Length that was set", 2)
    end
    self.remaining = self.remaining - #chunk
  elseif self.framing == "none" then
    chunk = ""
  elseif self.framing == "chunked" and chunk ~= "" then
    chunk = ("%x\r\n"):format(#chunk) .. chunk .. "\r\n"
  end
  if head == "" and chunk == "" then
    return true
  end
  return write(self, head .. chunk)
end

---End the body. Without anything sent before, this is an empty answer.
---@return true? ok
---@return string? message
---@return string? code
function Response:finish()
  if self.aborted then
    return nil, CLOSED, "closed"
  elseif self.finished then
    return true
  elseif not self.sent then
    return self:send()
  end
  if self.framing == "chunked" then
    local ok, message, code = write(self, "0\r\n\r\n")
    if not ok then
      return ok, message, code
    end
  end
  local is_complete = self.framing ~= "length" or self.remaining == 0
  finish_exchange(self, is_complete and self.keep_alive and not self.must_close)
  return true
end

---Wait until most of what was written has left.
---@return true? ok
---@return string? message
---@return string? code
function Response:drain()
  if self.aborted then
    return nil, CLOSED, "closed"
  elseif self.finished then
    return true
  end
  local ok, message, code = self.exchange:drain()
  if not ok then
    mark_aborted(self)
  end
  return ok, message, code
end

---Leave the response open when the handler returns; something else will finish it.
function Response:defer()
  self.deferred = true
end

---Call a function once if the client goes away before the response is finished.
---@param fn fun()
function Response:on_abort(fn)
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'on_abort' (function expected, got %s)"):format(type(fn)), 2)
  end
  self.abort_handlers = self.abort_handlers or {}
  self.abort_handlers[#self.abort_handlers + 1] = fn
  M.watch(self)
end

---Call a function just before the head leaves: the last moment to change status or headers.
---@param fn fun(res: moonwire.Response)
function Response:before_send(fn)
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'before_send' (function expected, got %s)"):format(type(fn)), 2)
  end
  refuse_second(self, "before_send")
  self.hooks = self.hooks or {}
  self.hooks[#self.hooks + 1] = fn
end

---Notice the client's leaving even though nobody writes. (Not for scripts.)
function M.watch(self)
  if not self.watched and not self.finished and not self.aborted then
    self.watched = true
    local _, message = self.exchange:on_abort(function()
      mark_aborted(self)
    end)
    if message then
      mark_aborted(self)
    end
  end
end

---End it where it is: what was announced and not sent makes the client see an error. Whoever still writes is told as if
---the client had gone. (Not for scripts.)
function M.abandon(self)
  if not self.finished and not self.aborted then
    self.exchange:finish(false)
    mark_aborted(self)
  end
end

---Answer with a status and a line of text, whatever a handler may have prepared. (Not for scripts.)
---@param self moonwire.Response
---@param status integer
---@param text? string the status's own words by default
---@param extra_headers? table<string, string>
function M.answer(self, status, text, extra_headers)
  if self.finished or self.aborted then
    return
  elseif self.sent then
    return M.abandon(self)
  end
  for _, name in ipairs(BODY_HEADERS) do
    self.headers[name] = nil
  end
  for name, value in pairs(extra_headers or {}) do
    self.headers[name] = value
  end
  self.status = status
  text = text or ("%d %s\n"):format(status, reasons[status] or "Error")
  if not pcall(self.send, self, text) then
    -- What could not be sent may be what made the handler fail.
    self.headers, self.hooks = headers.new(), nil
    self:send(text)
  end
end

return M
