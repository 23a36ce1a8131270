-- server.lua - customer service: customers and agents in a chat that loses nothing, and knows who has read what.
--
--   moonwire examples/chat/server.lua [port] [host] [database] [seconds a client has to show its token]
--
-- POST /login takes { name, role = "customer" | "agent" } and answers { token }. The token comes in one of these ways;
-- a bad one is refused with 401 and the reason, before the WebSocket opens:
--   ws://…/?Authorization=Bearer%20<token>      ws://…/webSocketServer?token=<token>      ws://…/api/litchi/<token>
--   new WebSocket("ws://…/", ["Bearer" + token])
-- or, on ws://…/ws, as the first message. The page in public/ does that: it keeps the token out of everybody's logs, and
-- a page that is refused learns why (browsers hide the 401).
--
-- A customer has one room, named after them. Agents are in all rooms, and name the `room` in all that they send.
--   client  { type = "auth", data = token }
--           { content, id }               a message. The id, optional, is the client's own: it may send the same again
--           { typing = true | false }     { read = seq }: everything up to there
--           { history = { before = seq } } the messages before that one, or the last ones
--           { list = true }               agents: all rooms, with the latest message and how many are unread
--           { heart = true }              answered with the same
--   server  { type = "auth", data = "auth ok" }, or { type = "noAuth" } and the connection closes
--           { content, room, seq, from, role, at }          a message of somebody else; seq counts in its room
--           { type = "ack", id, room, seq, at }             to its sender, when the message is on the disk
--           { type = "error", message, id }                 only to the client whose message was wrong
--           { type = "history", room, before, messages, more, read = { customer, agent } }
--           { type = "list", rooms }
--         and, to those who have asked for the history or the list:
--           { type = "typing", room, from, role, typing }   { type = "read", room, role, seq, unread }
--           { type = "here", room, online }: the customer   { type = "agents", online }: how many
-- SPDX-License-Identifier: MIT

local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. here .. "/../common/?.lua;" .. package.path

local chat = require "desk"
local moonwire = require "moonwire"
local token = require "token"

local TOKEN_SECONDS = 12 * 3600

local app = moonwire.app()
local signer = token.signer(here)
local history = require("history").open(arg[3] or (os.getenv "STATE_DIRECTORY" or here) .. "/chat.db")
local desk = chat.new(app, history, signer, assert(tonumber(arg[4] or 10), "the seconds must be a number"))

-- How a route behaves that is open to whoever passes `upgrade`.
local function route(upgrade)
  return {
    upgrade = upgrade,
    origins = "*", -- browsers don't send a token by themselves, as they do a cookie: pages elsewhere can't borrow it
    max_payload = 64 * 1024,
    slow = "close", -- a chat must not leave out messages: who can't keep up comes back, and finds them in the history

    open = function(ws)
      desk:open(ws)
    end,
    message = function(ws, text)
      desk:message(ws, text)
    end,
    close = function(ws)
      desk:close(ws)
    end,
  }
end

local with_token = route(function(req)
  local text, protocol = token.of(req)
  local member, problem = desk:check(text)
  if not member then
    return moonwire.reject(401, problem .. "\n")
  end
  return member, protocol
end)
app:ws("/", with_token)
app:ws("/webSocketServer", with_token)
app:ws("/api/litchi/*token", with_token)
app:ws("/ws", route(function()
  return {} -- nobody yet: the token is the first message
end))

-- For the demonstration anybody is who they say. A real one asks for a password here, and slows down who guesses.
app:post("/login", function(req, res)
  local message = req:json()
  local asked = type(message) == "table" and message or {}
  local member, problem = chat.member(asked.name, asked.role)
  if not member then
    res.status = 400
    return res:json { message = problem }
  end
  res:json { token = signer:sign({ sub = member.name, role = member.role }, TOKEN_SECONDS) }
end)

app:static("/common", here .. "/../common")
app:static("/", here .. "/public")

local listener = assert(app:listen { host = arg[2] or "127.0.0.1", port = arg[1] or 8080 })
local address = listener:address()
print(("The chat is at http://%s:%d/"):format(address.host, address.port))
