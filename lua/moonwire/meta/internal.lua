---@meta
-- internal.lua - declarations of what the modules below lua/moonwire offer one another. INTERNAL: scripts use
-- `require "moonwire"`; all this may change with every version. What each thing is for stands at its definition.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

-- ---- app, http, upgrade ----

---@class moonwire.app
local app_module = {}
---@param app_options? moonwire.AppOptions
---@return moonwire.App
function app_module.new(app_options) end

---@class moonwire.App
---@field private settings moonwire.AppOptions
---@field private router moonwire.Router
---@field private middleware {prefix: string[], fn: moonwire.Middleware}[]
---@field private mounts moonwire.static.Mount[]
---@field private listeners moonwire.Listener[]
---@field private hub moonwire.core.Hub
---@field private responses table<moonwire.Response, true>
---@field private idle_waiters table<thread, true>
---@field private closing boolean
---@field private on_response_done fun(response: moonwire.Response)
---@field private is_exit_watched? boolean
---@field private check_idle fun(self: moonwire.App)

---@class moonwire.failure
local failure = {}
---@param message any
---@return string
function failure.traceback(message) end
---@param hook? fun(text: string, context: moonwire.ErrorContext)
function failure.on_error(hook) end
---@param app? moonwire.App
---@param ws moonwire.WebSocket
---@param route string
---@param event? string
---@param text string
function failure.of_websocket(app, ws, route, event, text) end
---@param app moonwire.App
---@param req moonwire.Request
---@param kind "http"|"upgrade"
---@param route? string
---@param event? string
---@param text string
function failure.of_request(app, req, kind, route, event, text) end

---@class moonwire.http
local http = {}
---@param app moonwire.App
---@param exchange moonwire.core.Exchange
function http.serve(app, exchange) end

---@class moonwire.upgrade
local upgrade = {}
---@param app moonwire.App
---@param pattern string
---@param given moonwire.Behaviour
---@param level? integer
---@return table value
function upgrade.compile(app, pattern, given, level) end
---@param status integer
---@param text? string
---@param extra_headers? table<string, string>
---@return moonwire.Rejection
function upgrade.reject(status, text, extra_headers) end
---@param app moonwire.App
---@param exchange moonwire.core.Exchange
---@param target string as the client sent it
---@param from? string the Origin header
---@param host? string the Host header
---@return boolean served
function upgrade.serve_plain(app, exchange, target, from, host) end
---@param app moonwire.App
---@param exchange moonwire.core.Exchange
---@param req moonwire.Request
---@param res moonwire.Response
function upgrade.serve(app, exchange, req, res) end

---@class moonwire.origins
local origins = {}
---@param value any
---@return string?
function origins.fault(value) end
---@param allowed "same-host"|"*"|string[]
---@param header? string
---@param host_header? string
---@return boolean
function origins.is_allowed(allowed, header, host_header) end
---@return table told
function origins.account() end
---@param told table
---@param label string
---@param allowed "same-host"|"*"|string[]
---@param headers table<string, string>
function origins.tell_refused(told, label, allowed, headers) end

-- ---- request, response ----

---@class moonwire.request
local request_module = {}
---@param exchange moonwire.core.Exchange
---@param target {path: string, segments: string[], query: string}
---@return moonwire.Request
function request_module.new(exchange, target) end
---@param method string
---@param url_text string
---@param minor integer
---@param headers table<string, string>
---@param target {path: string, segments: string[], query: string}
---@param peer {address: string, port: integer, secure: boolean?, certificate: moonwire.ClientCertificate?}
---@return moonwire.Request
function request_module.make(method, url_text, minor, headers, target, peer) end

---@class moonwire.Request
---@field private segments string[]
---@field private query_string string
---@field private query_lists table<string, string[]>
---@field private http_minor integer

---@class moonwire.response
local response = {}
---@param exchange moonwire.core.Exchange
---@param request moonwire.Request
---@param on_done? fun(response: moonwire.Response)
---@return moonwire.Response
function response.new(exchange, request, on_done) end
---@param self moonwire.Response
function response.watch(self) end
---@param self moonwire.Response
function response.abandon(self) end
---@param self moonwire.Response
---@param status integer
---@param text? string
---@param extra_headers? table<string, string>
function response.answer(self, status, text, extra_headers) end

---@class moonwire.Response
---@field private exchange moonwire.core.Exchange
---@field private request moonwire.Request
---@field private on_done? fun(response: moonwire.Response)
---@field private finished boolean
---@field private deferred boolean
---@field private must_close boolean
---@field private keep_alive? boolean
---@field private framing? "length"|"chunked"|"close"|"none"
---@field private remaining? integer
---@field private watched? boolean
---@field private hooks? function[]
---@field private abort_handlers? function[]
---@field private missing_file? string

-- ---- client, fetch, ws, time ----

---@class moonwire.client
local client = {}
---@param address string|fun(): string?
---@param connect_options? moonwire.ConnectOptions
---@return moonwire.WebSocket? ws
---@return string? message
---@return string? code
function client.connect(address, connect_options) end

