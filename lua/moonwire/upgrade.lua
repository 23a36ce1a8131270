-- upgrade.lua - WebSocket routes: checking what a script asks of one, and deciding about each client before the 101.
-- Borrows core's exchange until it is accepted; from then on the connection is core's. Refusals are real HTTP answers,
-- and after one the connection closes, because nobody knows what the client sends next.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local failure = require "moonwire.failure"
local headers = require "moonwire.headers"
local options = require "moonwire.options"
local origins = require "moonwire.origins"
local request_module = require "moonwire.request"
local response_module = require "moonwire.response"
local router = require "moonwire.router"
local url = require "moonwire.url"
local ws_module = require "moonwire.ws"

local M = {}

local BEHAVIOUR = {
  slow = options.one_of("close", "drop", "latest"),
  open = options.func,
  message = options.func,
  drain = options.func,
  dropped = options.func,
  pong = options.func,
  close = options.func,
  error = options.func,
  -- decided here
  protocols = options.list_of(ws_module.protocol_name, 1),
  origins = origins.fault,
  upgrade = options.func,
}
-- Limits, passed on to core.
for name, check in pairs(ws_module.SETTINGS) do
  BEHAVIOUR[name] = check
end
local DECIDED_HERE = { "protocols", "origins", "upgrade" }

---Check a behaviour and make core's route of it. Raises for anything it doesn't know.
---@param app table
---@param pattern string
---@param given table
---@param level? integer as the caller would give it to `error`, 2 by default
---@return table value what the router keeps
function M.compile(app, pattern, given, level)
  level = (level or 2) + 1
  if given == nil then
    error("app:ws: the second argument must be a table of handlers", level)
  end
  local behaviour = options.check(("app:ws '%s'"):format(pattern), BEHAVIOUR, given, level)
  ws_module.normalise(("app:ws '%s'"):format(pattern), behaviour, level)
  local value = { origins = behaviour.origins or "same-host", protocols = {}, upgrade = behaviour.upgrade }
  value.told = origins.account()
  for _, name in ipairs(behaviour.protocols or {}) do
    value.protocols[name] = true
  end
  for _, name in ipairs(DECIDED_HERE) do
    behaviour[name] = nil
  end
  behaviour.hub, behaviour.name = app.hub, pattern
  behaviour.error = behaviour.error or function(ws, text, event)
    failure.of_websocket(app, ws, pattern, event, text)
  end
  value.core_route = core.route(behaviour)
  return value
end

local Rejection = { __name = "moonwire.Rejection" }

---What an `upgrade` handler returns to refuse a client.
---@param status integer 300 to 599
---@param text? string the body of the answer
---@param extra_headers? table<string, string>
---@return moonwire.Rejection
function M.reject(status, text, extra_headers)
  options.argument(options.integer(300, 599), status, 1, "reject")
  if text ~= nil and type(text) ~= "string" then
    error(("bad argument #2 to 'reject' (string expected, got %s)"):format(type(text)), 2)
  end
  return setmetatable({ status = status, text = text, headers = headers.copy(extra_headers) }, Rejection)
end

local function refuse(res, status, text, extra_headers)
  res.must_close = true
  response_module.answer(res, status, text, extra_headers)
end

-- The first subprotocol of the client's list that the route speaks.
local function choose_protocol(offered, spoken)
  for _, name in ipairs(offered) do
    if spoken[name] then
      return name
    end
  end
end

-- Ask the script. Returns what it decided; raises when that can't be meant.
local function decide(value, req)
  local protocol = choose_protocol(req.protocols, value.protocols)
  if not value.upgrade then
    return nil, protocol
  end
  local data, chosen, extra_headers = value.upgrade(req)
  if getmetatable(data) == Rejection then
    return data
  elseif data ~= nil and type(data) ~= "table" then
    error(("upgrade must return nil, a table (ws.data) or moonwire.reject(…), not a %s"):format(type(data)), 0)
  elseif chosen ~= nil then
    if not choose_protocol(req.protocols, { [chosen] = true }) then
      error(("upgrade chose the subprotocol %q, which the client did not offer"):format(tostring(chosen)), 0)
    end
    protocol = chosen
  end
  local checked = extra_headers and {}
  for name, text in pairs(extra_headers or {}) do
    headers.check_name(name)
    checked[name] = headers.check_value(name, text)
  end
  return data, protocol, checked
