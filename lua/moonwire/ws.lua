-- ws.lua - what WebSockets of both sides share on the Lua side: the settings of a connection, and methods that
-- need no C (they go into core's own table of methods). Owns nothing.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local json = require "moonwire.json"
local options = require "moonwire.options"

local M = {}

local SIZE_MAX = 1 << 31

---What `max_backpressure` is in core, unless it is given.
M.MAX_BACKPRESSURE = 1 << 20

local COMPRESS = options.group {
  level = options.integer(1, 9),
  memory = options.integer(1, 9),
  min_bytes = options.integer(0),
  server_no_context_takeover = options.boolean,
  client_no_context_takeover = options.boolean,
  server_max_window_bits = options.integer(9, 15),
  client_max_window_bits = options.integer(9, 15),
}

local function duration(least)
  return options.either("a number of seconds, or false", options.seconds(least), options.off)
end

---Limits and time-outs of one connection: an options schema. `false` switches a duration off.
M.SETTINGS = {
  max_payload = options.integer(1, SIZE_MAX),
  max_fragments = options.integer(1, SIZE_MAX),
  max_control_per_second = options.integer(1, 65535),
  max_backpressure = options.integer(1, SIZE_MAX),
  high_water = options.integer(1, SIZE_MAX),
  idle_timeout = duration(0.001),
  ping_interval = duration(0.001),
  pong_timeout = options.seconds(0.001),
  close_timeout = options.seconds(0.001),
  write_timeout = options.seconds(0.001),
  compress = function(value)
    if type(value) == "table" then
      return COMPRESS(value)
    end
    return options.boolean(value) and "must be true, false or a table"
  end,
}

---A token (RFC 9110 §5.6.2): what a subprotocol may be.
function M.protocol_name(value)
  if type(value) ~= "string" or not value:find("^[%w!#%$%%&'%*%+%-%.%^_`|~]+$") then
    return "must be a token (letters, digits and !#$%&'*+-.^_`|~)"
  end
end

---Bring checked options into the form core expects; raises when two of them contradict each other.
---@param who string for the message
---@param settings table changed in place
---@param level integer as the caller would give it to `error`
function M.normalise(who, settings, level)
  if settings.high_water and settings.max_backpressure and settings.high_water > settings.max_backpressure then
    error(("%s: option 'high_water' must not be above 'max_backpressure'"):format(who), level + 1)
  end
  for _, name in ipairs { "idle_timeout", "ping_interval" } do
    if settings[name] == false then
      settings[name] = 0
    end
  end
end

local methods = core.websocket_methods

---Queue a value as JSON text. Results as of `send`.
---@param value any
function methods:send_json(value)
  return self:send(json.encode(value))
end

---Publish a value as JSON text to all subscribers of a topic but this one. Results as of `publish`.
---@param topic string
---@param value any
function methods:publish_json(topic, value)
  return self:publish(topic, json.encode(value))
end

return M
