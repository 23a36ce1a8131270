-- program.lua - starts the program under test, the same binary that runs the specs, on scripts given as text; looks at its
-- output, its descriptors and its memory from outside.
-- Owns nothing: the processes are peers (see peer.lua), the scripts lie in the run's temporary directories.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local peer = require "spec.support.peer"
local uv = require "luv"

local M = {}

M.binary = assert(uv.exepath())
M.is_sanitized = (M.binary:find "/build/[%w-]*address" or M.binary:find "/build/[%w-]*thread") ~= nil
-- The repository, when the binary lies in its build/<mode>/.
M.root = M.binary:match "^(.*)/build/[^/]+/[^/]+$"

-- What every script of `start` can use; one line, so that its own lines keep their numbers.
local PRELUDE = [[
local moonwire, uv = require "moonwire", require "luv"; io.stdout:setvbuf "line"
local function tell(event, fields) fields = fields or {}; fields.event = event; print(moonwire.json.encode(fields)) end
local function serve(app, options)
  options = options or {}
  if not options.path then options.host, options.port = options.host or "127.0.0.1", options.port or 0 end
  local listener = assert(app:listen(options))
  tell("listening", options.path and { path = options.path } or { port = listener:address().port })
  return listener
end
local function next_order()
  local pipe, task = uv.new_pipe(false), coroutine.running()
  pipe:open(0)
  pipe:read_start(function(_, text)
    if not pipe:is_closing() then
      pipe:close()
      require("moonwire.core").resume(task, text and text:match "%S+")
    end
  end)
  return coroutine.yield()
end
]]
PRELUDE = PRELUDE:gsub("\n%s*", " ")

local count = 0

---Write a file that is removed after the run.
---@param text string
---@param name? string
---@return string path
function M.write(text, name)
  count = count + 1
  local directory = async.shared_directory("programs", function() end)
  local path = name and async.directory() .. "/" .. name or ("%s/%d.lua"):format(directory, count)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
  return path
end

---Start the program with any arguments.
---@param arguments string[]
---@param options? {cwd: string?, env: string[]?, command: string?}
---@return spec.Peer
function M.spawn(arguments, options)
  return peer.spawn(options and options.command or M.binary, arguments, options)
end

---Write a script, given as text, to be started in a way of one's own; it finds what those of `command` do.
---@param script string
---@return string path
function M.script(script)
  return M.write(PRELUDE .. script)
end

---The words that run a script, given as text, which finds `moonwire`, `uv`, `tell(event, fields)`, `serve(app, options)` and
---`next_order()` (waits for a word on standard input, and then closes it).
---@param script string
---@param arguments? string[]
---@param program_options? string[] of the program itself
---@return string[] command
function M.command(script, arguments, program_options)
  local words = { M.binary, table.unpack(program_options or {}) }
  words[#words + 1] = M.script(script)
  return table.move(arguments or {}, 1, #(arguments or {}), #words + 1, words)
end

---Start such a script.
---@param script string
---@param arguments? string[]
---@param program_options? string[]
---@return spec.Peer
function M.start(script, arguments, program_options)
  return M.spawn { table.unpack(M.command(script, arguments, program_options), 2) }
end

---Wait until a process has ended.
---@param child spec.Peer
---@return {code: integer, signal: integer, stdout: string, stderr: string}
function M.wait(child)
  async.wait_until(function()
    return child:count "exit" > 0
  end, child:report "has not ended")
  local exit = child:expect "exit"
  local lines = {}
  for _, event in ipairs(child.events) do
    table.insert(lines, event.text)
  end
  return { code = exit.code, signal = exit.signal, stdout = table.concat(lines, "\n"), stderr = child.stderr }
end

---Run the program to its end.
---@param arguments string[]
---@param options? {cwd: string?, env: string[]?, command: string?, stdin: string?}
---@return {code: integer, signal: integer, stdout: string, stderr: string}
function M.run(arguments, options)
  local child = M.spawn(arguments, options)
  if options and options.stdin then
    child.stdin:write(options.stdin)
  end
  child.stdin:shutdown()
  return M.wait(child)
end

---Run a script, given as text, to its end; without the prelude.
---@param script string
---@param ... string arguments
---@return {code: integer, signal: integer, stdout: string, stderr: string}
---@return string path
function M.run_script(script, ...)
  local path = M.write(script)
  return M.run({ path, ... }), path
end

---Wait for the end and fail unless it was clean: exit code 0 (or the one given), the loop closed, no report of a sanitizer.
---@param child spec.Peer
---@param code? integer
---@return string stderr without the lines about how a signal was followed, which are no trouble
function M.expect_clean_end(child, code)
  local result = M.wait(child)
  for _, trouble in ipairs { "event loop could not be closed", "Sanitizer", "runtime error:", "PANIC" } do
    if result.stderr:find(trouble, 1, true) then
      error(child:report "it did not end cleanly", 2)
    end
  end
  if result.code ~= (code or 0) or result.signal ~= 0 then
    error(child:report(("it ended with code %d, signal %d"):format(result.code, result.signal)), 2)
  end
  return (result.stderr:gsub("[^\n]*SIG%u+: [^\n]*\n", ""))
end

---How many descriptors a process has open, with a number from `first` on.
---@param pid integer
---@param first integer
---@return integer
function M.descriptors_from(pid, first)
  local found = 0
  for name in uv.fs_scandir_next, (assert(uv.fs_scandir(("/proc/%d/fd"):format(pid)))) do
    found = found + (tonumber(name) >= first and 1 or 0)
  end
  return found
end

---How many descriptors a process has open.
---@param pid integer
---@return integer
function M.descriptors(pid)
  return M.descriptors_from(pid, 0)
end

---Resident memory of a process, in KiB.
---@param pid integer
---@return integer
function M.memory(pid)
  local file = assert(io.open(("/proc/%d/status"):format(pid)))
  local status = file:read "a"
  file:close()
  return tonumber(status:match "VmRSS:%s*(%d+)")
end

return M
