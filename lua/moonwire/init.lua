-- init.lua - `require "moonwire"`: the table that scripts use.
-- Joins the modules beside it and owns nothing itself.
-- SPDX-License-Identifier: MIT

local app = require "moonwire.app"
local core = require "moonwire.core"
local failure = require "moonwire.failure"
local fetch = require "moonwire.fetch"
local json = require "moonwire.json"
local options = require "moonwire.options"
local time = require "moonwire.time"
local upgrade = require "moonwire.upgrade"
require "moonwire.ws"

---@class moonwire
local moonwire = {
  version = core.version,
  app = app.new,
  fetch = fetch.fetch,
  sleep = time.sleep,
  spawn = time.spawn,
  after = time.after,
  every = time.every,
  on_error = failure.on_error,
  reject = upgrade.reject,
  json = json,

  -- What `ws.ready_state` can be, numbered as in browsers.
  CONNECTING = 0,
  OPEN = 1,
  CLOSING = 2,
  CLOSED = 3,
}

---Call a function, which may wait, when the process is told to end or has nothing left to do.
---@param fn fun()
function moonwire.on_stop(fn)
  options.argument(options.func, fn, 1, "on_stop")
  core.on_stop(fn)
end

local LEVEL = options.one_of("error", "warning", "info")

---Open a WebSocket as a client. (In a module of its own, loaded when it is first needed.)
---@param address string
---@param connect_options? table
function moonwire.connect(address, connect_options)
  return require("moonwire.client").connect(address, connect_options)
end

---Write a line to the program's log, on standard error.
---@param level "error"|"warning"|"info"
---@param text string
---@param fields? table<string, string|number|boolean>
function moonwire.log(level, text, fields)
  options.argument(LEVEL, level, 1, "log")
  if fields ~= nil and type(fields) ~= "table" then
    error(("bad argument #3 to 'log' (table expected, got %s)"):format(type(fields)), 2)
  end
  core.log(level, tostring(text), fields, 2)
end

return moonwire
