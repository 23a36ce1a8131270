-- server.lua - pictures that the server downloads, and everybody's own progress: true at once, wherever they look from.
--
--   moonwire examples/progress/server.lua [port] [host] [URL…] [name=value…]
--
-- Whatever has "://" in it is the URL of a picture. Without any, moons come from a small picture server of its own, which
-- fails now and then. The values that can be set, with their defaults:
--   failing=0.1   share of the requests that fail there     slow=0.1     seconds between the pieces of a picture there
--   timeout=30    seconds for one try                       pause=0.5    seconds before the second; then twice as long
--
--   POST /login                    { name } as JSON: who you are; answers { token }
--   ws://…/api/litchi/<token>      pushes the progress; a GET of the same answers what it is now
--   GET /pictures/<token>/J/N      picture N of job J, when it is done
-- On the wire are JSON objects:
--   window  { action = "start", count = 200 }   { action = "cancel" }   { action = "retry" }: what is not done yet
--   server  { type = "files", job, names, most }      what the job is about; `most`: how many can be asked for
--           { type = "progress", job, state, total, done, failed, bytes, seconds, left, files, loading, problems }
--                                       where it stands, all of it. `files` has a letter for each: w(aiting) l(oading)
--                                       d(one) f(ailed); in `loading` and `problems` it is named by its number
--           { type = "ok", action }     { type = "error", message }      to the window that asked
-- SPDX-License-Identifier: MIT

local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. here .. "/../common/?.lua;" .. package.path

local jobs = require "jobs"
local moonwire = require "moonwire"
local signer = require("token").signer(here)

local TOKEN_SECONDS, MAX_NAME = 12 * 3600, 24

local settings = { failing = 0.1, slow = 0.1, timeout = 30, pause = 0.5 }
local source, place = require("source").read(arg, settings)
local app = moonwire.app()

local function describe(user)
  local job, names = jobs.of(user), moonwire.json.array()
  for i, file in ipairs(job.files) do
    names[i] = file.name
  end
  return { type = "files", job = job.id, names = names, most = source.most }
end

-- What a window may ask for. Each returns what was wrong, if anything was.
local handle = {}

function handle.start(user, message)
  local count = message.count or source.most
  if math.type(count) ~= "integer" or count < 1 or count > source.most then
    return ("ask for 1 to %d pictures"):format(source.most)
  elseif jobs.of(user).state == "running" then
    return "your pictures are being downloaded already"
  end
  local problem = jobs.start(user, source.list(count), settings, function()
    app:publish_json("progress " .. user, jobs.of(user):summary())
  end)
  app:publish_json("files " .. user, describe(user))
  return problem
end

function handle.cancel(user)
  if jobs.of(user).state ~= "running" then
    return "nothing is being downloaded"
  end
  jobs.of(user):cancel()
end

function handle.retry(user)
  local now = jobs.of(user):summary()
  if now.state == "running" or now.done == now.total then
    return "there is nothing to try again"
  end
  jobs.of(user):start()
end

function handle.anything_else()
  return "send a JSON object with the action start, cancel or retry"
end

-- Whose token it is; or nil and what is wrong with it.
local function user_of(req)
  local claims, problem = signer:verify(req.params.token)
  return claims and claims.sub, problem
end

app:ws("/api/litchi/*token", {
  max_payload = 16 * 1024,
  compress = true,
  slow = "latest", -- a window that can't keep up is spared what is no longer true
  max_backpressure = 256 * 1024,

  upgrade = function(req)
    local user, problem = user_of(req)
    return user and { user = user } or moonwire.reject(401, problem .. "\n")
  end,

  open = function(ws)
    local user = ws.data.user
    ws:send_json(describe(user))
    ws:send_json(jobs.of(user):summary())
    ws:subscribe("files " .. user)
    ws:subscribe("progress " .. user)
  end,

  message = function(ws, text)
    local message = moonwire.json.decode(text)
    local act = type(message) == "table" and handle[message.action] or handle.anything_else
    local problem = act(ws.data.user, message)
    ws:send_json(problem and { type = "error", message = problem } or { type = "ok", action = message.action })
  end,
})

app:get("/api/litchi/*token", function(req, res)
  local user, problem = user_of(req)
  res.status = user and 200 or 401
  res:json(user and jobs.of(user):summary() or { message = problem })
end)

app:get("/pictures/:token/:job/:number", function(req, res)
  local user = user_of(req)
  local job = user and jobs.of(user)
  local file = job and job.id == req.params.job and job.files[math.tointeger(req.params.number)]
  if file and file.state == "done" then
    res.headers["X-Content-Type-Options"] = "nosniff"
    return res:file(file.path, { type = file.kind, max_age = TOKEN_SECONDS })
  end
  res.status = 404
  res:send "there is no such picture\n"
end)

-- For the demonstration anybody is who they say. A real one asks for a password here, and perhaps slows down who guesses.
app:post("/login", function(req, res)
  local message = req:json()
  local name = type(message) == "table" and message.name
  local length = type(name) == "string" and utf8.len(name)
  if not length or length > MAX_NAME or not name:find "%S" then
    res.status = 400
    return res:json { message = ("a name has 1 to %d characters"):format(MAX_NAME) }
  end
  res:json { token = signer:sign({ sub = name:match "^%s*(.*%S)" }, TOKEN_SECONDS) }
end)

app:static("/common", here .. "/../common")
app:static("/", here .. "/public")

local listener = assert(app:listen { host = place[2] or "127.0.0.1", port = place[1] or 8080 })
local address = listener:address()
print(("The pictures are at http://%s:%d/"):format(address.host, address.port))
if source.url then
  print("They come from " .. source.url)
end
