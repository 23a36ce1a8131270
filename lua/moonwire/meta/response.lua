---@meta
-- response.lua - declarations: how a handler answers. Wrong use raises: a second answer, a header with a line end in it,
-- an impossible status. A client that went away is `nil, "the connection is closed", "closed"`.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.Response
---@field status integer 200 until set; 200 to 999
---@field headers table<string, string|number|string[]> names in any case; a list repeats the header; nil removes it
---@field sent boolean whether the head has left: status and headers count no more
---@field aborted boolean whether the client went away
local Response = {}

---Answer with this body and be done.
---```lua
---res.status = 201
---res.headers["Set-Cookie"] = { "a=1; HttpOnly", "b=2" }
---res:send("<h1>made</h1>", "html")
---```
---@param body? string
---@param content_type? string a type, or the ending of a file name such as "html"; plain text in UTF-8 by default
---@return true? ok
---@return "backpressure"|string|nil message
---@return string? code
function Response:send(body, content_type) end

---Answer with a value as JSON.
---@param value any
---@return true? ok
---@return "backpressure"|string|nil message
---@return string? code
function Response:json(value) end

---@class moonwire.FileOptions
---@field type? string instead of the one its name suggests
---@field max_age? number how long clients may keep it without asking

---Answer with a file, in whole or in part, or with 304, as the request asks for. Waits. When there is no such file, nothing
---is sent and the handler may answer itself; if it doesn't, that is a 404.
---@param path string any path: never make it of what a client sent (that is what `app:static` is for)
---@param options? moonwire.FileOptions
---@return true? ok
---@return string? message
---@return string? code "ENOENT", "EACCES", "EISDIR" …, "closed"
function Response:file(path, options) end

---Send the client elsewhere.
---@param location string
---@param status? integer 300 to 399; 302
---@return true? ok
---@return "backpressure"|string|nil message
---@return string? code
function Response:redirect(location, status) end

---Send a piece of the body; the first one sends the head before it. An empty piece sends just the head. Without a
---`Content-Length` the body goes out chunked (RFC 9112 §7.1).
---```lua
---res.headers["Content-Type"] = "text/event-stream"
---for i = 1, 10 do
---  if not res:write(("data: %d\n\n"):format(i)) then break end
---  moonwire.sleep(1)
---end
---```
---@param chunk? string
---@return true? ok
---@return "backpressure"|string|nil message after "backpressure", `drain` waits until there is room again
---@return string? code
function Response:write(chunk) end

---Wait until most of what was written has left. A client that takes nothing for `write_timeout` is given up.
---@return true? ok
---@return string? message
---@return string? code
function Response:drain() end

---End the body. Happens by itself when the handler returns, unless it called `defer`.
---@return true? ok
---@return string? message
---@return string? code
function Response:finish() end

---Leave the response open when the handler returns; something else will send or finish it. `app:close` ends streams that
---are open this way.
function Response:defer() end

---Call a function once if the client goes away before the response is finished.
---```lua
---app:get("/events", function(req, res)
---  res.headers["Content-Type"] = "text/event-stream"
---  res:write()
---  local timer = moonwire.every(1, function() res:write "data: tick\n\n" end)
---  res:on_abort(function() timer:cancel() end)
---  res:defer()
---end)
---```
---@param fn fun()
function Response:on_abort(fn) end

---Call a function just before the head leaves: the last moment to change status or headers.
---```lua
---app:use(function(req, res, next)
---  local start = os.clock()
---  res:before_send(function()
---    res.headers["X-Response-Time"] = ("%.0fms"):format((os.clock() - start) * 1000)
---  end)
---  next()
---end)
---```
---@param fn fun(res: moonwire.Response)
function Response:before_send(fn) end

return Response