---@class moonwire.metrics
local metrics = {}
---@return string
function metrics.text() end
---@return integer status
---@return table body
function metrics.health() end
---@return integer status
---@return table body
function metrics.ready() end
---@param options {host: string?, port: integer?, path: string?}
---@return moonwire.Listener? listener
---@return string? message
---@return string? code
function metrics.listen(options) end
---@param text string
---@return {host: string?, port: integer?, path: string?}? options
function metrics.parse_address(text) end
---@param address string
function metrics.start(address) end

---@class moonwire.clock
local clock = {}
---@return number
function clock.now() end
---@param seconds number
---@param is_repeating boolean
---@param callback fun()
---@return fun() stop
function clock.start(seconds, is_repeating, callback) end
---@return number
function clock.random() end
---@param other? table
function clock.use(other) end

---@class moonwire.heartbeat
---@field OPTIONS table<string, fun(value: any): string?> the schema of moonwire.HeartbeatOptions
local heartbeat = {}
---@param rule moonwire.HeartbeatOptions
---@return string?
function heartbeat.fault(rule) end
---@param rule moonwire.HeartbeatOptions
---@param peer moonwire.heartbeat.Peer
---@return moonwire.heartbeat.Heartbeat
function heartbeat.new(rule, peer) end

---@class moonwire.inbox
local inbox = {}
---@param name string
---@return moonwire.inbox.Inbox
function inbox.new(name) end

---@class moonwire.outbox
---@field OPTIONS table<string, fun(value: any): string?> the schema of moonwire.QueueOptions
local outbox = {}
---@param rule true|moonwire.QueueOptions
---@return moonwire.outbox.Outbox
function outbox.new(rule) end

---@class moonwire.target
local target_module = {}
---@param settings moonwire.ConnectOptions
---@param address string
---@param level integer
---@return table
function target_module.of(settings, address, level) end

---@class moonwire.fetch
local fetch = {}
---@param address string
---@param fetch_options? moonwire.FetchOptions
---@return moonwire.FetchResponse? response
---@return string? message
---@return string? code
function fetch.fetch(address, fetch_options) end

---@class moonwire.ws
---@field SETTINGS table<string, fun(value: any): string?> the schema of moonwire.ConnectionSettings
---@field MAX_BACKPRESSURE integer what it is by default
local ws = {}
---@param value any
---@return string? wrong
function ws.protocol_name(value) end
---@param who string
---@param settings table
---@param level integer
function ws.normalise(who, settings, level) end

---@class moonwire.time
local time = {}
---@param seconds number
function time.sleep(seconds) end
---@param fn fun(...)
---@param ... any
function time.spawn(fn, ...) end
---@param seconds number
---@param fn fun()
---@return moonwire.Timer
function time.after(seconds, fn) end
---@param seconds number
---@param fn fun()
---@return moonwire.Timer
function time.every(seconds, fn) end

---@class moonwire.Timer
---@field private stop? fun()
---@field private busy? boolean

-- ---- router, static, fs ----

---@class moonwire.router
---@field WEBSOCKET string
---@field ANY string
local router = {}
---@return moonwire.Router
function router.new() end
---@param pattern string
---@param level? integer
---@return string[] names
function router.check_pattern(pattern, level) end
---@param pattern string
---@param path string[]
---@return table<string, string>
function router.params(pattern, path) end
---@param prefix string[]
---@param segments string[]
---@return boolean
function router.has_prefix(prefix, segments) end
---@param prefix string
---@param level? integer
---@return string[]
function router.parse_prefix(prefix, level) end

---@class moonwire.Router
---@field private root table
---@field private literals table<string, table<string, moonwire.Route>>
local Router = {}
---@param method string
---@param target string
---@return moonwire.Route?
function Router:literal(method, target) end
---@param method string
---@param pattern string
---@param value any
---@param level? integer
---@return moonwire.Route
function Router:add(method, pattern, value, level) end
---@param method string
---@param segments string[]
---@return moonwire.Route? route
---@return table<string, string>|string[] found
---@return boolean? websocket
function Router:find(method, segments) end

---@class moonwire.Route
---@field pattern string
---@field method string
---@field value any
---@field names string[]
---@field label string

---@class moonwire.static
---@field SHORTAGES table<string, true> codes of what may be there later
local static = {}
---@param stat table
---@return string etag
---@return integer modified
function static.validators(stat) end
---@param headers table<string, string>
---@param etag string
---@param modified integer
---@return 304|412|nil status
function static.evaluate_conditions(headers, etag, modified) end
---@param header? string
---@param size integer
---@return integer|false|nil first
---@return integer? last
function static.parse_range(header, size) end
---@param res moonwire.Response
---@param path string
---@param file_options? moonwire.FileOptions
---@return true? ok
---@return string? message
---@return string? code
function static.send_file(res, path, file_options) end
---@param prefix string
---@param directory string
---@param mount_options? moonwire.StaticOptions
---@param level? integer
---@return moonwire.static.Mount
function static.mount(prefix, directory, mount_options, level) end
---@param mount moonwire.static.Mount
---@param segments string[]
---@return string? path
---@return boolean? wants_directory
function static.local_path(mount, segments) end
---@param mount moonwire.static.Mount
---@param request moonwire.Request
---@param res moonwire.Response
---@return boolean found
function static.serve(mount, request, res) end

