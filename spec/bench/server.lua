-- server.lua - what is measured: echoes what it gets; what begins with "P" goes to everybody.
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local app = moonwire.app()

app:ws("/", {
  max_backpressure = 64 << 20,
  open = function(ws)
    ws:subscribe("all")
  end,
  message = function(ws, data, kind)
    if data:byte() == 80 then
      app:publish("all", data, kind)
    else
      ws:send(data, kind)
    end
  end,
})
print(assert(app:listen { host = "127.0.0.1", port = 0, max_connections = 0 }):address().port)
