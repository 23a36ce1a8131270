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

local MAX_MESSAGE = 16 * 1024
-- Little more than one push of everything: a window that has not taken it gets the newest of each topic once it does.
local MAX_WAITING = 32 * 1024
-- A window may sleep for longer than the ten seconds after which others are given up.
local PATIENCE = 60

local function with_data(text, data)
  return (text:gsub("%s*}%s*$", "")) .. ',"data":' .. json.encode(data) .. "}"
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

  local function relay(message, text)
    -- A topic of its own for each chart, so that to a slow window each chart's newest state still comes.
    local topic = "relay " .. (figures.texts[message.chartName] and message.chartName or "all")
    if message.value == true or type(message.value) == "string" and message.value ~= "" then
      last[topic] = text
    elseif message.value == false then
      last[topic] = nil
    end
    app:publish(topic, text)
  end

  return {
    slow = "latest",
    max_payload = MAX_MESSAGE,
    max_backpressure = MAX_WAITING,
    write_timeout = PATIENCE,

    open = function(ws)
      ws:subscribe "relay all"
      for _, name in ipairs(names) do
        ws:subscribe("relay " .. name)
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
