-- server.lua - the server of the soak: everything that moonwire serves, on a plain and on a TLS port, with handlers that
-- fail, run away or take all the memory when they are asked to. Started by run.lua, with one argument in JSON: `cert`, `key`,
-- `ca`, `files` (a directory), `leak` (a planted leak: "memory", "descriptor" or both). Ends with its standard input.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local moonwire = require "moonwire"
local uv = require "luv"

local options = assert(moonwire.json.decode(arg[1]))
local leak = { memory = options.leak:find "memory", descriptor = options.leak:find "descriptor" }
-- Connections for one descriptor that is leaked; bytes for each message; and where that ends, below the limit of the memory.
local LEAK_EVERY, LEAK_BYTES, LEAK_MAX_KIB = 10, 8192, 36 << 10
local FLOOD, FLOOD_MESSAGES = ("f"):rep(64 << 10), 64

local app = moonwire.app { max_body = 4 << 20 }
local received, kept, opened = 0, {}, 0
local port, tls_port

local function keep(data)
  if leak.memory and collectgarbage "count" < LEAK_MAX_KIB then
    table.insert(kept, data .. ("k"):rep(LEAK_BYTES))
  end
end

local function echo(ws, data, kind)
  received = received + 1
  keep(data:sub(1, 16))
  ws:send(data, kind)
end

local function count_open()
  opened = opened + 1
  if leak.descriptor and opened % LEAK_EVERY == 0 then
    uv.fs_open("/dev/null", "r", 0)
  end
end

app:ws("/echo", { open = count_open, message = echo })
app:ws("/packed", { open = count_open, compress = true, message = echo })
app:ws("/context", {
  open = count_open,
  compress = { server_no_context_takeover = false, client_no_context_takeover = false },
  message = echo,
})

-- What is published here is acknowledged to who sent it, once it is queued for all others.
app:ws("/room/:room", {
  compress = true,
  open = function(ws)
    count_open()
    ws:subscribe(ws.params.room)
    ws:send(tostring(app:subscribers(ws.params.room)))
  end,
  message = function(ws, data)
    received = received + 1
    local count = ws:publish(ws.params.room, data)
    ws:send(("%d %s"):format(count, data:match "^%d+"))
  end,
})

-- More than the kernel takes, for those who do not read it.
for _, policy in ipairs { "close", "drop", "latest" } do
  app:ws("/slow/" .. policy, {
    slow = policy,
    max_backpressure = 512 << 10,
    open = function(ws)
      count_open()
      ws:subscribe("slow/" .. policy)
      for _ = 1, FLOOD_MESSAGES do
        if not ws:send(FLOOD) then
          break
        end
      end
    end,
  })
end
moonwire.every(0.1, function()
  for _, policy in ipairs { "close", "drop", "latest" } do
    app:publish("slow/" .. policy, FLOOD)
  end
end)

local FAULTS = {}
function FAULTS.error()
  error "as ordered"
end
function FAULTS.waiting()
  moonwire.sleep(0.01)
  error { "no text, as ordered" }
end
function FAULTS.runaway()
  while true do
    received = received + 0
  end
end
function FAULTS.hog()
  local hog = {}
  while true do
    table.insert(hog, ("x"):rep(65536) .. #hog)
  end
end
function FAULTS.terminate(ws)
  ws:terminate()
end
app:ws("/faulty", {
  open = count_open,
  message = function(ws, data)
    FAULTS[data](ws)
  end,
})

app:post("/body", function(req, res)
  res:send(req.body, "application/octet-stream")
end)
app:get("/stream", function(_, res)
  for i = 1, 20 do
    if not res:write(("%d "):format(i):rep(2000)) then
      return
    end
    moonwire.sleep(0.002)
  end
end)
app:get("/fetch", function(req, res)
  local is_secure = req.query.secure == "yes"
  local url = ("%s://localhost:%d/files/%s"):format(is_secure and "https" or "http", is_secure and tls_port or port,
    req.query.name)
  local file = req.query.file and ("%s/../fetched-%d"):format(options.files, uv.hrtime())
  local answer, message = moonwire.fetch(url, { tls = is_secure and { ca = options.ca } or nil, file = file })
  if not answer then
    res.status = 502
    return res:send(message)
  elseif not file then
    return res:send(answer.body, "application/octet-stream")
  end
  res:file(file)
  os.remove(file)
end)
app:get("/fail", function()
  error "as ordered"
end)
app:static("/files", options.files)

-- What there is when everything that is only garbage has gone.
app:get("/account", function(_, res)
  collectgarbage()
  collectgarbage()
  local count = core.count()
  res:json {
    received = received,
    connections = count.connections,
    websockets = count.websockets,
    lua = math.floor(collectgarbage "count" * 1024),
  }
end)

local limits = { host = "127.0.0.1", port = 0 }
port = assert(app:listen(limits)):address().port
limits.tls = { cert = options.cert, key = options.key, reload = 0.5 }
tls_port = assert(app:listen(limits)):address().port
print(moonwire.json.encode { event = "listening", port = port, tls_port = tls_port })
io.stdout:flush()

local input = uv.new_pipe(false)
input:open(0)
input:read_start(function(_, bytes)
  if not bytes then
    uv.kill(uv.os_getpid(), "sigterm")
    input:close()
  end
end)
