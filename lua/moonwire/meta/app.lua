---@meta
-- app.lua - declarations: what `moonwire.app()` returns. Durations are seconds, sizes bytes.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---Limits of the HTTP side, for all ports of an app or for one `listen`.
---@class moonwire.Limits
---@field max_head_bytes? integer of a request's head, 256 to 1 MiB; 16384. Past it: 431
---@field max_request_line? integer bytes of method, target and version, 256 to 1 MiB; 8192. Past it: 414
---@field max_headers? integer at most 256; 100. Past it: 431
---@field head_timeout? number until a request's head, or a TLS handshake, is complete; 10. Past it: 408, or dropped
---@field body_timeout? number until a request's body is complete; 30. Past it: 408, unless it came at `min_body_rate`
---@field min_body_rate? integer bytes per second, on average, that keep a body alive past `body_timeout`; 1024
---@field keep_alive_timeout? number between two requests of a connection; 5. Past it: closed
---@field write_timeout? number a client may take nothing of an answer; 10. Past it: dropped
---@field max_connections? integer of the process; 10000, 0 for no limit. Past it: 503
---@field max_per_address? integer 256, 0 for no limit; clients on this machine count only if it is given. Past it: closed
---@field max_connects_per_address? integer within a second; 256, 0 for no limit. As `max_per_address`, and off with it

---@class moonwire.AppOptions: moonwire.Limits
---@field max_body? integer of a request's body; 1048576. Past it: 413, before the handler runs
---@field error? fun(text: string, context: moonwire.ErrorContext) hears of handlers that failed, unless their route has its own

---@class moonwire.RouteOptions
---@field max_body? integer instead of the app's

---@alias moonwire.Handler fun(req: moonwire.Request, res: moonwire.Response)
---@alias moonwire.Middleware fun(req: moonwire.Request, res: moonwire.Response, next: fun())

---Patterns of routes: "/fixed", "/chat/:room" (one segment, not empty), "/files/*path" (the rest, may be empty). A fixed
---segment wins over a parameter, a parameter over a wildcard. Parameters are percent-decoded. A slash at the end counts.
---All methods that add something raise for wrong arguments and return the app, so that they can be chained.
---@class moonwire.App
local App = {}

---Answer GET requests, and HEAD requests with the same head and no body. The request's body has been read when the handler
---runs. The response ends when the handler returns, unless it called `res:defer()`. An error in it is a 500 and a log line.
---```lua
---app:get("/api/:name", function(req, res)
---  res:json { name = req.params.name }
---end)
---```
---@param pattern string
---@param options moonwire.RouteOptions|moonwire.Handler may be left out
---@param handler? moonwire.Handler
---@return moonwire.App
function App:get(pattern, options, handler) end

---Answer POST requests.
---```lua
---app:post("/upload", { max_body = 64 << 20 }, function(req, res)
---  res:json { size = #req.body }
---end)
---```
---@param pattern string
---@param options moonwire.RouteOptions|moonwire.Handler may be left out
---@param handler? moonwire.Handler
---@return moonwire.App
function App:post(pattern, options, handler) end

---Answer PUT requests.
---@param pattern string
---@param options moonwire.RouteOptions|moonwire.Handler may be left out
---@param handler? moonwire.Handler
---@return moonwire.App
function App:put(pattern, options, handler) end

---Answer PATCH requests.
---@param pattern string
---@param options moonwire.RouteOptions|moonwire.Handler may be left out
---@param handler? moonwire.Handler
---@return moonwire.App
function App:patch(pattern, options, handler) end

---Answer DELETE requests.
---@param pattern string
---@param options moonwire.RouteOptions|moonwire.Handler may be left out
---@param handler? moonwire.Handler
---@return moonwire.App
function App:delete(pattern, options, handler) end

---Answer OPTIONS requests. Without such a route they are answered with 204 and what the path allows.
---@param pattern string
---@param options moonwire.RouteOptions|moonwire.Handler may be left out
---@param handler? moonwire.Handler
---@return moonwire.App
function App:options(pattern, options, handler) end

---Answer HEAD requests otherwise than by GET's handler.
---@param pattern string
---@param options moonwire.RouteOptions|moonwire.Handler may be left out
---@param handler? moonwire.Handler
---@return moonwire.App
function App:head(pattern, options, handler) end

---Answer every method that has no route of its own at this path.
---@param pattern string
---@param options moonwire.RouteOptions|moonwire.Handler may be left out
---@param handler? moonwire.Handler
---@return moonwire.App
function App:any(pattern, options, handler) end

