-- screen.lua - the WebSocket of the wall screen. A page asks for a data set and is told it again whenever it moves; what
-- one window does (a chart in full screen, another theme), every window does.
--
--   page    {"action":"getData","socketType":"hotData","chartName":"hot","value":""}
--   server  the same with ,"data":"…" at its end: the figures, as a string that holds JSON; also whenever they have moved
--   page    {"action":"fullScreen", …} {"action":"themeChange", …} and any other action
--   server  sends that to every window, the sender too, exactly as it came
--   server  {"action":"error","message":…}  to the sender of what it can't take
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local json = moonwire.json
local names = require("figures").NAMES

local M = {}

local MAX_MESSAGE = 2 * 1024
-- Little more than one push of everything: a window that has not taken it gets the newest of each topic once it does.
local MAX_WAITING = 32 * 1024
-- A window may sleep for longer than the ten seconds after which others are given up; it answers no ping meanwhile.
local PATIENCE = 60

local function with_data(text, data)
  return text:match "^(.*)}" .. ',"data":' .. json.encode(data) .. "}"
end

---@param app moonwire.App
---@param figures dashboard.Figures
---@return moonwire.Behaviour behaviour
---@return fun() push tells all windows the present figures
function M.new(app, figures)
  local last = {} -- topic -> what was relayed last and says how things are, for windows that come later

  local function push()
    for _, name in ipairs(names) do
      if app:subscribers("data " .. name) > 0 then
        local ask = ('{"action":"getData","socketType":"%sData","chartName":"%s","value":""}'):format(name, name)
        app:publish("data " .. name, with_data(ask, figures.texts[name]))
      end
    end
  end

  -- What says how things are has a topic of its own, so that the newest of each still comes to a slow window.
  local function topic_of(message)
    if message.action == "themeChange" then
      return "theme"
    elseif message.action == "fullScreen" and figures.texts[message.chartName] then
      return "full " .. message.chartName
    end
    return "other"
  end

  local function relay(message, text)
    local topic = topic_of(message)
    if topic ~= "other" then
      last[topic] = message.value and message.value ~= "" and text or nil
    end
    app:publish(topic, text)
  end

  return {
    origins = "*", -- as the data interface: front ends are often served from elsewhere
    slow = "latest",
    max_payload = MAX_MESSAGE,
    max_backpressure = MAX_WAITING,
    write_timeout = PATIENCE,
    pong_timeout = PATIENCE,

    open = function(ws)
      ws:subscribe "theme"
      ws:subscribe "other"
      for _, name in ipairs(names) do
        ws:subscribe("full " .. name)
      end
      for _, text in pairs(last) do
        ws:send(text)
      end
    end,

    message = function(ws, text)
      local message = json.decode(text)
      local data = type(message) == "table" and figures.texts[message.chartName]
      if type(message) ~= "table" or type(message.action) ~= "string" then
        ws:send_json { action = "error", message = "send a JSON object with an action" }
      elseif message.action ~= "getData" then
        relay(message, text)
      elseif data then
        ws:subscribe("data " .. message.chartName)
        ws:send(with_data(text, data))
      else
        ws:send_json { action = "error", message = "there is no such chart; there are " .. table.concat(names, ", ") }
      end
    end,
  }, push
end

return M
