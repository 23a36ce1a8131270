-- server.lua - notifications on every page of a site: at once for who is there, and kept for who is not.
--
--   moonwire examples/notify/server.lua [port] [host]
--
--   ws://…/?token=…   page    Hello WebSockets!   HeartBeat   plain text; HeartBeat is answered with the same
--                             {"read":id}                     all up to this one were seen
--                     server  {"msg":"…","id":…,"at":…}       a notification; first those that came while nobody was there
--                             {"problem":"…"}                 what was wrong with a message
--   ws://…/?list=all&token=…  for pages with a list: first the last 50, each with "read":true or false; later also
--                             {"read":id}                     all up to this one were seen, in some window
--   POST /login       {"name":"…"} → {"token":"…"}
--   GET /me           with a token: {"name":"…"}, or why it isn't good
--   POST /orders      with a token: something that leads to notifications
--   POST /notify      {"to":a name or "*","msg":"…"} with the token of an administrator (send.lua) → {"windows":n}
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local json = moonwire.json

local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/../common/?.lua;" .. package.path
local token = require "token"

local MAX_NAME, MAX_MSG, MAX_KEPT, MAX_PEOPLE = 40, 500, 50, 10000
local TOKEN_SECONDS = 24 * 3600
local DELIVERY_SECONDS = 5 -- until an order of this shop has left the house

local app = moonwire.app()
local signer = token.signer(here)
-- By name: { the last notifications, oldest first; count = the newest id, seen and told = the last ids that were }.
local inboxes, people = {}, 0

local function text_of(value, most)
  local length = type(value) == "string" and utf8.len(value)
  return length and length > 0 and length <= most and value or nil
end

local function inbox_of(name)
  if not inboxes[name] and people < MAX_PEOPLE then
    inboxes[name], people = { count = 0, seen = 0, told = 0 }, people + 1
  end
  return inboxes[name]
end

-- Put a notification into somebody's inbox and onto their pages. Returns how many of these there are.
local function notify(name, msg)
  local inbox = inbox_of(name)
  if not inbox then
    return 0
  end
  inbox.count = inbox.count + 1
  local notification = { msg = msg, id = inbox.count, at = os.time() }
  table.insert(inbox, notification)
  if #inbox > MAX_KEPT then
    table.remove(inbox, 1)
  end
  local windows = app:publish_json("news of " .. name, notification)
  if windows > 0 then
    inbox.told = inbox.count
  end
  return windows
end

-- Who a request comes from; answers 401 when nobody knows.
local function claims_of(req, res)
  local claims, problem = signer:verify((token.of(req)))
  if not claims then
    res.status = 401
    res:json { problem = problem }
  end
  return claims
end

app:ws("/", {
  max_payload = 16 * 1024,

  upgrade = function(req)
    local text, protocol = token.of(req)
    local claims, problem = signer:verify(text)
    if not claims then
      return moonwire.reject(401, problem .. "\n")
    elseif not inbox_of(claims.sub) then
      return moonwire.reject(503, "too many people\n")
    end
    return { name = claims.sub, has_list = req.query.list == "all" }, protocol
  end,

  open = function(ws)
    local name, has_list = ws.data.name, ws.data.has_list
    local inbox = inboxes[name]
    for _, each in ipairs(inbox) do
      if has_list then
        ws:send_json { msg = each.msg, id = each.id, at = each.at, read = each.id <= inbox.seen }
      elseif each.id > inbox.told then
        ws:send_json(each) -- and never again: such a page can't say what was seen
      end
    end
    inbox.told = inbox.count
    ws:subscribe("news of " .. name)
    if has_list then
      ws:subscribe("seen by " .. name)
    end
  end,

  message = function(ws, text)
    if text == "HeartBeat" then
      return ws:send(text)
    elseif text == "Hello WebSockets!" then
      return
    end
    local message = json.decode(text)
    local read, inbox = type(message) == "table" and message.read, inboxes[ws.data.name]
    if math.type(read) ~= "integer" or read < 0 or read > inbox.count then
      return ws:send_json { problem = 'send HeartBeat, or {"read": the id of a notification}' }
    end
    inbox.seen = math.max(inbox.seen, read)
    app:publish_json("seen by " .. ws.data.name, { read = inbox.seen })
  end,
})

-- A demonstration: everybody is who they say. In earnest, a password is checked here.
app:post("/login", function(req, res)
  local body = req:json()
  local name = type(body) == "table" and text_of(body.name, MAX_NAME)
  if not name then
    res.status = 400
    return res:json { problem = ("a name of 1 to %d characters is needed"):format(MAX_NAME) }
  end
  res:json { token = signer:sign({ sub = name }, TOKEN_SECONDS) }
end)

-- For pages whose WebSocket was refused: browsers don't tell them why.
app:get("/me", function(req, res)
  local claims = claims_of(req, res)
  if claims then
    res:json { name = claims.sub }
  end
end)

app:post("/orders", function(req, res)
  local claims = claims_of(req, res)
  if claims then
    res:json { windows = notify(claims.sub, "We have your order, thank you.") }
    moonwire.after(DELIVERY_SECONDS, function()
      notify(claims.sub, "Your order has left the house.")
    end)
  end
end)

app:post("/notify", function(req, res)
  local claims = claims_of(req, res)
  if not claims then
    return
  elseif claims.role ~= "admin" then
    res.status = 403
    return res:json { problem = "only administrators may do this" }
  end
  local order = req:json()
  local to = type(order) == "table" and text_of(order.to, MAX_NAME)
  local msg = to and text_of(order.msg, MAX_MSG)
  if not msg then
    res.status = 400
    return res:json { problem = ('send {"to": a name or "*", "msg": 1 to %d characters}'):format(MAX_MSG) }
  end
  local windows = 0
  for name in pairs(to == "*" and inboxes or { [to] = true }) do
    windows = windows + notify(name, msg)
  end
  res:json { windows = windows }
end)

app:static("/", here .. "/public")
app:static("/common", here .. "/../common")

local address = assert(app:listen { host = arg[2] or "127.0.0.1", port = arg[1] or 8080 }):address()
print(("The shop is at http://%s:%d/"):format(address.host, address.port))
