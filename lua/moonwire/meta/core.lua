---@meta
-- core.lua - declarations of `require "moonwire.core"`: what C gives to the modules of moonwire. INTERNAL: scripts use
-- `require "moonwire"`; names and arguments here may change with every version. Durations are seconds, sizes bytes.
-- Options are read as they are: names and ranges have been checked by the module that calls.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.core
---@field version string
---@field websocket_methods table<string, function|integer> methods of every WebSocket; modules add theirs (integers: fields)
---@field ending_rules string[] what `ws.ending.rule` can be
local core = {}

---@return number seconds of a clock that never goes back, from an unknown beginning
function core.now() end

---Write a line to the log.
---@param level "error"|"warning"|"info"
---@param text string
---@param fields? table<string, string|number|boolean>
---@param depth? integer how far up the stack the script's own line is: 1, whoever calls this
function core.log(level, text, fields, depth) end

---Log that a handler failed.
---@param text string the error with its traceback
---@param kind "http"|"upgrade"|"client"|string
---@param route? string a pattern, or a client's address
---@param event? string
---@param id? integer of the WebSocket
---@param address? string of the peer
---@param port? integer
---@param request_id? string
---@param path? string shown where there is no route
function core.fail(text, kind, route, event, id, address, port, request_id, path) end

---Hear of errors in tasks, timers and callbacks; nil ends it.
---@param fn? fun(text: string, kind: string)
function core.on_error(fn) end

---For `xpcall`: an error of any type in words, with the traceback through all coroutines it left.
---@param message any
---@return string
function core.traceback(message) end

---Call a function, in a task, when the process is about to end. Nobody waits for it.
---@param fn fun(seconds: number) what the end may take
function core.on_exit(fn) end

---What `moonwire.on_stop` calls: the end waits for the function.
---@param fn fun()
function core.on_stop(fn) end

---What gives the fields of a server's WebSocket that its opening handshake left: `request`, `params` and so on. Asked when a
---script first looks at one; `origin` is the handshake as core packed it.
---@param fn fun(origin: string, pattern: string, name: string): any
function core.on_restore(fn) end

---Close a WebSocket for a rule that the Lua side keeps.
---@param ws moonwire.WebSocket
---@param rule string one of `ending_rules`
---@param code integer 1006 ends it without a handshake
---@param reason string
function core.close(ws, rule, code, reason) end

---Take the head of a request apart that was parsed before; raises when it can't be one.
---@param text string
---@return string method
---@return string target
---@return integer minor
---@return table<string, string> headers
function core.parse_head(text) end

---@param der string
---@return moonwire.ClientCertificate
function core.parse_certificate(der) end

---What is alive in the process.
---@return {connections: integer, listeners: integer, websockets: integer} count `connections`: accepted ones
function core.count() end

---What was counted, and what can be seen now. The keys of `refused`, `responses`, `tls_handshakes`, `websockets`,
---`websockets_opened` and `ended` are what is told apart.
---@return table numbers
function core.metrics() end

---From now on it is counted how long handlers take.
function core.time_handlers() end

---Run a function in a task from the pool, until it first waits. An error in it is logged with its traceback.
---@param fn fun(...)
---@param ... any its arguments
function core.task(fn, ...) end

---The same for what a timer calls; an error says so.
---@param fn fun(...)
---@param ... any its arguments
function core.timer(fn, ...) end

---Continue a coroutine that waits in `coroutine.yield()`, which then returns the further arguments. So waits are built:
---```lua
---local function wait_for_timer(timer, ms)
---  local task = coroutine.running()
---  timer:start(ms, 0, function() core.resume(task, "rang") end)
---  return coroutine.yield() --> "rang"
---end
---```
---@param task thread
---@param ... any
function core.resume(task, ...) end

---@class moonwire.core.ListenOptions: moonwire.ListenOptions
---@field background? boolean keeps the process running for nobody, counts nobody, and goes on while the process ends

---Open a port or a Unix socket. `handler` runs in a task of its own, once per request, when the request's head is complete;
---malformed heads are answered here.
---@param options moonwire.core.ListenOptions
---@param handler fun(exchange: moonwire.core.Exchange)
---@return moonwire.Listener? listener
---@return string? message
---@return "in_use"|"denied"|"tls"|"inherited"|"listen"|nil code
function core.listen(options, handler) end

---One HTTP request and its response. Once it has ended all methods answer `nil, "closed", "closed"` (the predicates: false).
---@class moonwire.core.Exchange
local Exchange = {}

---@return string method
---@return string target as it was sent
---@return integer minor of the HTTP version
---@return table<string, string> headers by lower-case name; repeated ones joined with ", ", cookies with "; "
function Exchange:head() end

---@return string target as it was sent
function Exchange:target() end

---@return string? target nil when it asks for no WebSocket
---@return string? origin the first header of that name
---@return string? host likewise
function Exchange:opening() end

---@return string address or "unix"
---@return integer port
---@return boolean secure
---@return moonwire.ClientCertificate? certificate
function Exchange:peer() end

---@return boolean
function Exchange:has_body() end

---The request's body; "" without one. Waits.
---@param limit integer
---@return string? body
---@return string? message
---@return "too_large"|"timeout"|"malformed"|"closed"|nil code
function Exchange:body(limit) end

---Queue raw bytes of the response.
---@param bytes string
---@return true? ok
---@return string? message "backpressure" when much is queued
---@return "closed"|nil code
function Exchange:write(bytes) end

