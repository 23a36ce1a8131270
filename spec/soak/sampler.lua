-- sampler.lua - what a process of the soak holds, seen from outside, at regular times: memory, descriptors, threads, CPU time.
-- SPDX-License-Identifier: MIT

local uv = require "luv"

local M = {}

local TICKS = 100 -- a second, of /proc/PID/stat

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

---@param pid integer
---@return {memory: number, descriptors: integer, threads: integer, cpu: number} sample bytes; seconds of CPU time
function M.sample(pid)
  local status = read(("/proc/%d/status"):format(pid))
  local user, system = read(("/proc/%d/stat"):format(pid)):match("%) " .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
  local descriptors = 0
  local request = assert(uv.fs_scandir(("/proc/%d/fd"):format(pid)))
  while uv.fs_scandir_next(request) do
    descriptors = descriptors + 1
  end
  return {
    memory = tonumber(status:match "VmRSS:%s*(%d+)") * 1024,
    threads = tonumber(status:match "Threads:%s*(%d+)"),
    descriptors = descriptors,
    cpu = (tonumber(user) + tonumber(system)) / TICKS,
  }
end

return M
