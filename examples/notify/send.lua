-- send.lua - sends a notification, as an administrator: whoever may read the server's secret can sign such a token.
--
--   moonwire examples/notify/send.lua name|'*' message [url]
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"

local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/../common/?.lua;" .. package.path

local to, msg, server = arg[1], arg[2], arg[3] or "http://127.0.0.1:8080"
if not msg then
  error("usage: moonwire examples/notify/send.lua name|'*' message [url]", 0)
end

local signer = require("token").signer(here)
local answer = assert(moonwire.fetch(server .. "/notify", {
  headers = { Authorization = "Bearer " .. signer:sign({ sub = "admin", role = "admin" }, 60) },
  json = { to = to, msg = msg },
}))
local body = answer:json() or {}
if answer.status ~= 200 then
  error(("%d %s: %s"):format(answer.status, answer.reason, body.problem or answer.body), 0)
end
print(("shown in %d window%s"):format(body.windows, body.windows == 1 and "" or "s"))
