-- process.lua - the programs that a measurement starts: found, pinned to a core, waited for, ended.
-- Owns the processes it started; none outlives the program, also when that is interrupted. Every function that waits
-- does so inside a task.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local uv = require "luv"

local M = {}

local STOP_SECONDS = 3 -- between asking a program to end and ending it

local running = {} -- process -> true

---@class bench.Process
---@field pid integer
---@field stdout string
---@field stderr string only where it was asked for
---@field exit {code: integer, signal: integer}|nil

local function read_file(path)
  local file = io.open(path)
  local text = file and file:read "a" or ""
  if file then
    file:close()
  end
  return text
end

---Where a program is: a path that can be run, or a name looked for in PATH; nil when there is none.
---@param name string
---@return string|nil path
function M.find(name)
  if name:find("/", 1, true) then
    return uv.fs_access(name, "X") and name or nil
  end
  for directory in (os.getenv "PATH" or ""):gmatch "[^:]+" do
    local path = directory .. "/" .. name
    if uv.fs_access(path, "X") then
      return path
    end
  end
end

---The cores this process may use.
---@return integer[]
function M.cores()
  local cores = {}
  local list = read_file("/proc/self/status"):match "Cpus_allowed_list:%s*(%S+)" or "0"
  for first, last in list:gmatch "(%d+)%-?(%d*)" do
    for number = tonumber(first), tonumber(last) or tonumber(first) do
      table.insert(cores, number)
    end
  end
  return cores
end

---How many descriptors a process may have open; the programs started here inherit it.
---@return integer
function M.descriptor_limit()
  return tonumber(read_file("/proc/self/limits"):match "Max open files%s+(%d+)") or 1024
end

---A process and those it started.
---@param pid integer
---@return integer[]
function M.family(pid)
  local family = { pid }
  for _, member in ipairs(family) do
    for child in read_file(("/proc/%d/task/%d/children"):format(member, member)):gmatch "%d+" do
      table.insert(family, tonumber(child))
    end
  end
  return family
end

-- Something was heard of a process: whoever waits for it looks again.
local function wake(process)
  local task = process.task
  if task then
    process.task = nil
    core.resume(task)
  end
end

local function wait(process, condition)
  while not condition() do
    process.task = coroutine.running()
    coroutine.yield()
  end
end

local function read(process, pipe, field)
  process.open_pipes = process.open_pipes + 1
  pipe:read_start(function(_, chunk)
    if chunk then
      process[field] = process[field] .. chunk
    else
      pipe:close()
      process.open_pipes = process.open_pipes - 1
    end
    wake(process)
  end)
end

-- Starts a program, on one core if there is a number. What it writes on standard error is shown, unless it is kept.
local function spawn(command, arguments, pinned_to, keeps_stderr)
  if pinned_to then
    command, arguments = "taskset", { "-c", tostring(pinned_to), command, table.unpack(arguments) }
  end
  local process = { stdout = "", stderr = "", open_pipes = 0 }
  local stdout, stderr = uv.new_pipe(), keeps_stderr and uv.new_pipe()
  local options = { args = arguments, stdio = { nil, stdout, stderr or 2 } }
  local handle, pid = uv.spawn(command, options, function(code, signal)
    process.exit = { code = code, signal = signal }
    process.handle:close()
    running[process] = nil
    wake(process)
  end)
  if not handle then
    stdout:close()
    if stderr then
      stderr:close()
    end
    return nil, ("%s: %s"):format(command, pid)
  end
  process.handle, process.pid = handle, pid
  running[process] = true
  read(process, stdout, "stdout")
  if stderr then
    read(process, stderr, "stderr")
  end
  return process
end

-- Sends a signal to a process and to those it started, which might live on without it.
local function kill(process, signal)
  for _, pid in ipairs(process.exit and {} or M.family(process.pid)) do
    uv.kill(pid, signal)
  end
end

local function kill_later(process, seconds)
  local timer = uv.new_timer()
  timer:start(math.floor(seconds * 1000), 0, function()
    kill(process, "sigkill")
  end)
  return timer
end

---Run a program to its end, which comes after `seconds` at the latest.
---@param command string
---@param arguments string[]
---@param options {seconds: number, core: integer?}
---@return bench.Process|nil
---@return string|nil message
function M.run(command, arguments, options)
  local process, message = spawn(command, arguments, options.core, true)
  if not process then
    return nil, message
  end
  local timer = kill_later(process, options.seconds)
  wait(process, function()
    return process.exit and process.open_pipes == 0
  end)
  timer:close()
  return process
end

---Start a program that goes on, and wait for the first line of what it prints.
---@param command string
---@param arguments string[]
---@param pinned_to? integer a core
---@return bench.Process|nil
---@return string line, or what went wrong
function M.start(command, arguments, pinned_to)
  local process, message = M.start_silent(command, arguments, pinned_to)
  if not process then
    return nil, message
  end
  wait(process, function()
    return process.exit or process.stdout:find("\n", 1, true)
  end)
  local line = process.stdout:match "^([^\n]*)\n"
  if not line then
    return nil, ("%s: ended with code %d"):format(command, process.exit.code)
  end
  return process, line
end

---Start a program that goes on, whatever it prints.
---@param command string
---@param arguments string[]
---@param pinned_to? integer a core
---@return bench.Process|nil
---@return string|nil message
function M.start_silent(command, arguments, pinned_to)
  return spawn(command, arguments, pinned_to, false)
end

---End a program and wait until it is gone.
---@param process bench.Process
function M.stop(process)
  if process.exit then
    return
  end
  kill(process, "sigterm")
  local timer = kill_later(process, STOP_SECONDS)
  wait(process, function()
    return process.exit
  end)
  timer:close()
end

---End everything that still runs, without waiting.
function M.kill_all()
  for process in pairs(running) do
    kill(process, "sigkill")
  end
end

core.on_exit(M.kill_all)

return M
