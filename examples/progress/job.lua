-- job.lua - a list of pictures that is downloaded: several at a time, tried again when that may help, until all of them
-- are done or have failed, or somebody cancels it.
-- Owns the directory of the pictures. Knows nothing of who watches: it calls `changed` when its summary has changed.
-- SPDX-License-Identifier: MIT

local download = require "download"
local moonwire = require "moonwire"
local uv = require "luv"

local M = {}

local AT_ONCE, MAX_TRIES = 6, 4

---@class Job
---@field id string
---@field state "idle"|"running"|"done"|"cancelled"
---@field files {name: string, url: string, state: string, path: string?, kind: string?}[]
local Job = {}
Job.__index = Job

local function now()
  return uv.hrtime() / 1e9
end

---@param files {name: string, url: string}[]
---@param directory string empty; the job owns it from now on. Its last letters are the id of the job
---@param settings {timeout: number, pause: number} seconds for one try; until the second, twice as long until the third
---@param changed fun()
---@return Job
function M.new(files, directory, settings, changed)
  for _, file in ipairs(files) do
    file.state, file.received, file.tries = "waiting", 0, 0
  end
  -- `run` counts starts and stops: whoever has waited sees by it that the job has gone on without them.
  return setmetatable({
    id = directory:match "%w*$", directory = directory, state = "idle", files = files, settings = settings,
    changed = changed, run = 0, serial = 0, seconds = 0,
  }, Job)
end

local function stop(job, state)
  job.run, job.state, job.ended, job.seconds = job.run + 1, state, os.time(), now() - job.began
  job.changed()
end

local function settle(job, file, state)
  file.state, job.unsettled = state, job.unsettled - 1
  if job.unsettled == 0 then
    stop(job, "done")
  end
end

-- Try one file, and decide what comes of it.
local function try(job, file)
  local run = job.run
  file.state, file.tries, file.received, file.total = "loading", file.tries + 1, 0, nil
  job.serial = job.serial + 1 -- a try that was cancelled may still have its file open
  local path = ("%s/%d"):format(job.directory, job.serial)
  job.changed()
  local kind, problem, is_lasting = download.try(file.url, path, job.settings.timeout, function(received, total)
    if job.run == run then
      file.received, file.total = received, total
      job.changed()
    end
    return job.run == run
  end)
  if job.run ~= run then
    return os.remove(path)
  end
  file.problem = problem
  job.changed()
  if kind then
    file.path, file.kind = path, kind
    return settle(job, file, "done")
  end
  file.received, file.total = 0, nil
  if is_lasting or file.tries == MAX_TRIES then
    return settle(job, file, "failed")
  end
  file.state = "waiting"
  moonwire.after(job.settings.pause * 2 ^ (file.tries - 1), function()
    if job.run == run then
      table.insert(job.queue, file)
      job:work()
    end
  end)
end

-- One more worker, if there is room for it. It takes one file after the other.
function Job:work()
  local run = self.run
  if self.workers == AT_ONCE then
    return
  end
  self.workers = self.workers + 1
  moonwire.spawn(function()
    while self.run == run and self.queue[1] do
      try(self, table.remove(self.queue, 1))
    end
    if self.run == run then
      self.workers = self.workers - 1
    end
  end)
end

---Download what is not done yet. Not while it is running.
function Job:start()
  self.run, self.state, self.began = self.run + 1, "running", now() - self.seconds
  self.queue, self.workers = {}, 0
  for _, file in ipairs(self.files) do
    if file.state ~= "done" then
      file.state, file.tries, file.problem = "waiting", 0, nil
      table.insert(self.queue, file)
    end
  end
  self.unsettled = #self.queue
  for _ = 1, math.min(AT_ONCE, #self.queue) do
    self:work()
  end
end

---Stop it. Not unless it is running.
function Job:cancel()
  for _, file in ipairs(self.files) do
    if file.state == "loading" then
      file.state, file.received, file.total = "waiting", 0, nil
    end
  end
  stop(self, "cancelled")
end

---Delete the pictures. It must not be started again.
function Job:remove()
  if self.state == "running" then
    self:cancel()
  end
  local scan = uv.fs_scandir(self.directory) -- nil if somebody has tidied up before
  local name = scan and uv.fs_scandir_next(scan)
  while name do
    os.remove(self.directory .. "/" .. name)
    name = uv.fs_scandir_next(scan)
  end
  os.remove(self.directory)
end

---Where it stands, all of it: whoever has the newest one has the truth, whatever they have missed.
---@return table
function Job:summary()
  local count, bytes = { waiting = 0, loading = 0, done = 0, failed = 0 }, 0
  local letters, loading, problems = {}, moonwire.json.array(), moonwire.json.array()
  for i, file in ipairs(self.files) do
    letters[i] = file.state:sub(1, 1)
    count[file.state] = count[file.state] + 1
    bytes = bytes + file.received
    if file.state == "loading" then
      table.insert(loading, { file = i, received = file.received, total = file.total })
    end
    if file.problem then
      table.insert(problems, { file = i, tries = file.tries, problem = file.problem })
    end
  end
  local seconds = self.state == "running" and now() - self.began or self.seconds
  local settled = count.done + count.failed
  return {
    type = "progress", job = self.id, state = self.state, files = table.concat(letters), total = #self.files,
    done = count.done, failed = count.failed, bytes = bytes, seconds = seconds,
    left = self.state == "running" and settled > 0 and seconds / settled * (#self.files - settled) or nil,
    loading = loading, problems = problems,
  }
end

return M
