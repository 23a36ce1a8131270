---@meta
-- moonwire.lua - declarations of what `require "moonwire"` returns. Durations are seconds, sizes bytes.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire
---@field version string such as "0.1.0"
---@field json moonwire.json
---@field CONNECTING 0 a `ws.ready_state`: the opening handshake goes on
---@field OPEN 1 messages can be sent
---@field CLOSING 2 a Close frame was sent, the answer is awaited
---@field CLOSED 3 over, or between two attempts of a client
local moonwire = {}

---Make an application: routes, files, topics and ports that belong together. Raises for unknown options.
---```lua
---local app = moonwire.app { max_body = 4 << 20 }
---app:get("/", function(req, res) res:send "Hello World" end)
---assert(app:listen { host = "127.0.0.1", port = 8080 })
---```
---@param options? moonwire.AppOptions
---@return moonwire.App
function moonwire.app(options) end

---Make an HTTP request and wait for the answer. Redirects are followed (RFC 9110 §15.4); a status such as 404 is an answer, not
---a failure. Each request has a connection of its own. Raises for wrong options, and where nothing can wait.
---
---Codes: "url", "dns", "refused", "unreachable", "timeout", "proxy", "tls", "reset", "connect", "malformed", "redirects",
---"too_large"; of the option `file`: "ENOENT", "EACCES" …
---```lua
---local response = assert(moonwire.fetch("https://example.com/data.json", { timeout = 5 }))
---if response.status == 200 then print(response:json().name) end
---```
---@param address string http:// or https://
---@param options? moonwire.FetchOptions
---@return moonwire.FetchResponse? response
---@return string? message
---@return string? code
function moonwire.fetch(address, options) end

---Open a WebSocket as a client (RFC 6455 §4.1). Called from a task it waits until the connection is open, with `reconnect` also
---through the attempts that fail, and returns the WebSocket or the reason of the last failure. Where nothing can wait, and with
---`wait = false`, it returns the WebSocket at once; a failure then goes to the `error` handler. It is told exactly once.
---
---Codes: "dns", "refused", "unreachable", "timeout", "proxy", "tls", "reset", "connect"; "status 401" (any status but 101);
---"handshake" (an answer against the rules); "cancelled" (the script closed it before it was open, or gave no address);
---"closed" (`open` failed).
---```lua
---local ws = assert(moonwire.connect("wss://example.com/live", { reconnect = true }))
---ws:send "Hello"
---for data, kind in ws:messages() do
---  print(kind, data)
---end
---```
---@param address string|fun(): string? ws:// or wss://; a function is asked before each attempt, nil: give up
---@param options? moonwire.ConnectOptions
---@return moonwire.WebSocket? ws
---@return string? message
---@return string? code
function moonwire.connect(address, options) end

---Wait, while everything else goes on. Only inside a handler or a task; raises elsewhere.
---@param seconds number 0 lets everybody else have a turn
function moonwire.sleep(seconds) end

---Start a function in a task of its own. It runs at once, until it first waits; an error in it is logged.
---```lua
---moonwire.spawn(function()
---  while true do
---    app:publish_json("clock", { time = os.time() })
---    moonwire.sleep(1)
---  end
---end)
---```
---@param fn fun(...)
---@param ... any its arguments
function moonwire.spawn(fn, ...) end

---Call a function once, later, in a task of its own. The process stays alive until then.
---@param seconds number
---@param fn fun()
---@return moonwire.Timer
function moonwire.after(seconds, fn) end

---Call a function again and again. It never overlaps itself: while it still waits, ticks are left out. An error in it is
---logged; the next tick comes all the same.
---@param seconds number at least 0.001
---@param fn fun()
---@return moonwire.Timer
function moonwire.every(seconds, fn) end

---Call a function, in a task, when the process is about to end: at the first SIGTERM or SIGINT, when ports are closed and
---WebSockets are still open, or when nothing is left to do. It may wait, and the process waits for it, at most for `--drain`
---seconds in all. Several are called in the order they were given. Not called after an error in the main chunk, by `os.exit`,
---nor at a second signal. An error in it is logged; the process then ends with 1.
---```lua
---moonwire.on_stop(function()
---  app:publish("news", "back in a minute")
---  app:close() -- waits until everybody is gone
---  store:flush()
---end)
---```
---@param fn fun()
function moonwire.on_stop(fn) end

---What an `upgrade` handler returns to refuse a client, before there is a WebSocket.
---```lua
---upgrade = function(req)
---  if req.query.token ~= secret then return moonwire.reject(401, "who are you?") end
---end
---```
---@param status integer 300 to 599
---@param text? string the body of the answer; the status's own words by default
---@param headers? table<string, string>
---@return moonwire.Rejection
function moonwire.reject(status, text, headers) end

---Write a line to the program's log, on standard error: "moonwire: info: text". It never waits for whoever reads the log; what
---can't be written, and what one place of a script says more than a thousand times in a row, is counted and told later.
---```lua
---moonwire.log("info", "somebody joined", { room = room, people = 3 })
---```
---@param level "error"|"warning"|"info"
---@param text string control characters are shown as escapes
---@param fields? table<string, string|number|boolean> members of the object in JSON, otherwise `name=value` behind the text
function moonwire.log(level, text, fields) end

---Hear of every error that no nearer hook is told: those of tasks, timers and luv's callbacks, and of handlers without an `error`
---of their own or their app's. It runs in a task, after the line in the log; an error in it is only logged. `nil` ends that.
---```lua
---moonwire.on_error(function(text, context)
---  report { kind = context.kind, where = context.route, text = text }
---end)
---```
---@param hook? fun(text: string, context: moonwire.ErrorContext)
function moonwire.on_error(hook) end

---Whose handler failed.
---@class moonwire.ErrorContext
---@field kind "websocket"|"client"|"http"|"upgrade"|"task"|"timer"|"coroutine"|"luv callback"|string
---@field route? string the pattern of the route, or a client's address without its query
---@field event? string the handler: "message", "open" …; of a request its method
---@field id? integer `ws.id`
---@field remote_address? string
---@field remote_port? integer
---@field path? string of a request, without the query
---@field request_id? string the X-Request-Id of the request, or of the opening handshake
---@field ws? moonwire.WebSocket
---@field request? moonwire.Request

---@class moonwire.Rejection
---@field status integer
---@field text? string
---@field headers table<string, string>

return moonwire
