-- failure.lua - what happens to errors in a script's handlers beside the line in the log: somebody may want to hear of them.
-- The nearest hook is asked: a WebSocket route's own `error`, then the app's, then the one of the whole program.
-- Owns that last one.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"

local M = {}

---For xpcall: the error in words, with its traceback.
M.traceback = core.traceback

local program_hook

-- A hook that fails is told in the log only.
local function guarded(hook, text, context)
  local ok, trace = xpcall(hook, core.traceback, text, context)
  if not ok then
    core.fail(trace, "error hook", context.route, context.event, context.id)
  end
end

---Hear of every error that no other hook is told: those of tasks, timers and callbacks, and of handlers without a hook of their
---own. `nil` ends that.
---@param hook? fun(text: string, context: moonwire.ErrorContext)
function M.on_error(hook)
  if hook ~= nil and type(hook) ~= "function" then
    error(("bad argument #1 to 'on_error' (function expected, got %s)"):format(type(hook)), 2)
  end
  program_hook = hook
  core.on_error(hook and function(text, kind)
    guarded(hook, text, { kind = kind })
  end)
end

---Tell a hook, if there is one. `make_context` is only called then.
---@param app? table
---@param text string
---@param make_context fun(...): moonwire.ErrorContext
---@param ... any its arguments
local function tell(app, text, make_context, ...)
  local hook = app and app.settings.error or program_hook
  if hook then
    core.task(guarded, hook, text, make_context(...))
  end
end

local function request_id(req)
  return req:header "x-request-id"
end

local function websocket_context(ws, kind, route, event)
  local is_server = kind == "websocket"
  return {
    kind = kind,
    route = route,
    event = event,
    id = ws.id,
    remote_address = ws.remote_address,
    remote_port = is_server and ws.request.remote_port or nil,
    request_id = is_server and request_id(ws.request) or nil,
    ws = ws,
  }
end

---Tell the hook of a WebSocket that its handler failed. Core has logged it.
---@param app? table none for clients
---@param ws moonwire.WebSocket
---@param route string its pattern, or the address of a client
---@param event? string
---@param text string
function M.of_websocket(app, ws, route, event, text)
  tell(app, text, websocket_context, ws, app and "websocket" or "client", route, event)
end

local function request_context(req, kind, route, event)
  return {
    kind = kind,
    route = route,
    event = event,
    path = req.path,
    remote_address = req.remote_address,
    remote_port = req.remote_port,
    request_id = request_id(req),
    request = req,
  }
end

---Log that the handler of a request failed, and tell the app's hook.
---@param app table
---@param req moonwire.Request
---@param kind "http"|"upgrade"
---@param route? string its pattern
---@param event? string
---@param text string
function M.of_request(app, req, kind, route, event, text)
  core.fail(text, kind, route, event, nil, req.remote_address, req.remote_port, request_id(req), req.path)
  tell(app, text, request_context, req, kind, route, event)
end

return M