---permessage-deflate (RFC 7692). Without context takeover, as by default, a connection keeps no memory for it, and a
---publication is compressed once for all of its receivers.
---@class moonwire.CompressOptions
---@field level? integer zlib's, 1 to 9; 3
---@field memory? integer zlib's memLevel, 1 to 9; 8
---@field min_bytes? integer shorter messages go as they are; 256
---@field server_no_context_takeover? boolean the server forgets after each message (§7.1.1.1); true
---@field client_no_context_takeover? boolean the client does (§7.1.1.2); true
---@field server_max_window_bits? integer 9 to 15 (§7.1.2.1); 15
---@field client_max_window_bits? integer 9 to 15 (§7.1.2.2); 15

---Decides about a client before the 101: returns `ws.data` (or nothing) to accept it, `moonwire.reject(…)` to refuse it. May
---return the subprotocol, one of `req.protocols`, and further headers of the 101 as well. May wait. An error in it is a 500.
---@alias moonwire.Upgrade fun(req: moonwire.Request): (table|moonwire.Rejection|nil), string?, table<string, string>?

---Limits and time-outs of one connection, on servers and clients. `false` switches a duration off.
---@class moonwire.ConnectionSettings
---@field max_payload? integer of a message, also after inflating; 1048576. Past it: 1009, on the announced length
---@field max_fragments? integer of a message (RFC 6455 §5.4); 16384. Past it: 1008
---@field max_control_per_second? integer pings and pongs received; 100. Past it: 1008
---@field max_backpressure? integer bytes that wait to be sent; 1048576. Past it: what `slow` says, 1008 on clients
---@field high_water? integer bytes from which `send` says "backpressure"; a quarter of `max_backpressure`
---@field idle_timeout? number|false without a message either way; false. Past it: closed with 1001
---@field ping_interval? number|false without a byte from the other side, until it is pinged; 25
---@field pong_timeout? number until something comes back; 8. Past it: dropped, 1006
---@field close_timeout? number until the other side answers a Close frame; 2. Past it: dropped, 1006
---@field write_timeout? number the other side may take nothing of what waits; 10. Past it: dropped, 1006
---@field compress? boolean|moonwire.CompressOptions permessage-deflate, where the other side wants it, too; false

---What a WebSocket route does. Every function may wait. `open`, `message` and `close` of one connection never overlap: the
---next one runs when the one before has returned. An error in one closes that connection with 1011.
---@class moonwire.Behaviour: moonwire.ConnectionSettings
---@field protocols? string[] subprotocols it speaks (RFC 6455 §1.9); the first on the client's list is answered; none
---@field origins? "same-host"|"*"|string[] pages that may connect (RFC 6455 §10.2); "same-host". Others: 403
---@field upgrade? moonwire.Upgrade everybody is accepted without it
---@field open? fun(ws: moonwire.WebSocket)
---@field message? fun(ws: moonwire.WebSocket, data: string, kind: "text"|"binary") text is valid UTF-8
---@field drain? fun(ws: moonwire.WebSocket) there is room again after "backpressure"
---@field dropped? fun(ws: moonwire.WebSocket, data: string) a publication that did not fit (policy "drop")
---@field pong? fun(ws: moonwire.WebSocket, data: string) the answer to a ping
---@field close? fun(ws: moonwire.WebSocket, code: integer, reason: string) exactly once, last; `ws:topics()` is still there
---@field error? fun(ws: moonwire.WebSocket, traceback: string, event: string) the handler of `event` failed; it has been logged
---@field slow? "close"|"drop"|"latest" past `max_backpressure`: 1008 (default), drop what comes, or keep the newest per topic

---Add a WebSocket route. Middleware does not run for it: `upgrade` decides who may connect. Requests that are no opening
---handshake (RFC 6455 §4.2.1) get a 400, 405 or 426; an HTTP route may stand at the same path.
---```lua
---app:ws("/chat/:room", {
---  upgrade = function(req) return { user = req.query.user } end,
---  open = function(ws) ws:subscribe(ws.params.room) end,
---  message = function(ws, data) ws:publish(ws.params.room, data) end,
---})
---```
---@param pattern string
---@param behaviour moonwire.Behaviour
---@return moonwire.App
function App:ws(pattern, behaviour) end

