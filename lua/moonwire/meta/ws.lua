---@meta
-- ws.lua - declarations: one WebSocket, on the server or from `moonwire.connect`. Usable from anywhere: a timer, another
-- connection, an HTTP handler. After close everything answers `nil, "closed", "closed"` and nothing raises.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.WebSocket
---@field id integer unique in the process
---@field data any yours; on a server what `upgrade` returned, or an empty table
---@field params table<string, string> of the route's pattern, decoded
---@field request moonwire.Request the opening handshake (servers)
---@field protocol? string the subprotocol both sides agreed on
---@field remote_address string of the other side, or "unix"
---@field response_headers table<string, string> of the server's answer (clients)
---@field buffered integer bytes that wait to be sent
---@field ready_state 0|1|2|3 `moonwire.CONNECTING`, `OPEN`, `CLOSING`, `CLOSED`
local WebSocket = {}

---Queue one message. Order is kept. Raises when text is not UTF-8.
---```lua
---local ok, message, code = ws:send(frame, "binary")
---if message == "backpressure" then pause_producer() end   -- `drain` tells when to go on
---if code == "full" then count_lost() end                  -- policy "drop"
---```
---@param data string
---@param kind? "text"|"binary"
---@return true? ok
---@return "backpressure"|string|nil message
---@return "connecting"|"closing"|"closed"|"full"|nil code
function WebSocket:send(data, kind) end

---Queue a value as JSON text. Results as of `send`.
---@param value any
---@return true? ok
---@return "backpressure"|string|nil message
---@return string? code
function WebSocket:send_json(value) end

---Send to all subscribers of a topic but this one.
---@param topic string
---@param data string
---@param kind? "text"|"binary"
---@return integer count how many it was sent to
function WebSocket:publish(topic, data, kind) end

---Publish a value as JSON text to all subscribers of a topic but this one.
---@param topic string
---@param value any
---@return integer count
function WebSocket:publish_json(topic, value) end

---Get what is published under a topic. Servers only.
---@param topic string
---@return true? ok
---@return string? message
---@return string? code
function WebSocket:subscribe(topic) end

---@param topic string
---@return boolean subscribed whether it was
function WebSocket:unsubscribe(topic) end

---The topics it is subscribed to; still complete inside `close`.
---@return string[]
function WebSocket:topics() end

---Read the messages of a client in a loop; ends when the connection is closed for good. Clients without a `message` handler.
---```lua
---for data, kind in ws:messages() do print(data) end
---```
---@return fun(): string?, ("text"|"binary")?
function WebSocket:messages() end

---Start the close handshake. What was queued before still leaves.
---@param code? integer 1000, 1001, 1003, 1007 to 1014, or 3000 to 4999; 1000
---@param reason? string at most 123 bytes of UTF-8
---@return true? ok
---@return string? message
---@return string? code
function WebSocket:close(code, reason) end

---End the connection now, without a handshake; `close` is called with 1006.
---@return true? ok
---@return string? message
---@return string? code
function WebSocket:terminate() end

---Ask the other side for a sign of life. (Happens by itself every `ping_interval`.)
---@param data? string at most 125 bytes
---@return true? ok
---@return string? message
---@return string? code
function WebSocket:ping(data) end

return WebSocket