---@class moonwire.static.Mount
---@field prefix string[]
---@field root string
---@field index string|false
---@field max_age? number
---@field dotfiles? boolean

---Each function is luv's of the same name, waiting instead of taking a callback.
---@class moonwire.fs
local fs = {}
---@param path string
---@param flags integer|string
---@param mode? integer
---@return integer? fd
---@return string? message
---@return string? code
function fs.open(path, flags, mode) end
---@param fd integer
---@param size integer
---@param offset integer
---@return string? data
---@return string? message
---@return string? code
function fs.read(fd, size, offset) end
---@param fd integer
---@param data string
---@return true? ok
---@return string? message
---@return string? code
function fs.write(fd, data) end
---@param fd integer
function fs.close(fd) end
---@param fd integer
---@return table? stat
---@return string? message
---@return string? code
function fs.fstat(fd) end
---@param path string
---@return string? path
---@return string? message
---@return string? code
function fs.realpath(path) end
---@param path string
---@param new_path string
---@return true? ok
---@return string? message
---@return string? code
function fs.rename(path, new_path) end
---@param path string
---@return true? ok
---@return string? message
---@return string? code
function fs.unlink(path) end

-- ---- headers, http_status, options ----

---@class moonwire.headers
local headers_module = {}
---@param name any
---@param level? integer
function headers_module.check_name(name, level) end
---@param name string
---@param value any
---@param level? integer
---@return string
function headers_module.check_value(name, value, level) end
---@return table<string, string|string[]>
function headers_module.new() end
---@param given? table<string, string|number|(string|number)[]>
---@param level? integer
---@return table<string, string|string[]>
function headers_module.copy(given, level) end
---@param given table
---@return table<string, string|string[]>
function headers_module.adopt(given) end
---@param headers table
---@param lines string[]
function headers_module.append_lines(headers, lines) end

---A list: status -> reason phrase.
---@class moonwire.http_status

---@alias moonwire.Check fun(value: any): string? what is wrong with the value, or nothing

---@class moonwire.options
---@field boolean fun(value: any): string?
---@field func fun(value: any): string?
---@field text fun(value: any): string?
---@field table fun(value: any): string?
---@field string fun(value: any): string?
---@field off fun(value: any): string?
local options = {}
---@param least integer
---@param most? integer
---@return moonwire.Check
function options.integer(least, most) end
---@param least number
---@param most? number
---@return moonwire.Check
function options.seconds(least, most) end
---@param ... any
---@return moonwire.Check
function options.one_of(...) end
---@param expected string
---@param ... moonwire.Check
---@return moonwire.Check
function options.either(expected, ...) end
---@param item_check moonwire.Check
---@param least? integer
---@return moonwire.Check
function options.list_of(item_check, least) end
---@param schema table<string, moonwire.Check>
---@return moonwire.Check
function options.group(schema) end
---@param schema table<string, any>
---@param name string
---@return string?
function options.nearest(schema, name) end
---@param schema table<string, moonwire.Check>
---@param given table
---@return string? name
---@return string? wrong
function options.find_fault(schema, given) end
---@param who string
---@param schema table<string, moonwire.Check>
---@param given? table
---@param level? integer
---@return table copy
function options.check(who, schema, given, level) end
---@param accepts moonwire.Check
---@param value any
---@param position integer
---@param who string
---@param level? integer
function options.argument(accepts, value, position, who, level) end

-- ---- bench ----

---@class moonwire.bench
local bench = {}
---@param arguments string[]
---@return moonwire.core.LoadOptions? options
---@return string? message
function bench.parse(arguments) end
---@param result moonwire.core.LoadResult
---@return string text
function bench.format(result) end
---@param arguments string[]
---@return integer code
function bench.run(arguments) end

-- ---- repl ----

---@class moonwire.repl
local repl = {}
---@param source string
---@return function? chunk
---@return string? message
---@return boolean? incomplete
function repl.compile(source) end
---@param settings {write: fun(text: string), is_interactive: boolean?, on_end: fun()?}
---@return moonwire.Repl
function repl.new(settings) end
---@param settings? {on_end: fun()?, banner: string?}
---@return moonwire.Repl
function repl.run(settings) end

---@class moonwire.Repl
---@field buffer string
---@field source? string
---@field rest? integer
---@field lines string[]
---@field busy boolean
---@field ended boolean
---@field is_interactive boolean
---@field is_proceeding? boolean
---@field write fun(text: string)
---@field on_end? fun()
local Repl = {}
---@private
function Repl:prompt() end
---@private
---@param ... any
function Repl:show(...) end
---@private
---@param chunk function
function Repl:run(chunk) end
---@private
---@param line string
function Repl:take_line(line) end
---@private
function Repl:proceed() end
---@param data string
function Repl:feed(data) end
function Repl:finish() end
