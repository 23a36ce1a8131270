-- async.lua - waiting in specs: for something to become true, for an item in a mailbox, for a function to end.
-- Works inside a task, where it yields, and outside of one, where it turns the loop by hand. No wait lasts longer than
-- a generous guard, after which the spec fails and says what it waited for: a correct run never gets near it.
-- Owns the temporary directories of the run and removes them at its end.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local uv = require "luv"

local M = {}

M.GUARD = 30
local RECHECK_MS = 10 -- for conditions that nobody announces with `wake`

local waiters = {} -- timer -> true, of those who wait now

local function seconds_now()
  return uv.hrtime() / 1e9
end

---Tell those who wait that something has changed; they look again in the loop's next turn, not inside this call.
function M.wake()
  for timer in pairs(waiters) do
    timer:start(0, RECHECK_MS, waiters[timer])
  end
end

-- Wait until the condition holds or time is up; the condition is evaluated in between.
local function wait(condition, seconds)
  local deadline = seconds_now() + seconds
  local result = condition()
  if result then
    return result
  end
  local timer = uv.new_timer()
  local task = coroutine.isyieldable() and coroutine.running() or nil
  local is_over = false
  local function check()
    if is_over then
      return
    end
    result = condition()
    is_over = result or seconds_now() > deadline
    if is_over and task then
      core.resume(task)
    end
  end
  waiters[timer] = check
  timer:start(RECHECK_MS, RECHECK_MS, check)
  if task then
    coroutine.yield()
  else
    while not is_over do
      uv.run("once")
    end
  end
  waiters[timer] = nil
  timer:close()
  return result
end

---Wait until `condition()` is true (or anything else than nil and false), and return what it returned.
---@generic T
---@param condition fun(): T
---@param what? string what is waited for, for the message
---@param seconds? number the guard
---@return T
function M.wait_until(condition, what, seconds)
  seconds = seconds or M.GUARD
  local result = wait(condition, seconds)
  if not result then
    error(("waited %g s for %s"):format(seconds, what or "a condition"), 2)
  end
  return result
end

---Run a function as a task and wait until it ends; an error in it is raised here. Returns what it returned.
---@param fn fun(...): ...
---@param seconds? number the guard
function M.run(fn, seconds)
  local outcome
  core.task(function()
    outcome = table.pack(xpcall(fn, function(problem)
      -- luassert's failures are tables that busted wants back as they are
      return type(problem) == "string" and debug.traceback(problem, 2) or problem
    end))
    M.wake()
  end)
  M.wait_until(function()
    return outcome
  end, "a task to end", seconds)
  if not outcome[1] then
    error(outcome[2], 0)
  end
  return table.unpack(outcome, 2, outcome.n)
end

---Wait a little where nothing is expected to happen. Only for that.
---@param seconds number
function M.quiet(seconds)
  wait(function() end, seconds)
end

-- Mailboxes: what arrives in handlers, for the spec to take out in order.

---@class spec.Mailbox
local Mailbox = {}
Mailbox.__index = Mailbox

---@return spec.Mailbox
function M.mailbox()
  return setmetatable({ items = {} }, Mailbox)
end

---Put something in; usable as a handler: `message = inbox:putter("message")`.
function Mailbox:put(...)
  table.insert(self.items, table.pack(...))
  M.wake()
end

---A handler that puts its own arguments in, with a name in front.
---@param name string
function Mailbox:putter(name)
  return function(...)
    self:put(name, ...)
  end
end

local function find(items, name)
  for i, item in ipairs(items) do
    if name == nil or item[1] == name then
      return i
    end
  end
end

local function shown(item)
  local texts = {}
  for i = 1, item.n do
    local text = tostring(item[i])
    texts[i] = #text > 80 and ("%s… (%d bytes)"):format(text:sub(1, 60), #text) or text
  end
  return table.concat(texts, " ")
end

---Take the first item whose first value is `name` (or any, without a name); wait for it if need be.
---@param name? string
---@param seconds? number the guard
---@return ... the other values of the item (all of them without a name)
function Mailbox:take(name, seconds)
  local found = wait(function()
    return find(self.items, name)
  end, seconds or M.GUARD)
  if not found then
    local texts = {}
    for i, item in ipairs(self.items) do
      texts[i] = "\n  " .. shown(item)
    end
    error(("waited %g s for %s; there was%s"):format(seconds or M.GUARD, name or "anything",
      texts[1] and table.concat(texts) or " nothing"), 2)
  end
  local item = table.remove(self.items, found)
  return table.unpack(item, name and 2 or 1, item.n)
end

---How many items of that name are there now.
---@param name? string
function Mailbox:count(name)
  local count = 0
  for _, item in ipairs(self.items) do
    count = count + ((name == nil or item[1] == name) and 1 or 0)
  end
  return count
end

-- Places: ports and directories.

---A TCP port on 127.0.0.1 that nobody listens on now.
---@return integer
function M.port()
  local socket = uv.new_tcp()
  assert(socket:bind("127.0.0.1", 0))
  local port = socket:getsockname().port
  socket:close()
  return port
end

-- busted forgets modules between spec files, so what lives as long as the run is kept in the registry.
local REGISTRY_KEY = "moonwire.spec.directories"
local directories = debug.getregistry()[REGISTRY_KEY]
if not directories then
  local function remove(list)
    for i, directory in ipairs(list) do
      os.execute("rm -rf '" .. directory .. "'")
      list[i] = nil
    end
  end
  directories = setmetatable({}, { __gc = remove })
  debug.getregistry()[REGISTRY_KEY] = directories
  -- A run that fails ends with os.exit, which does not close the state.
  local exit = os.exit
  os.exit = function(...) -- luacheck: ignore 122
    remove(directories)
    exit(...)
  end
end

---A new empty directory, removed at the end of the run.
---@return string
function M.directory()
  local directory = assert(uv.fs_mkdtemp(uv.os_tmpdir() .. "/moonwire-spec-XXXXXX"))
  table.insert(directories, directory)
  return directory
end

---A directory for the whole run, made by `fill(directory)` when it is first asked for.
---@param name string
---@param fill fun(directory: string)
---@return string
function M.shared_directory(name, fill)
  if not directories[name] then
    local directory = M.directory()
    fill(directory)
    directories[name] = directory
  end
  return directories[name]
end

return M
