-- client.lua - the same job in a terminal: a progress bar, or plain lines where the output is no terminal.
--
--   moonwire examples/progress/client.lua [name] [http://host:port] [start[=count] | cancel | retry]
--
-- Ends when the job has ended; with 1 unless all pictures are there. Leaving (Ctrl-C) doesn't cancel the job.
-- SPDX-License-Identifier: MIT

local json = require "moonwire.json"
local moonwire = require "moonwire"
local uv = require "luv"

local MAX_BAR = 40 -- columns

local name, server, order = "terminal", "http://127.0.0.1:8080", nil
for _, argument in ipairs(arg) do
  local verb, count = argument:match "^(%l+)=?(%d*)$"
  if argument:find("://", 1, true) then
    server = argument:gsub("/+$", "")
  elseif verb == "start" or verb == "cancel" or verb == "retry" then
    order = { action = verb, count = math.tointeger(tonumber(count)) }
  else
    name = argument
  end
end

local screen = uv.guess_handle(1) == "tty" and uv.new_tty(1, false)
io.stdout:setvbuf(screen and "full" or "line")

local function fail(problem)
  io.stderr:write(problem, "\n")
  os.exit(false)
end

-- A line that stays. In a terminal the last one doesn't: it is written over.
local function note(line)
  io.stdout:write(screen and "\r\27[K" or "", line, "\n")
  io.stdout:flush()
end

local function show(line)
  io.stdout:write("\r", line, "\27[K")
  io.stdout:flush()
end

local function in_units(bytes)
  return bytes < 1e6 and ("%.0f kB"):format(bytes / 1e3) or ("%.1f MB"):format(bytes / 1e6)
end

local function describe(now)
  if now.state == "idle" then
    return "there is no job yet"
  end
  local text = ("%d of %d, %s"):format(now.done, now.total, in_units(now.bytes))
  text = text .. (now.failed > 0 and (", %d failed"):format(now.failed) or "")
  if now.state ~= "running" then
    return ("%s: %s in %.0f s"):format(now.state, text, now.seconds)
  end
  text = text .. (", %s/s"):format(in_units(now.bytes / math.max(now.seconds, 0.1)))
  return text .. (now.left and (", %.0f s left"):format(now.left) or "")
end

local function draw_bar(now, text)
  local columns = screen:get_winsize()
  columns = columns > 0 and columns or 80 -- not every terminal knows
  local width = math.max(0, math.min(MAX_BAR, columns - #text - 2))
  local full = width * (now.done + now.failed) // math.max(now.total, 1)
  show(("█"):rep(full) .. ("░"):rep(width - full) .. " " .. text)
end

-- What was told already, so that nothing is told twice.
local told = { job = nil, failed = {}, tenth = nil }

local function tell(now, names)
  if told.job ~= now.job then
    told = { job = now.job, failed = {} }
  end
  for _, each in ipairs(now.problems) do
    local has_failed = now.files:sub(each.file, each.file) == "f"
    if has_failed and not told.failed[each.file] then
      note(("%s: %s (try %d)"):format(names[each.file] or each.file, each.problem, each.tries))
    end
    told.failed[each.file] = has_failed
  end
  local tenth = now.state .. (now.done + now.failed) * 10 // math.max(now.total, 1)
  if screen then
    draw_bar(now, describe(now))
  elseif tenth ~= told.tenth then
    note(describe(now))
  end
  told.tenth = tenth
end

local answer, problem = moonwire.fetch(server .. "/login", { json = { name = name } })
local login = answer and answer:json()
if not login or not login.token then
  fail(problem or login and login.message or ("%s answers with %d"):format(server, answer.status))
end

local ws
ws, problem = moonwire.connect(server:gsub("^http", "ws") .. "/api/litchi/" .. login.token, {
  reconnect = { retries = false, max_delay = 5 },
  reconnecting = function(_, _, delay, message)
    note(("%s; next try in %.1f s"):format(message, delay))
  end,
})
if not ws then
  fail(problem)
end
if order then
  ws:send_json(order)
end

local names, now = {}, nil
for text in ws:messages() do
  local message = json.decode(text)
  if message.type == "files" then
    names = message.names
  elseif message.type == "ok" then
    order = nil -- what comes now is what has become of it
  elseif message.type == "error" then
    note(message.message)
    ws:close()
  elseif message.type == "progress" and not order then
    now = message
    tell(now, names)
    if now.state == "done" or now.state == "cancelled" then
      ws:close()
    end
  end
end
if screen then
  print()
end
if now and now.state == "running" then
  print "the job goes on"
end
os.exit(now ~= nil and now.state == "done" and now.failed == 0)
