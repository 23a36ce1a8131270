-- server.lua - a chat: rooms, names, who is here, and what was said last.
--
--   moonwire examples/chat/server.lua [port] [host]
--
-- The page in public/ and this script send each other JSON objects:
--   page    { type = "join", name }    { type = "say", text }
--   server  { type = "said", id, at, name, text }    a message; newcomers are told the last ones first
--           { type = "here", people }                who is in the room now, one name for each window
--           { type = "error", message }              only to the window whose message was wrong
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local json = moonwire.json

local MAX_NAME, MAX_TEXT, MAX_HISTORY, MAX_ROOMS = 24, 1000, 100, 1000

local app = moonwire.app()
local rooms, room_count = {}, 0

-- What somebody typed, without the space around it; nil unless it has 1 to `most` characters.
local function typed(value, most)
  local length = type(value) == "string" and utf8.len(value)
  return length and length <= most and value:match("^%s*(.*%S)") or nil
end

-- The room of that name. It stays as long as the server runs, for the sake of its history.
local function find_room(name)
  if not rooms[name] and room_count < MAX_ROOMS and typed(name, MAX_NAME) == name then
    room_count = room_count + 1
    rooms[name] = { name = name, people = {}, history = {}, said = 0 }
  end
  return rooms[name]
end

local function tell_people(room)
  local names = {}
  for _, name in pairs(room.people) do
    table.insert(names, name)
  end
  table.sort(names)
  app:publish_json(room.name, { type = "here", people = names })
end

-- What a window may ask for. Each returns what was wrong, if anything was.
local handle = {}

function handle.join(ws, message)
  local room, name = ws.data, typed(message.name, MAX_NAME)
  if not name or room.people[ws] then
    return ("join once, with a name of 1 to %d characters"):format(MAX_NAME)
  end
  room.people[ws] = name
  for _, said in ipairs(room.history) do
    ws:send(said)
  end
  ws:subscribe(room.name)
  tell_people(room)
end

function handle.say(ws, message)
  local room, text = ws.data, typed(message.text, MAX_TEXT)
  if not text or not room.people[ws] then
    return ("join first, then say something of 1 to %d characters"):format(MAX_TEXT)
  end
  room.said = room.said + 1
  local said = { type = "said", id = room.said, at = os.time(), name = room.people[ws], text = text }
  table.insert(room.history, json.encode(said))
  if #room.history > MAX_HISTORY then
    table.remove(room.history, 1)
  end
  app:publish(room.name, room.history[#room.history])
end

function handle.anything_else()
  return "send a JSON object of the type join or say"
end

app:ws("/chat/:room", {
  max_payload = 16 * 1024,

  upgrade = function(req)
    return find_room(req.params.room) or moonwire.reject(404, "there is no such room")
  end,

  message = function(ws, data)
    local message = json.decode(data)
    local act = type(message) == "table" and handle[message.type] or handle.anything_else
    local problem = act(ws, message)
    if problem then
      ws:send_json { type = "error", message = problem }
    end
  end,

  close = function(ws)
    ws.data.people[ws] = nil
    tell_people(ws.data)
  end,
})

app:static("/", (arg[0]:match("^(.*)/") or ".") .. "/public")

local listener = assert(app:listen { host = arg[2] or "127.0.0.1", port = tonumber(arg[1] or 8080) })
local address = listener:address()
print(("The chat is at http://%s:%d/"):format(address.host, address.port))
