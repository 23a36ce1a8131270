-- desk.lua - what customers and agents say to the chat, and whom it tells. The messages are listed in server.lua.
-- Owns nothing but the timers of those who have not shown a token yet; calls the history.
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local json = moonwire.json

local M = {}

local MAX_NAME, MAX_ID, MAX_TEXT = 24, 64, 4000 -- characters
local BYTES_PER_SECOND = 512 * 1024 -- of one client, for the sake of those who have to read it
local PROBLEM = "send a JSON object with one of: content, typing, read, history, list, heart"

---@class chat.Desk
local Desk = {}
Desk.__index = Desk

---@param app moonwire.App
---@param history chat.History
---@param signer token.Signer
---@param patience number seconds a client has to show its token
---@return chat.Desk
function M.new(app, history, signer, patience)
  return setmetatable({ app = app, history = history, signer = signer, patience = patience }, Desk)
end

-- Returns the text if it has 1 to `most` characters, one of them no space.
local function typed(text, most)
  local length = type(text) == "string" and utf8.len(text)
  return length and length <= most and text:find "%S" and text or nil
end

---Who may come in by that name and role; or nil and what is wrong.
---@return {name: string, role: string, room: string?}|nil
---@return string|nil problem
function M.member(name, role)
  if not typed(name, MAX_NAME) or role ~= "customer" and role ~= "agent" then
    return nil, ("say a name of 1 to %d characters, and whether you are a customer or an agent"):format(MAX_NAME)
  end
  name = name:match "^%s*(.*%S)"
  return { name = name, role = role, room = role == "customer" and name or nil } -- a customer's room has their name
end

---Whose token it is; or nil and what is wrong with it.
---@param token string|nil
function Desk:check(token)
  local claims, problem = self.signer:verify(token)
  if not claims then
    return nil, problem
  end
  local member, fault = M.member(claims.sub, claims.role)
  if member then
    member.until_time = claims.exp
  end
  return member, fault
end

-- Everybody gets what is said in their rooms; news about it only who asked for the history or the list once, because
-- simple clients show whatever comes. Agents have one topic for all rooms: few of them serve many customers.
local function topic_of(kind, room)
  return room and kind .. " customer " .. room or kind .. " agents"
end

-- Tell both sides of a room, but not the window it comes from.
local function tell(self, kind, room, value, ws)
  local text = json.encode(value)
  for _, topic in ipairs { topic_of(kind, room), topic_of(kind) } do
    local _ = ws and ws:publish(topic, text) or self.app:publish(topic, text) -- it may have closed meanwhile
  end
end

-- Somebody came (`first` is then 1) or left (0). A customer is online while one of their windows is.
local function tell_presence(self, who, first)
  local online = self.app:subscribers(topic_of("said", who.room))
  if not who.room then
    self.app:publish_json("news customers", { type = "agents", online = online })
  elseif online == first then
    self.app:publish_json(topic_of "news", { type = "here", room = who.room, online = online > 0 })
  end
end

-- What a client may ask for. Each returns what was wrong, if anything was.
local handle = {}

function handle.heart(_, ws)
  ws:send '{"heart":true}'
end

function handle.content(self, ws, message, room)
  local who, id = ws.data, message.id
  if not typed(message.content, MAX_TEXT) then
    return ("a message has 1 to %d characters"):format(MAX_TEXT)
  elseif id and not typed(id, MAX_ID) then
    return ("an id is a string of 1 to %d characters"):format(MAX_ID)
  end
  local said = { room = room, role = who.role, sender = who.name, id = id, content = message.content, at = os.time() }
  local stored, problem = self.history:add(said)
  if not stored then
    return problem
  end
  if id then
    ws:send_json { type = "ack", id = id, room = room, seq = stored.seq, at = stored.at }
  end
  if not stored.repeated then
    tell(self, "said", room, {
      content = said.content, room = room, seq = stored.seq, from = who.name, role = who.role, at = stored.at,
    }, ws)
  end
end

