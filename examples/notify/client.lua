-- client.lua - somebody's notifications in the terminal, by the same rules as the page's.
--
--   moonwire examples/notify/client.lua name [url]
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"

local name, server = arg[1], arg[2] or "http://127.0.0.1:8080"
if not name then
  error("usage: moonwire examples/notify/client.lua name [url]", 0)
end

local login = assert(moonwire.fetch(server .. "/login", { json = { name = name } })):json() or {}
if not login.token then
  error(login.problem, 0)
end

local ws, problem = moonwire.connect(server:gsub("^http", "ws") .. "/?token=" .. login.token, {
  reconnect = { retries = 10, delay = 6, factor = 1, jitter = 0 },
  heartbeat = { message = "HeartBeat", expect = "HeartBeat", interval = 30 },
  open = function(ws)
    ws:send "Hello WebSockets!"
  end,
  reconnecting = function(_, attempt, delay, message)
    print(("(%s; try %d in %g s)"):format(message, attempt, delay))
  end,
})
assert(ws, problem)

for text in ws:messages() do
  local notification = moonwire.json.decode(text)
  if notification.msg then
    print(os.date("%H:%M  ", notification.at) .. notification.msg)
  end
end
