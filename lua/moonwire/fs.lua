-- fs.lua - files, read and written without holding up the loop.
-- Each function is luv's of the same name, waiting for its answer in the running task instead of taking a callback.
-- Owns nothing: descriptors are plain numbers and belong to whoever opened them.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local uv = require "luv"

local M = {}

-- "ENOENT: no such file or directory: name" is luv's form; the code is its first word.
local function failure(text)
  return nil, text, text:match("^(E%w+)") or "EIO"
end

-- Call a luv function whose last argument is a callback(err, value), and wait for it.
local function wait(fn, ...)
  local task = coroutine.running()
  local arguments = table.pack(...)
  arguments[arguments.n + 1] = function(err, value)
    core.resume(task, err, value)
  end
  local request, message = fn(table.unpack(arguments, 1, arguments.n + 1))
  if not request then
    return failure(message or "EINVAL: invalid argument")
  end
  local err, value = coroutine.yield()
  if err then
    return failure(err)
  end
  return value
end

---@param path string
---@param flags integer|string luv's: "r", "w", or a sum of `uv.constants.O_…`
---@param mode? integer permissions of a new file, 0644 by default
---@return integer? fd
---@return string? message
---@return string? code "ENOENT", "EACCES" …
function M.open(path, flags, mode)
  return wait(uv.fs_open, path, flags, mode or 420)
end

---@param fd integer
---@param size integer
---@param offset integer -1: where the last read ended
---@return string? data "" at the end of the file
---@return string? message
---@return string? code
function M.read(fd, size, offset)
  return wait(uv.fs_read, fd, size, offset)
end

---Write all of `data`, at the end of what was written so far.
---@param fd integer
---@param data string
---@return true? ok
---@return string? message
---@return string? code
function M.write(fd, data)
  while data ~= "" do
    local written, message, code = wait(uv.fs_write, fd, data, -1)
    if not written then
      return nil, message, code
    end
    data = data:sub(written + 1)
  end
  return true
end

---Close without waiting: nobody has use for the answer.
---@param fd integer
function M.close(fd)
  uv.fs_close(fd, function() end)
end

---@param fd integer
---@return table? stat luv's
---@return string? message
---@return string? code
function M.fstat(fd)
  return wait(uv.fs_fstat, fd)
end

---The path without symbolic links, "." and "..".
---@param path string
---@return string? path
---@return string? message
---@return string? code
function M.realpath(path)
  return wait(uv.fs_realpath, path)
end

---@param path string
---@param new_path string
---@return true? ok
---@return string? message
---@return string? code
function M.rename(path, new_path)
  return wait(uv.fs_rename, path, new_path)
end

---@param path string
---@return true? ok
---@return string? message
---@return string? code
function M.unlink(path)
  return wait(uv.fs_unlink, path)
end

return M
