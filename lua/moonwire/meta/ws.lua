---@meta
-- ws.lua - declarations: one WebSocket, on the server or from `moonwire.connect`. Usable from anywhere: a timer, another
-- connection, an HTTP handler. When it is closed its fields stay readable, and its methods answer `nil, "closed", "closed"`
-- instead of raising.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.WebSocket
---@field id integer unique in the process
---@field data any yours to set; servers: what `upgrade` returned, or an empty table; clients: the option `data`
---@field params table<string, string> servers: parameters of the route's pattern, decoded
---@field request moonwire.Request servers: the request of the opening handshake, made when it is first asked for
---@field protocol? string the subprotocol both sides agreed on
---@field remote_address string of the other end, or "unix"
---@field response_headers table<string, string> clients: of the server's 101, by lower-case name
---@field buffered integer bytes that wait to be sent
---@field ready_state 0|1|2|3 `moonwire.CONNECTING`, `OPEN`, `CLOSING`, `CLOSED`; a client between two attempts is CLOSED
---@field ending? moonwire.Ending why its connection ended, in `close` and ever after; nil before that
local WebSocket = {}

---Queue one message (RFC 6455 §5.6). Order is kept; nothing is lost without being told. Raises when a text is not UTF-8 and for
---other wrong arguments.
---```lua
---local ok, message, code = ws:send(frame, "binary")
---if not ok and code == "full" then
---  lost = lost + 1                         -- policy "drop" or "latest"
---elseif message == "backpressure" then
---  producer:pause()                        -- `drain` tells when to go on
---end
---```
---@param data string
---@param kind? "text"|"binary" "text"
---@return true? ok
---With `true`: "backpressure" (more than `high_water` waits now), "queued" (a client with a `queue` keeps it until it is open)
---@return "backpressure"|"queued"|string|nil message
---@return "connecting"|"closing"|"closed"|"full"|nil code
function WebSocket:send(data, kind) end

---Queue a value as JSON text. Results as of `send`; raises for what JSON can't express.
---@param value any
---@return true? ok
---@return "backpressure"|string|nil message
---@return "connecting"|"closing"|"closed"|"full"|nil code
function WebSocket:send_json(value) end

---Send to all subscribers of a topic but this one. Servers only: raises on a client.
---@param topic string
---@param data string
---@param kind? "text"|"binary" "text"
---@return integer count how many it was sent to; also while this one is closing or closed
function WebSocket:publish(topic, data, kind) end

---Publish a value as JSON text to all subscribers of a topic but this one.
---@param topic string
---@param value any
---@return integer count
function WebSocket:publish_json(topic, value) end

---Get what is published under a topic; a topic exists as long as somebody subscribes to it. Servers only.
---@param topic string
---@return true? ok also when it was subscribed already
---@return string? message
---@return "closed"|nil code
function WebSocket:subscribe(topic) end

---Get it no more. Servers only. Closing unsubscribes from everything.
---@param topic string
---@return boolean subscribed whether it was
function WebSocket:unsubscribe(topic) end

---The topics it is subscribed to; still complete inside `close`.
---@return string[]
function WebSocket:topics() end

---Read the messages of a client in a loop; each step waits. Ends when the connection is closed and will not be opened again.
---While nobody asks for the next one, up to 256 are kept; then the server has to wait. Raises on a server's WebSocket, and on
---one that has a `message` handler.
---```lua
---for data, kind in ws:messages() do print(kind, data) end
---```
---@return fun(): string?, ("text"|"binary")?
function WebSocket:messages() end

---Start the close handshake (RFC 6455 §7). What was queued before still leaves; messages that come from now on are not
---delivered. `close` is called when the other side has answered, or after `close_timeout`. Ends a client's reconnecting.
---@param code? integer 1000 to 1003, 1007 to 1014, or 3000 to 4999; 1000
---@param reason? string at most 123 bytes of UTF-8
---@return true? ok
---@return string? message
---@return "closing"|"closed"|nil code
function WebSocket:close(code, reason) end

---End the connection now, without a handshake; `close` is called with 1006. Ends a client's reconnecting.
---@return true? ok
---@return string? message
---@return "closed"|nil code
function WebSocket:terminate() end

---Ask the other side for a sign of life (RFC 6455 §5.5.2). Happens by itself every `ping_interval`; the answer goes to `pong`.
---@param data? string at most 125 bytes
---@return true? ok
---@return string? message
---@return "connecting"|"closing"|"closed"|nil code
function WebSocket:ping(data) end

---Why a connection ended. Made anew whenever `ws.ending` is looked at. Times are seconds before the end.
---```lua
---close = function(ws, code, reason)
---  local ending = ws.ending
---  if ending.by == "us" then print(ending.rule, ending.text) end     --> pong_timeout  no answer to a ping in 8 s
---end
---```
---@class moonwire.Ending
---@field by "us"|"peer" who ended it; "us" is this program: its script, its limits, its time-outs
---@field rule string such as "pong_timeout"; the reference lists them
---@field text string one sentence for people
---@field began? string the rule for which it was being closed already, when it then ended for another one
---@field error? string the system's name of what broke the connection, such as "ECONNRESET"; "EPROTO" is TLS
---@field code integer as `close` gets it
---@field reason string likewise
---@field queued integer bytes that waited to be sent and never left
---@field received_ago number since bytes last came from the peer
---@field message_ago number since a message last came or went
---@field pinged_ago? number since moonwire last sent a ping by itself; nil: it never did

return WebSocket
