-- outbox.lua - what a client wants to send while its connection isn't open: kept in order, up to a limit.
-- Owns the messages until they are taken.
-- SPDX-License-Identifier: MIT

local options = require "moonwire.options"

local M = {}

local DEFAULTS = { max_messages = 100, max_bytes = 256 * 1024 }

M.OPTIONS = {
  max_messages = options.integer(1),
  max_bytes = options.integer(1),
}

---@class moonwire.outbox.Outbox
local Outbox = {}
Outbox.__index = Outbox

---@param rule true|moonwire.QueueOptions
---@return moonwire.outbox.Outbox
function M.new(rule)
  rule = rule == true and {} or rule
  return setmetatable({
    max_messages = rule.max_messages or DEFAULTS.max_messages,
    max_bytes = rule.max_bytes or DEFAULTS.max_bytes,
    bytes = 0,
  }, Outbox)
end

---Keep a message.
---@param data string
---@param kind? "text"|"binary"
---@return boolean kept false: there is no room
function Outbox:put(data, kind)
  if #self >= self.max_messages or self.bytes + #data > self.max_bytes then
    return false
  end
  self[#self + 1] = { data, kind }
  self.bytes = self.bytes + #data
  return true
end

---Hand the messages over, oldest first, as long as they are taken.
---@param take fun(data: string, kind: "text"|"binary"|nil): boolean? whether it was taken
function Outbox:drain(take)
  while self[1] and take(self[1][1], self[1][2]) do
    self.bytes = self.bytes - #table.remove(self, 1)[1]
  end
end

return M
