-- server.lua - a shop whose pages hold their one socket in a store: what somebody buys, every window sees.
--
--   moonwire examples/store-socket/server.lua [port] [host] [seconds between two beats]
--
-- Messages are JSON objects of a type, with data:
--   page    {"type":"auth","data":"<token>"}   first of all; answered with {"type":"auth","data":"auth ok"}, or with
--                                              {"type":"noAuth"} and a close, as is who says nothing for ten seconds
--           {"type":"heartCheck"}              the answer to ours
--           {"type":"buy","data":"map"}
--   server  {"type":"heartCheck"}              every 20 seconds; who leaves two of them unanswered is closed
--           {"type":"stock","data":{…}} {"type":"basket","data":{…}} {"type":"online","data":n}   the present, as a whole
--           {"type":"error","data":"…"}        what was wrong with a message
--   POST /login {"name":"…"} → {"token":"…"}
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local json = moonwire.json

local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/../common/?.lua;" .. package.path
local token = require "token"

local AUTH_OK = '{"type":"auth","data":"auth ok"}'
local HEART_CHECK = '{"type":"heartCheck"}'
local BEAT_SECONDS = assert(tonumber(arg[3] or 20), "the seconds between two beats must be a number")
local AUTH_SECONDS, TOKEN_SECONDS, RESTOCK_SECONDS = 10, 24 * 3600, 15
local MISSED_MAX, MAX_NAME, MAX_PEOPLE = 2, 40, 10000
local FULL = { map = 12, lamp = 8, eyepiece = 3 }

local app = moonwire.app()
local signer = token.signer(here)
local stock = { map = FULL.map, lamp = FULL.lamp, eyepiece = FULL.eyepiece }
local windows, online = {}, 0 -- those who are known, as a set
local baskets, people = {}, 0 -- by name

local function tell(ws, kind, data)
  ws:send_json { type = kind, data = data }
end

local function tell_all(kind, data)
  app:publish_json("all", { type = kind, data = data })
end

local function refuse(ws)
  ws:send_json { type = "noAuth" }
  ws:close(1008, "not authenticated")
end

-- What a window may send once it is known. Each returns what was wrong, if anything was.
local handle = {}

function handle.heartCheck(ws)
  windows[ws] = 0
end

function handle.buy(ws, article)
  if not stock[article] then
    return "there is no such article"
  elseif stock[article] == 0 then
    return "sold out; there will be more soon"
  end
  stock[article] = stock[article] - 1
  local basket = baskets[ws.data.name]
  basket[article] = (basket[article] or 0) + 1
  app:publish_json("of " .. ws.data.name, { type = "basket", data = basket })
  tell_all("stock", stock)
  if stock[article] == 0 then
    moonwire.after(RESTOCK_SECONDS, function()
      stock[article] = FULL[article]
      tell_all("stock", stock)
    end)
  end
end

function handle.anything_else()
  return "send a JSON object of the type auth, heartCheck or buy"
end

-- The first message. From here on the window belongs to somebody, and is told everything.
local function authenticate(ws, message)
  local claims = signer:verify(message.type == "auth" and message.data)
  local name = claims and claims.sub
  if type(name) ~= "string" or not baskets[name] and people >= MAX_PEOPLE then
    return refuse(ws)
  end
  if not baskets[name] then
    baskets[name], people = {}, people + 1
  end
  ws.data.name = name
  windows[ws], online = 0, online + 1
  ws:send(AUTH_OK)
  tell(ws, "stock", stock)
  tell(ws, "basket", baskets[name])
  ws:subscribe "all"
  ws:subscribe("of " .. name)
  tell_all("online", online)
end

app:ws("/", {
  max_payload = 16 * 1024,

  open = function(ws)
    moonwire.after(AUTH_SECONDS, function()
      if not ws.data.name then
        refuse(ws)
      end
    end)
  end,

  message = function(ws, text)
    local message = json.decode(text)
    if type(message) ~= "table" then
      message = {}
    end
    if not ws.data.name then
      return authenticate(ws, message)
    end
    local problem = (handle[message.type] or handle.anything_else)(ws, message.data)
    if problem then
      tell(ws, "error", problem)
    end
  end,

  close = function(ws)
    if windows[ws] then
      windows[ws], online = nil, online - 1
      tell_all("online", online)
    end
  end,
})

moonwire.every(BEAT_SECONDS, function()
  for ws, missed in pairs(windows) do
    windows[ws] = missed + 1
    if missed >= MISSED_MAX then
      ws:close(1008, "no answer to heartCheck")
    end
  end
  app:publish("all", HEART_CHECK)
end)

-- A demonstration: everybody is who they say. In earnest, a password is checked here.
app:post("/login", function(req, res)
  local body = req:json()
  local name = type(body) == "table" and body.name
  local length = type(name) == "string" and utf8.len(name)
  if not length or length < 1 or length > MAX_NAME then
    res.status = 400
    return res:json { problem = ("a name of 1 to %d characters is needed"):format(MAX_NAME) }
  end
  res:json { token = signer:sign({ sub = name }, TOKEN_SECONDS) }
end)

app:static("/", here .. "/public")
app:static("/common", here .. "/../common")

local address = assert(app:listen { host = arg[2] or "127.0.0.1", port = arg[1] or 8080 }):address()
print(("The night shop is at http://%s:%d/"):format(address.host, address.port))
