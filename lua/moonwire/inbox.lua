-- inbox.lua - the messages of a client that are read in a loop: kept until the loop asks for them.
-- Owns what is kept, and wakes the two who may wait: the reader for a message, the writer for room.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"

local M = {}

-- Messages kept; then the server is made to wait, or, when nobody ever reads, the oldest goes.
local MOST = 256

---@class moonwire.inbox.Inbox
---@field is_read boolean somebody reads in a loop
local Inbox = {}
Inbox.__index = Inbox

---@param name string for the log
---@return moonwire.inbox.Inbox
function M.new(name)
  return setmetatable({ name = name, first = 1, last = 0, is_read = false }, Inbox)
end

local function wake(self, who, ...)
  local task = self[who]
  if task then
    self[who] = nil
    core.resume(task, ...)
    return true
  end
end

---Keep a message. Waits while there is no room, if somebody reads.
---@param data string
---@param kind "text"|"binary"
function Inbox:put(data, kind)
  if wake(self, "reader", data, kind) then
    return
  end
  self.last = self.last + 1
  self[self.last] = { data, kind }
  local count = self.last - self.first + 1
  if count >= MOST and self.is_read then
    self.writer = coroutine.running()
    coroutine.yield()
  elseif count > MOST then
    self[self.first] = nil
    self.first = self.first + 1
    if not self.has_warned then
      self.has_warned = true
      core.log("warning", self.name .. ": the oldest messages are dropped, because nobody reads them "
        .. "(there is no `message` handler and no loop over ws:messages())")
    end
  end
end

---Take the next message; waits for it. Nothing when there will be none.
---@return string? data
---@return "text"|"binary"|nil kind
function Inbox:take()
  local message = self[self.first]
  if message then
    self[self.first] = nil
    self.first = self.first + 1
    wake(self, "writer")
    return message[1], message[2]
  elseif self.ended then
    return nil
  elseif self.reader then
    error("messages: another task waits for the next message already", 3)
  end
  self.reader = coroutine.running()
  return coroutine.yield()
end

---Let the one go on who waits for room.
function Inbox:release()
  wake(self, "writer")
end

---No more messages will come.
function Inbox:finish()
  self.ended = true
  wake(self, "reader", nil)
end

return M
