-- client.lua - a big screen for the terminal: prints what it is told to show.
--
--   moonwire examples/hello/client.lua [uid] [url]
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local url = require "moonwire.url"

local uid, server = arg[1] or "ttq123", arg[2] or "ws://127.0.0.1:8080"

local ws, problem = moonwire.connect(server .. "/ws?" .. url.format_query { uid = uid }, {
  reconnect = { retries = false, delay = 3, factor = 1, jitter = 0 },
  open = function(ws)
    ws:send "hello"
  end,
  reconnecting = function(_, _, delay, message)
    print(("(%s; next try in %g s)"):format(message, delay))
  end,
})
assert(ws, problem)

for text in ws:messages() do
  local message = moonwire.json.decode(text)
  if type(message) ~= "table" then
    print(text)
  elseif message.screens then
    print(("(%d screens)"):format(message.screens))
  else
    print(message.text)
  end
end