---Add middleware. It runs in order, before the routes, for every request whose path is `path` or below it (also for those
---that end in 404). It may wait, answer itself, or call `next()`, which returns when the rest is done.
---```lua
---app:use(function(req, res, next)
---  res.headers["Access-Control-Allow-Origin"] = "*"
---  next()
---end)
---```
---@param path string|moonwire.Middleware "/" when left out
---@param fn? moonwire.Middleware
---@return moonwire.App
function App:use(path, fn) end

---@class moonwire.StaticOptions
---@field index? string|false file shown for a directory; "index.html"
---@field max_age? number how long clients may keep a file without asking, at most a year; they always ask by default
---@field dotfiles? boolean serve names that begin with "."; false

---Serve the files of a directory where no route answers: ETag, Last-Modified, ranges; never anything outside of it, not
---even through symbolic links. Raises when there is no such directory.
---@param prefix string
---@param directory string
---@param options? moonwire.StaticOptions
---@return moonwire.App
function App:static(prefix, directory, options) end

---@class moonwire.PairOptions
---@field cert? string a PEM file: the certificate and those that lead to its authority; has to be given
---@field key? string a PEM file: its private key; has to be given

---@class moonwire.ListenTlsOptions: moonwire.PairOptions
---@field also? moonwire.PairOptions[] further pairs, for clients that name a host of theirs (SNI)
---@field min_version? "1.2"|"1.3" of TLS; "1.2"
---@field reload? number|false how often the files are looked at; 5. What has changed is used for new connections
---@field client_ca? string a PEM file: the authorities that sign certificates of clients
---@field client_certificates? "required"|"optional" "required" with `client_ca`

---@class moonwire.ListenOptions: moonwire.Limits
---@field host? string address to listen on; every address when left out
---@field port? integer|string 0 takes any free one; a string of digits, as from `arg`, will do
---@field path? string a Unix socket, instead of host and port
---@field inherited? string the socket that systemd opened under this name (`FileDescriptorName=`); needs no address
---@field backlog? integer connections the kernel keeps until they are accepted; 1024
---@field reserved_descriptors? integer kept for files and clients; 64. Past it: no accepting for 100 ms, and a log line
---@field tls? moonwire.ListenTlsOptions TLS 1.2 or newer, ALPN http/1.1

---@class moonwire.Listener
local Listener = {}

---Where it listens.
---@return {host: string, port: integer}|{path: string}|nil address nil when closed
---@return string? message
---@return "closed"|nil code
function Listener:address() end

---Take no more connections. Idle ones are closed; running requests finish.
function Listener:close() end

---Read certificates and keys again, as SIGHUP does. New connections get them; those that are open stay as they are. What is
---wrong is left as it was.
---@return true? ok
---@return string? message what is wrong, with the file's name
---@return "tls"|"closed"|nil code
function Listener:reload_tls() end

---Open a port or a Unix socket. An app may have several. A socket that was inherited (LISTEN_FDS, as by systemd's socket
---activation) and is bound to the same address is taken instead: the same script runs with and without.
---```lua
---local listener = assert(app:listen { port = 8443, tls = { cert = "cert.pem", key = "key.pem" } })
---print(listener:address().port)
---```
---@param options moonwire.ListenOptions
---@return moonwire.Listener? listener
---@return string? message
---@return string? code "in_use", "denied", "tls", "inherited" (nothing of that name), "listen"
function App:listen(options) end

---Send to all subscribers of a topic.
---@param topic string
---@param data string text in UTF-8, unless `kind` says otherwise
---@param kind? "text"|"binary"
---@return integer count how many it was sent to
function App:publish(topic, data, kind) end

---Send a value as JSON text to all subscribers of a topic.
---@param topic string
---@param value any
---@return integer count
function App:publish_json(topic, value) end

---How many connections are subscribed to a topic.
---@param topic string
---@return integer
function App:subscribers(topic) end

---How many WebSockets are open.
---@return integer
function App:count() end

---@class moonwire.CloseOptions
---@field code? integer a close code; 1001
---@field reason? string at most 123 bytes of UTF-8; ""
---@field timeout? number until everything still open is cut off; 30

---Stop listening, close every WebSocket, end event streams and let running requests finish. Waits until all is done (where
---nothing can wait it returns at once); what takes longer than `timeout` is cut off. Happens by itself on SIGINT and SIGTERM.
---A handler that waits for this waits for itself: use `moonwire.spawn` there.
---@param options? moonwire.CloseOptions
---@return true? ok
---@return string? message
---@return string? code "timeout"
function App:close(options) end

return App