end

---The short way, which most connections take: the target is a route's own pattern, the script isn't asked, and nothing is
---wrong, so that nobody needs to know more of the request.
---@param app table
---@param exchange table core's
---@param target string
---@param from? string the Origin header
---@param host? string the Host header
---@return boolean served false: take the long way
function M.serve_plain(app, exchange, target, from, host)
  local route = app.router:literal(router.WEBSOCKET, target)
  local value = route and route.value
  if not value or value.upgrade or app.closing or not origins.is_allowed(value.origins, from, host) then
    return false
  end
  local ok, offered = exchange:handshake()
  if ok then
    exchange:accept(value.core_route, nil, offered and choose_protocol(offered, value.protocols))
  end
  return ok == true
end

---Answer an upgrade request: with a WebSocket, or with a status that says why not. May wait.
---@param app table
---@param exchange table core's
---@param req moonwire.Request
---@param res moonwire.Response
function M.serve(app, exchange, req, res)
  local route, params = app.router:find(router.WEBSOCKET, req.segments)
  if not route then
    return refuse(res, 404)
  elseif app.closing then
    return refuse(res, 503)
  end
  local ok, offered, message = exchange:handshake()
  if not ok then
    local extra = { ["Sec-WebSocket-Version"] = "13", Upgrade = offered == 426 and "websocket" or nil }
    extra.Allow = offered == 405 and "GET" or nil
    return refuse(res, offered, message and message .. "\n", extra)
  end
  req.params, req.protocols = params, offered or {}
  local value = route.value
  if not origins.is_allowed(value.origins, req.headers.origin, req.headers.host) then
    origins.tell_refused(value.told, route.label, value.origins, req.headers)
    return refuse(res, 403, "pages of this origin may not connect; the server's log says what would allow them\n")
  end
  local fine, data, protocol, extra_headers = xpcall(decide, failure.traceback, value, req)
  if not fine then
    failure.of_request(app, req, "upgrade", route.pattern, nil, data)
    return refuse(res, 500)
  elseif getmetatable(data) == Rejection then
    return refuse(res, data.status, data.text, data.headers)
  elseif app.closing then
    return refuse(res, 503)
  end
  app.on_response_done(res)
  exchange:accept(value.core_route, data, protocol, extra_headers)
end

-- The fields of a WebSocket that tell of its opening handshake. Core keeps the handshake as it came and asks here when a
-- script first looks at one.
local FIELDS = {}

function FIELDS.protocol(opening)
  return opening.protocol ~= "" and opening.protocol or nil
end

function FIELDS.remote_address(opening)
  return opening.address
end

function FIELDS.request(opening, pattern)
  local method, target, minor, header_table = core.parse_head(opening.head)
  local parts = url.parse_target(target)
  opening.certificate = opening.der and core.parse_certificate(opening.der)
  local req = request_module.make(method, target, minor, header_table, parts, opening)
  req.params = router.params(pattern, parts.segments)
  return req
end

function FIELDS.params(opening, pattern)
  return router.params(pattern, url.parse_target(opening.head:match "^%S+ (%S+)").segments)
end

core.on_restore(function(packed, pattern, name)
  local field = FIELDS[name]
  if field then
    local protocol, address, port, secure, at = string.unpack("<s2s1I2B", packed)
    local opening = { protocol = protocol, address = address, port = port, secure = secure > 0 }
    if secure == 2 then
      opening.der, at = string.unpack("<s4", packed, at)
    end
    opening.head = packed:sub(at)
    return field(opening, pattern)
  end
end)

return M
