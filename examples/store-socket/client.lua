-- client.lua - the shop in the terminal: shows the stock as it changes, by the same rules as the page's store.
--
--   moonwire examples/store-socket/client.lua [name] [url]
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local json = moonwire.json

local HEART_CHECK = '{"type":"heartCheck"}'
local name, server = arg[1] or "terminal", arg[2] or "http://127.0.0.1:8080"

local login = assert(moonwire.fetch(server .. "/login", { json = { name = name } })):json() or {}
if not login.token then
  error(login.problem, 0)
end

local ws, problem = moonwire.connect(server:gsub("^http", "ws") .. "/", {
  reconnect = { retries = false, delay = 1, factor = 1, jitter = 0 },
  heartbeat = { expect = HEART_CHECK, answer = HEART_CHECK, interval = 30, timeout = 1 },
  open = function(ws)
    ws:send_json { type = "auth", data = login.token }
  end,
  reconnecting = function(_, _, delay, message)
    print(("(%s; next try in %g s)"):format(message, delay))
  end,
})
assert(ws, problem)

for text in ws:messages() do
  local message = json.decode(text)
  if message.type == "noAuth" then
    ws:close()
    error("the shop doesn't know us any more", 0)
  elseif message.type == "stock" then
    local counts = message.data
    print(("star maps %2d   red lamps %2d   eyepieces %2d"):format(counts.map, counts.lamp, counts.eyepiece))
  end
end
