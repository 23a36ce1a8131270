-- http.lua - from a request that arrived to an answer that left: body, middleware, route, files, errors.
-- Borrows the app's routes, middleware and mounts; owns nothing between requests. Every request runs in its own task.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local failure = require "moonwire.failure"
local request_module = require "moonwire.request"
local response_module = require "moonwire.response"
local router = require "moonwire.router"
local static = require "moonwire.static"
local upgrade = require "moonwire.upgrade"
local url = require "moonwire.url"

local M = {}

-- What becomes of a body that core could not read whole.
local BODY_FAULTS = { too_large = 413, timeout = 408, malformed = 400, memory = 503 }

---@class moonwire.http.Context what is known about one request while it is answered
---@field app table
---@field req moonwire.Request
---@field res moonwire.Response
---@field route? moonwire.Route
---@field allowed? string[] methods, when there is no route
---@field has_websocket? boolean whether there is a WebSocket route instead

-- The answer when no handler of the script is responsible.
local function answer_unrouted(context)
  local req, res = context.req, context.res
  for _, mount in ipairs(context.app.mounts) do
    if static.serve(mount, req, res) then
      return
    end
  end
  local allowed = context.allowed
  if req.method == "OPTIONS" and (#allowed > 0 or req.path == "*") then
    if #allowed > 0 then
      res.headers["Allow"] = table.concat(allowed, ", ")
    end
    res.status = 204
    res:send()
  elseif #allowed > 0 then
    res.headers["Allow"] = table.concat(allowed, ", ")
    response_module.answer(res, 405)
  elseif context.has_websocket then
    res.headers["Upgrade"] = "websocket"
    response_module.answer(res, 426, "this address speaks WebSocket\n")
  else
    response_module.answer(res, 404)
  end
end

local function run_route(context)
  local route = context.route
  if route then
    route.value.handler(context.req, context.res)
  else
    answer_unrouted(context)
  end
end

-- Run the middleware from `index` on, then the route. Each decides with next() whether the rest runs.
local function run_from(context, index)
  local chain = context.app.middleware
  local entry = chain[index]
  while entry and not router.has_prefix(entry.prefix, context.req.segments) do
    index = index + 1
    entry = chain[index]
  end
  if not entry then
    return run_route(context)
  end
  local was_called = false
  entry.fn(context.req, context.res, function()
    if was_called then
      error("next() was called twice", 2)
    end
    was_called = true
    run_from(context, index + 1)
  end)
end

-- Log what went wrong with a request, and tell whoever wants to hear of it. The path without the query, which may hold secrets.
local function fail(context, text)
  local req, route = context.req, context.route
  failure.of_request(context.app, req, "http", route and route.pattern, req.method, text)
end

-- After everybody had a turn: what is still open is closed, unless somebody said it should stay open.
local function settle(context)
  local res = context.res
  if res.finished or res.aborted then
    return
  elseif res.deferred then
    response_module.watch(res)
  elseif res.sent then
    res:finish()
  elseif res.missing_file then
    response_module.answer(res, res.is_short and 503 or 404)
  else
    fail(context, "the handler returned without a response (res:defer() keeps it open)")
    response_module.answer(res, 500)
  end
end

-- Read the body, or answer why not.
local function read_body(context, exchange)
  if not exchange:has_body() then
    return true
  end
  local app, route = context.app, context.route
  local limit = route and route.value.max_body or app.settings.max_body
  local body, _, code = exchange:body(limit)
  if body then
    context.req.body = body
    return true
  end
  local status = BODY_FAULTS[code]
  context.res.must_close = true
  if status then
    response_module.answer(context.res, status)
  else
    response_module.abandon(context.res)
  end
  return false
end

local function respond(context, exchange)
  local app, req, res = context.app, context.req, context.res
  local route, found, has_websocket = app.router:find(req.method, req.segments)
  if route then
    context.route, req.params = route, found
  else
    context.allowed, context.has_websocket = found, has_websocket
  end
  if not read_body(context, exchange) then
    return
  end
  local ok, trace = xpcall(run_from, failure.traceback, context, 1)
  if not ok then
    fail(context, trace)
    response_module.answer(res, 500)
  else
    settle(context)
  end
end

local function answer(app, exchange, req, res, fault, opening)
  if app.closing then
    res.must_close = true
  end
  if fault then
    res.must_close = true
    response_module.answer(res, 400, fault .. "\n")
  elseif opening then
    upgrade.serve(app, exchange, req, res)
  else
    respond({ app = app, req = req, res = res }, exchange)
  end
end

---Answer one request. (Core's handler: runs in a task of its own.)
---@param app table
---@param exchange table core's
function M.serve(app, exchange)
  local opening, origin, host = exchange:opening()
  if opening and upgrade.serve_plain(app, exchange, opening, origin, host) then
    return
  end
  local target = opening or exchange:target()
  local parts, message = url.parse_target(target)
  local req = request_module.new(exchange, parts or { path = "/", segments = {}, query = "" })
  local res = response_module.new(exchange, req, app.on_response_done)
  app.responses[res] = true
  local ok, trace = xpcall(answer, failure.traceback, app, exchange, req, res, not parts and message, opening)
  if not ok then
    -- No script's fault: there was no memory. Core answers when not even this can.
    app.on_response_done(res)
    core.fail(trace, "http")
    response_module.answer(res, 500)
  end
end

return M