function handle.typing(self, ws, message, room)
  local who = ws.data
  if type(message.typing) ~= "boolean" then
    return "typing is true or false"
  end
  local news = { type = "typing", room = room, from = who.name, role = who.role, typing = message.typing }
  tell(self, "news", room, news, ws)
end

function handle.read(self, ws, message, room)
  local role, seq = ws.data.role, message.read
  if math.type(seq) ~= "integer" or seq < 0 then
    return "read is the seq of a message"
  end
  local mark, problem = self.history:read(room, role, seq)
  if not mark then
    return problem
  end
  tell(self, "news", room, { type = "read", room = room, role = role, seq = mark.seq, unread = mark.unread })
end

function handle.history(self, ws, message, room)
  local before = type(message.history) == "table" and message.history.before
  if before and math.type(before) ~= "integer" then
    return "history is an object; before in it is the seq of a message"
  end
  local page = self.history:page(room, before or nil)
  page.type, page.room, page.before = "history", room, before or nil
  ws:send_json(page)
  ws:subscribe(topic_of("news", ws.data.room))
  if ws.data.room and not before then
    ws:subscribe "news customers"
    ws:send_json { type = "agents", online = self.app:subscribers(topic_of "said") }
  end
end

function handle.list(self, ws)
  if ws.data.role ~= "agent" then
    return "the list is for agents"
  end
  local rooms = self.history:list()
  for _, room in ipairs(rooms) do
    room.online = self.app:subscribers(topic_of("said", room.room)) > 0
  end
  ws:send_json { type = "list", rooms = rooms }
  ws:subscribe(topic_of "news")
end

local ACTIONS = { "heart", "content", "typing", "read", "history", "list" }

local function act(self, ws, message, bytes)
  moonwire.sleep(bytes / BYTES_PER_SECOND) -- at least a millisecond; who sends too much waits, and nobody else
  for _, action in ipairs(ACTIONS) do
    if message[action] ~= nil then
      local room = ws.data.room or typed(message.room, MAX_NAME)
      if not room and action ~= "heart" and action ~= "list" then
        return "name the room"
      end
      return handle[action](self, ws, message, room)
    end
  end
  return PROBLEM
end

local function send_away(ws, problem)
  ws:send '{"type":"noAuth"}'
  ws:close(1008, problem)
end

---A connection is open, with a member as its data, or with an empty table: then the token has to be its first message.
---@param ws moonwire.WebSocket
function Desk:open(ws)
  local who = ws.data
  if who.name then
    ws:subscribe(topic_of("said", who.room))
    tell_presence(self, who, 1)
  else
    who.patience = moonwire.after(self.patience, function()
      send_away(ws, "no token came in time")
    end)
  end
end

-- The token as a message. Who it names stays the same as long as the connection lasts.
local function authenticate(self, ws, token)
  local known, member, problem = ws.data, self:check(token)
  if member and known.name and (member.name ~= known.name or member.role ~= known.role) then
    problem = "this is somebody else's token"
  end
  if problem then
    return send_away(ws, problem)
  end
  ws:send '{"type":"auth","data":"auth ok"}'
  if known.name then
    known.until_time = member.until_time
  else
    self:close(ws)
    ws.data = member
    self:open(ws)
  end
end

---@param ws moonwire.WebSocket
---@param text string
function Desk:message(ws, text)
  local message, who = json.decode(text), ws.data
  local is_object = type(message) == "table"
  if is_object and message.type == "auth" then
    return authenticate(self, ws, message.data)
  elseif not who.name then
    return send_away(ws, "the first message is the token")
  elseif os.time() >= who.until_time then
    return send_away(ws, "the token has expired; log in again")
  end
  local problem = is_object and act(self, ws, message, #text) or not is_object and PROBLEM
  if problem then
    ws:send_json { type = "error", message = problem, id = is_object and typed(message.id, MAX_ID) or nil }
  end
end

---@param ws moonwire.WebSocket
function Desk:close(ws)
  local who = ws.data
  if who.patience then
    who.patience:cancel()
  elseif who.name then
    ws:unsubscribe(topic_of("said", who.room))
    tell_presence(self, who, 0)
  end
end

return M
