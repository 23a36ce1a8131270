-- jobs.lua - everybody's job, kept by the user's name: sockets come and go, jobs stay.
-- Owns the jobs. One that ended long ago is deleted, and all of them are when the server ends: pictures take room.
-- SPDX-License-Identifier: MIT

local job_module = require "job"
local moonwire = require "moonwire"
local uv = require "luv"

local M = {}

local MAX_JOBS, KEEP_SECONDS, SWEEP_SECONDS, PUSH_SECONDS = 100, 3600, 60, 0.05

local jobs, count = {}, 0
local no_job = job_module.new({}, "")

---The job of a user; an empty one if there is none.
---@param user string
---@return Job
function M.of(user)
  return jobs[user] or no_job
end

local function forget(user)
  if jobs[user] then
    jobs[user]:remove()
    jobs[user], count = nil, count - 1
  end
end

-- `tell`, but not more often than anybody can look; never too seldom: the last change is always told.
local function at_leisure(tell)
  local is_planned = false
  return function()
    if not is_planned then
      is_planned = true
      moonwire.after(PUSH_SECONDS, function()
        is_planned = false
        tell()
      end)
    end
  end
end

---Start a new job. The one before goes, with its pictures.
---@param user string
---@param files {name: string, url: string}[]
---@param settings {timeout: number, pause: number}
---@param tell fun() called soon after something has changed
---@return string? problem
function M.start(user, files, settings, tell)
  if count >= MAX_JOBS and not jobs[user] then
    return "there are too many jobs; try again later"
  end
  local directory, problem = uv.fs_mkdtemp(uv.os_tmpdir() .. "/moonwire-pictures-XXXXXX")
  if not directory then
    return problem
  end
  forget(user)
  jobs[user], count = job_module.new(files, directory, settings, at_leisure(tell)), count + 1
  jobs[user]:start()
end

moonwire.every(SWEEP_SECONDS, function()
  for user, job in pairs(jobs) do
    if job.state ~= "running" and os.time() - job.ended > KEEP_SECONDS then
      forget(user)
    end
  end
end)

for _, signal in ipairs { "sigint", "sigterm" } do
  local watcher = uv.new_signal()
  watcher:start(signal, function()
    watcher:stop() -- so that the second one ends the process at once, as ever
    for user in pairs(jobs) do
      forget(user)
    end
  end)
  watcher:unref() -- it is no reason to stay
end

return M
