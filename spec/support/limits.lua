-- limits.lua - what the specs of limits share: servers with limits of their own, whose events go to a mailbox, and what is to
-- be seen on either side of a limit.
-- Owns the apps that were served; `finish` closes them, and every visitor.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local visitor = require "spec.support.visitor"

local M = {}

local apps = {}

---Serve an app on a free port of 127.0.0.1. It may be served several times, with other limits.
---@param app moonwire.App
---@param settings? table of `listen`
---@return integer port
function M.serve(app, settings)
  settings = settings or {}
  settings.host, settings.port = settings.host or "127.0.0.1", 0
  apps[app] = true
  return assert(app:listen(settings)):address().port
end

---Serve one route of WebSockets.
---@param behaviour table
---@param settings? table of `listen`
---@return integer port
---@return spec.Mailbox inbox of its events
function M.serve_ws(behaviour, settings)
  local inbox = async.mailbox()
  for _, name in ipairs { "open", "message", "close", "drain", "error" } do
    behaviour[name] = behaviour[name] or inbox:putter(name)
  end
  return M.serve(moonwire.app():ws("/", behaviour), settings), inbox
end

---A visitor with an open WebSocket.
---@param port integer
---@param headers? string
---@return spec.Visitor
function M.open(port, headers)
  local ws = visitor.connect(port)
  ws:upgrade("/", headers)
  return ws
end

---The connection goes on: what is sent now arrives.
---@param ws spec.Visitor
---@param inbox spec.Mailbox
function M.expect_alive(ws, inbox)
  ws:send(visitor.TEXT, "on")
  local _, data = inbox:take "message"
  assert(data == "on", data)
end

---The connection ends with this code, on both sides, and nothing more is delivered.
---@param ws spec.Visitor
---@param inbox spec.Mailbox
---@param code integer
function M.expect_refused(ws, inbox, code)
  local sent = ws:expect_close()
  assert(sent == code, ("the Close frame has %s"):format(sent))
  local _, heard = inbox:take "close"
  assert(heard == code, ("the close handler has %s"):format(heard))
  assert(inbox:count "message" == 0)
  ws:expect_end()
end

---Close all that was opened; for `after_each`.
function M.finish()
  visitor.close_all()
  local closing = apps
  apps = {}
  for app in pairs(closing) do
    assert(app:close { timeout = 5 })
  end
end

return M
