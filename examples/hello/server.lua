-- server.lua - hello over HTTP and WebSocket on one port, and big screens that show what they are told.
--
--   moonwire examples/hello/server.lua [port] [host]
--
--   GET /             answers Hello World
--   ws://…/           answers every message with 你好,客户端
--   ws://…/ws?uid=…   a big screen. Answers the same, and is sent JSON: { screens } when one comes or goes,
--                     { text } when somebody has something to show
--   POST /say         { uid, text } as JSON: for the screen of that uid, or with "*" for all; answers { screens }, how
--                     many it reached
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"

local GREETING = "你好,客户端"
local MAX_UID, MAX_TEXT = 64, 500 -- bytes, characters

local here = arg[0]:match "^(.*)/" or "."
local app = moonwire.app()
local screens = 0
local last = { uid = "*", text = "" } -- what was said last, for a screen that comes back

local function greet(ws)
  ws:send(GREETING)
end

local function come_or_go(change)
  screens = screens + change
  app:publish_json("*", { screens = screens })
end

app:get("/", function(_, res)
  res:send "Hello World"
end)

app:ws("/", { message = greet })

app:ws("/ws", {
  upgrade = function(req)
    local uid = req.query.uid or ""
    if uid == "" or uid == "*" or #uid > MAX_UID then
      return moonwire.reject(400, ("name the screen: /ws?uid=… with 1 to %d bytes\n"):format(MAX_UID))
    end
    return { uid = uid }
  end,

  open = function(ws)
    ws:subscribe "*"
    ws:subscribe(ws.data.uid)
    come_or_go(1)
    if last.uid == "*" or last.uid == ws.data.uid then
      ws:send_json { text = last.text }
    end
  end,

  message = greet,

  close = function()
    come_or_go(-1)
  end,
})

app:post("/say", function(req, res)
  local order = req:json()
  local uid = type(order) == "table" and order.uid
  local length = type(uid) == "string" and type(order.text) == "string" and utf8.len(order.text)
  if not length or length > MAX_TEXT then
    res.status = 400
    return res:json { message = ('send { "uid": a screen or "*", "text": up to %d characters }'):format(MAX_TEXT) }
  end
  last = { uid = uid, text = order.text }
  res:json { screens = app:publish_json(uid, { text = order.text }) }
end)

app:static("/", here .. "/public")
app:static("/common", here .. "/../common")

local listener = assert(app:listen { host = arg[2] or "127.0.0.1", port = arg[1] or 8080 })
local address = listener:address()
print(("The big screen is at http://%s:%d/screen.html?uid=ttq123"):format(address.host, address.port))