---Wait until little is queued.
---@return true? ok
---@return string? message
---@return "closed"|nil code
function Exchange:drain() end

---The response is complete.
---@param keep_alive boolean false closes the connection when everything is written
---@return true? ok
---@return string? message
---@return "closed"|nil code
function Exchange:finish(keep_alive) end

---@return boolean whether the connection can stay: the request allows it, its body was read, the server goes on
function Exchange:keep_alive() end

---Call a function once if the peer goes away before `finish`.
---@param fn fun()
---@return nil
---@return "closed"|nil message when it has gone already
---@return "closed"|nil code
function Exchange:on_abort(fn) end

---Check the request of an opening handshake (RFC 6455 §4.2.1).
---@return true? ok
---@return string[]|integer|nil found the subprotocols on offer, if any, or the status to refuse with
---@return string? message
function Exchange:handshake() end

---Answer with the 101 and run `open`. The exchange has ended then.
---@param route moonwire.core.Route
---@param data? table `ws.data`; without one a table is made when somebody asks for it
---@param protocol? string
---@param headers? table<string, string> further ones of the 101
---@return moonwire.WebSocket? ws
---@return string? message
---@return "closed"|nil code
function Exchange:accept(route, data, protocol, headers) end

---A behaviour as C keeps it; one per WebSocket route, or per client.
---@class moonwire.core.Route

---@class moonwire.core.Behaviour: moonwire.Behaviour
---@field name? string for log lines
---@field hub? moonwire.core.Hub none for clients
---@field failed? fun(ws: moonwire.WebSocket, message: string, code: string) instead of `open`, exactly once
---What `send` asks, and returns the answer of, while nothing can leave.
---@field unsent? fun(ws: moonwire.WebSocket, data: string, kind?: "text"|"binary"): true?, string?, string?

---@param behaviour moonwire.core.Behaviour
---@return moonwire.core.Route
function core.route(behaviour) end

---Replace the behaviour of a route under its live connections.
---@param route moonwire.core.Route
---@param behaviour moonwire.core.Behaviour
function core.route_update(route, behaviour) end

---The topics of one app.
---@class moonwire.core.Hub
local Hub = {}

---@return moonwire.core.Hub
function core.topics() end

---@param topic string
---@param data string
---@param kind? "text"|"binary"
---@return integer count
function Hub:publish(topic, data, kind) end

---@param topic string
---@return integer subscribers
function Hub:count(topic) end

---@return table<string, integer> topics name -> subscribers
function Hub:list() end

---@return integer count WebSockets that are connected
function Hub:open() end

---@return integer count those, and others whose close handler is still to run, or runs
function Hub:unfinished() end

---Call a function once, when the last close handler is done.
---@param fn fun()
function Hub:when_finished(fn) end

---@return moonwire.WebSocket[] sockets all that are connected
function Hub:sockets() end

---Where to connect to.
---@class moonwire.core.TargetOptions
---@field host string
---@field port integer
---@field path? string a Unix socket instead
---@field proxy_host? string
---@field proxy_port? integer
---@field tls? false|moonwire.ConnectTlsOptions
---@field timeout? number 10, 0 for none

---@class moonwire.core.ConnectOptions: moonwire.core.TargetOptions
---@field host_header string
---@field target string path and query
---@field protocols? string "a, b"
---@field headers? string whole lines, each with its CRLF

---Open a WebSocket as a client; the route's `open` or `failed` is called later.
---@param options moonwire.core.ConnectOptions
---@param route moonwire.core.Route
---@param ws? moonwire.WebSocket one that was closed, to be connected again
---@return moonwire.WebSocket ws
function core.connect(options, route, ws) end

---@class moonwire.core.LoadOptions
---@field mode "echo"|"fanout"|"idle"|"connect"
---@field host string
---@field port integer
---@field host_header string
---@field target string path and query
---@field connections integer
---@field depth integer
---@field size integer
---@field seconds number
---@field warmup number
---@field text? boolean
---@field addresses? integer
---@field pids? integer[]

---@class moonwire.core.LoadResult
---@field seconds number
---@field client_cpu number
---@field messages? integer
---@field messages_per_second? number
---@field latency_us? {p50: number, p99: number, p999: number, max: number}
---@field server? table

---Load a WebSocket server. Nothing else happens in the process until that is over.
---@param options moonwire.core.LoadOptions
---@return moonwire.core.LoadResult? result
---@return string? message
---@return "use"|"server"|nil code whose fault it is
function core.load(options) end

---@class moonwire.core.RequestOptions: moonwire.core.TargetOptions
---@field method? string "HEAD" has no body in its answer
---@field head string the whole head, with the empty line
---@field body? string

---Make an HTTP request. Waits for the head of the answer; interim (1xx) ones are skipped.
---@param options moonwire.core.RequestOptions
---@return moonwire.core.Response? response
---@return string? message
---@return string? code of `moonwire.fetch`
function core.request(options) end

---@class moonwire.core.Response
---@field status integer
---@field reason string
---@field minor integer of the HTTP version
---@field headers table<string, string> as `Exchange:head` gives them
local Response = {}

---A piece of the body. Waits.
---@return string? piece never ""; nil at the end
---@return string? message
---@return string? code
function Response:read() end

---Close the connection. Calling it twice is fine.
function Response:close() end

return core
