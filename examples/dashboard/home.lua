-- home.lua - the WebSocket of the home page: one connection instead of ten interfaces to poll.
--
--   server  {"name":"numbers", revenue, orders, sold, cities}, and for pages in full mode {"name":"trend"|"stock","data":…}
--   page    {"name":"live","live":true|false}          pushing on and off; answered with the same
--   page    {"name":"mode","mode":"full"|"simple"}     all, or the numbers only; answered with the same
--   server  {"name":"error","message":…}
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local json = moonwire.json

local M = {}

local CHARTS = { "trend", "stock" }

---@param app moonwire.App
---@param figures dashboard.Figures
---@return moonwire.Behaviour behaviour
---@return fun() push tells all pages that want it the present figures
function M.new(app, figures)
  -- What the pages are told now, as texts by their topic.
  local function present()
    local numbers = figures:summary()
    numbers.name = "numbers"
    local texts = { ["home numbers"] = json.encode(numbers) }
    for _, name in ipairs(CHARTS) do
      texts["home " .. name] = ('{"name":"%s","data":%s}'):format(name, figures.texts[name])
    end
    return texts
  end

  local function push()
    for topic, text in pairs(present()) do
      app:publish(topic, text)
    end
  end

  -- Subscribe to what the page wants, and tell it how that is now, without waiting for the next push.
  local function settle(ws)
    for topic, text in pairs(present()) do
      if ws.data.live and (ws.data.mode == "full" or topic == "home numbers") then
        ws:subscribe(topic)
        ws:send(text)
      else
        ws:unsubscribe(topic)
      end
    end
  end

  local settings = {}

  function settings.live(ws, message)
    if type(message.live) == "boolean" then
      ws.data.live = message.live
      return true
    end
  end

  function settings.mode(ws, message)
    if message.mode == "full" or message.mode == "simple" then
      ws.data.mode = message.mode
      return true
    end
  end

  return {
    slow = "latest",
    max_payload = 4096,
    max_backpressure = 32 * 1024,
    write_timeout = 60, -- for pages that sleep, as on the wall screen
    pong_timeout = 60,

    upgrade = function()
      return { live = true, mode = "full" }
    end,

    open = settle,

    message = function(ws, text)
      local message = json.decode(text)
      local set = type(message) == "table" and settings[message.name]
      if set and set(ws, message) then
        ws:send(text)
        settle(ws)
      else
        ws:send_json { name = "error", message = "send a live of true or false, or a mode of full or simple" }
      end
    end,

    close = function(_, code, reason)
      -- The reason is the page's: what would begin another line of the log is left out.
      moonwire.log("info", ("a home page was left: %d %s"):format(code, (reason:gsub("%c", ""))))
    end,
  }, push
end

return M
