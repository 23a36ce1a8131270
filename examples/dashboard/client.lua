-- client.lua - one data set of the dashboard in the terminal, drawn anew whenever it moves.
--
--   moonwire examples/dashboard/client.lua [seller|map|rank|stock] [url]
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local json = moonwire.json

local WIDTH = 50 -- of the longest bar, in characters
local EIGHTHS = { "▏", "▎", "▍", "▌", "▋", "▊", "▉" }

local name, server = arg[1] or "seller", arg[2] or "ws://127.0.0.1:8080/"
if name == "trend" or name == "hot" then
  error(name .. " is no simple list; this draws seller, map, rank and stock", 0)
end

local function bar(value, most)
  local eighths = math.floor(value / most * WIDTH * 8)
  return ("█"):rep(eighths // 8) .. (EIGHTHS[eighths % 8] or "")
end

local function draw(list)
  local lines, most = {}, 1
  for _, each in ipairs(list) do
    most = math.max(most, each.value or each.sold)
  end
  for _, each in ipairs(list) do
    local value = each.value or each.sold
    local gap = (" "):rep(16 - utf8.len(each.name))
    table.insert(lines, ("%s%s %5d %s"):format(each.name, gap, value, bar(value, most)))
  end
  -- Over what was drawn before: the screen stands still, and only the bars move.
  io.write("\27[H\27[J", table.concat(lines, "\n"), "\n")
  io.flush()
end

local ws, problem = moonwire.connect(server, {
  reconnect = { retries = false, delay = function(n)
    return math.min(0.5 * n, 10)
  end },
  open = function(ws)
    ws:send_json { action = "getData", socketType = name .. "Data", chartName = name, value = "" }
  end,
  reconnecting = function(_, _, delay, message)
    print(("(%s; next try in %g s)"):format(message, delay))
  end,
})
assert(ws, problem)

for text in ws:messages() do
  local message = json.decode(text)
  if message.action == "error" then
    ws:close()
    io.stderr:write(message.message, "\n")
    os.exit(1)
  elseif message.socketType == name .. "Data" then
    draw(json.decode(message.data))
  end
end
