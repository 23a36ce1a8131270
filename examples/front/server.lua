-- server.lua - the front page: all examples running, each with a link, a sentence, and its Lua source beside it.
--
--   moonwire examples/front/server.lua [port] [host]
--
-- The examples run in this process, each an app of its own on one of the ports that follow (on any free ones, if the port
-- is 0). An example that can't start is listed with the reason; the others don't mind.
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"
local uv = require "luv"

local here = arg[0]:match "^(.*)/" or "."
local port, host = arg[1] or "8080", arg[2] or "127.0.0.1"

-- The names in a directory that match a pattern, sorted.
local function names(directory, pattern)
  local found = {}
  local scan = assert(uv.fs_scandir(directory))
  for name in uv.fs_scandir_next, scan do
    if name:find(pattern) then
      table.insert(found, name)
    end
  end
  table.sort(found)
  return found
end

-- Run an example as `moonwire path port host` would, but with a global `arg` and a `print` of its own: what it prints
-- first tells where it is.
local function run(example, path, its_port)
  local environment = setmetatable({ arg = { [0] = path, its_port, host } }, { __index = _G })
  function environment.print(line)
    print(line)
    if not example.port then
      local its, page = line:match "http://%S-:(%d+)(/%S*)"
      example.port, example.page = tonumber(its), page
    end
  end
  local ok, problem = xpcall(assert(loadfile(path, "t", environment)), debug.traceback)
  if not ok then
    example.problem = tostring(problem):match "^[^\n]*"
    moonwire.log("error", ("the example %s doesn't run: %s"):format(example.name, problem))
  end
end

local examples, paths = {}, {} -- paths: "chat/server.lua" -> where it is
for _, name in ipairs(names(here .. "/..", "^[%w-]+$")) do
  local directory = ("%s/../%s"):format(here, name)
  local server = io.open(directory .. "/server.lua")
  if server and name ~= "front" then
    local example = { name = name, files = names(directory, "%.lua$") }
    example.sentence = server:read("l"):match "^%-%- server%.lua %- (.*)"
    for _, file in ipairs(example.files) do
      paths[name .. "/" .. file] = directory .. "/" .. file
    end
    table.insert(examples, example)
  end
end

local app = moonwire.app()
app:static("/", here .. "/public")
app:static("/common", here .. "/../common")

app:get("/examples", function(_, res)
  res:json(examples)
end)

app:get("/source/:example/:file", function(req, res)
  local path = paths[req.params.example .. "/" .. req.params.file]
  if path then
    return res:file(path, { type = "text/plain; charset=utf-8" })
  end
  res.status = 404
  res:send "there is no such file in the examples\n"
end)

local listener = assert(app:listen { host = host, port = port })
local address = listener:address()
print(("All examples are at http://%s:%d/"):format(address.host, address.port))
for i, example in ipairs(examples) do
  run(example, paths[example.name .. "/server.lua"], port == "0" and "0" or tostring(address.port + i))
end
