-- history.lua - what was said in each room, and how far each side has read, in an SQLite file; by way of Debian's
-- lua-sql-sqlite3.
-- Owns the file. What is to be written waits some milliseconds for company and becomes one transaction: when a write
-- returns, the disk has it, and a thousand messages don't cost a thousand flushes.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local moonwire = require "moonwire"

local M = {}

-- SQLite blocks the loop while it works, measured on an SSD: 0.4 ms for a message alone, 1 ms for 10, 10 ms for 200. As who
-- writes waits for it, a group has at most one message of each client.
local GROUP_SECONDS = 0.002
local PAGE, PAGE_BYTES = 50, 128 * 1024 -- of messages; the bytes are at most six times as many in JSON
local MAX_LISTED, MAX_ROOMS = 200, 10000

local SCHEMA = {
  "PRAGMA journal_mode = WAL",
  "PRAGMA synchronous = FULL", -- flushes the journal at each commit, as WAL does not by itself
  [[CREATE TABLE IF NOT EXISTS rooms (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL DEFAULT 0,     -- the number of its latest message
    customer INTEGER NOT NULL DEFAULT 0, -- up to which message the customer has read
    agent INTEGER NOT NULL DEFAULT 0     -- and up to which any agent has
  ) WITHOUT ROWID]],
  [[CREATE TABLE IF NOT EXISTS messages (
    room TEXT NOT NULL,
    seq INTEGER NOT NULL, -- 1, 2, 3 … in each room
    role TEXT NOT NULL,
    sender TEXT NOT NULL,
    id TEXT,              -- the sender's own; what is sent twice is stored once
    content TEXT NOT NULL,
    at INTEGER NOT NULL,  -- seconds since 1970
    PRIMARY KEY (room, seq),
    UNIQUE (room, role, sender, id)
  ) WITHOUT ROWID]],
}

local HEX = {}
for byte = 0, 255 do
  HEX[string.char(byte)] = ("%02x"):format(byte)
end

-- LuaSQL binds no parameters, and its `escape` stops at a NUL byte. In hexadecimal there is nothing to escape.
local function literal(value)
  if value == nil then
    return "NULL"
  elseif math.type(value) == "integer" then
    return tostring(value)
  end
  return "CAST(x'" .. value:gsub(".", HEX) .. "' AS TEXT)"
end

-- Execute a statement, the values in place of its question marks. Returns the rows; raises what SQLite complains about.
local function run(self, sql, ...)
  local values, count = table.pack(...), 0
  local cursor, problem = self.connection:execute((sql:gsub("%?", function()
    count = count + 1
    return literal(values[count])
  end)))
  if not cursor then
    error(problem, 0)
  end
  local rows = {}
  local row = type(cursor) == "userdata" and cursor:fetch({}, "a")
  while row do
    table.insert(rows, row)
    row = cursor:fetch({}, "a")
  end
  return rows -- after the last row LuaSQL has closed the cursor
end

---@class chat.History
local History = {}
History.__index = History

---@param path string of the database; made if there is none
---@return chat.History
function M.open(path)
  local found, luasql = pcall(require, "luasql.sqlite3")
  if not found then
    error("the chat keeps its history in SQLite: install Debian's lua-sql-sqlite3", 0)
  end
  local environment = luasql.sqlite3()
  local connection, problem = environment:connect(path)
  local self = setmetatable({ environment = environment, connection = connection, waiting = {} }, History)
  local ok = connection
  for _, statement in ipairs(SCHEMA) do
    if ok then
      ok, problem = pcall(run, self, statement)
    end
  end
  if not ok then
    error(("the database %s can't be opened: %s"):format(path, problem), 0)
  end
  return self
end

local function commit(self)
  local group, outcomes = self.waiting, {}
  self.waiting = {}
  local ok, problem = pcall(function()
    run(self, "BEGIN IMMEDIATE")
    for i, write in ipairs(group) do
      outcomes[i] = table.pack(write.work())
    end
    run(self, "COMMIT")
  end)
  if not ok then
    pcall(run, self, "ROLLBACK")
    moonwire.log("error", ("%d writes to the history failed: %s"):format(#group, problem))
  end
  for i, write in ipairs(group) do
    if ok then
      core.resume(write.task, table.unpack(outcomes[i]))
    else
      core.resume(write.task, nil, "it could not be stored, try again later")
    end
  end
end

-- Have `work` done in the next transaction, and wait for that. Returns what it did, or nil and why nothing is stored.
local function write(self, work)
  table.insert(self.waiting, { work = work, task = coroutine.running() })
  if #self.waiting == 1 then
    moonwire.after(GROUP_SECONDS, function()
      commit(self)
    end)
  end
  return coroutine.yield()
end

local function find_room(self, name)
  return run(self, "SELECT * FROM rooms WHERE name = ?", name)[1]
end

local function find_or_make_room(self, message)
  local room = find_room(self, message.room)
  if room or message.role ~= "customer" then
    return room, "there is no such conversation"
  elseif run(self, "SELECT count(*) AS count FROM rooms")[1].count >= MAX_ROOMS then
    return nil, "there are too many conversations"
  end
  run(self, "INSERT INTO rooms (name) VALUES (?)", message.room)
  return { last = 0 }
end

---Store a message, unless it is there already by its sender's id; waits until the disk has it.
---@param message {room: string, role: string, sender: string, id: string?, content: string, at: integer}
---@return {seq: integer, at: integer, repeated: boolean?}|nil
---@return string|nil problem
function History:add(message)
  return write(self, function()
    local known = message.id and run(self, [[SELECT seq, at, 1 AS repeated FROM messages
      WHERE room = ? AND role = ? AND sender = ? AND id = ?]],
      message.room, message.role, message.sender, message.id)[1]
    if known then
      return known
    end
    local room, problem = find_or_make_room(self, message)
    if not room then
      return nil, problem
    end
    local seq = room.last + 1
    run(self, "UPDATE rooms SET last = ? WHERE name = ?", seq, message.room)
    run(self, "INSERT INTO messages (room, seq, role, sender, id, content, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
      message.room, seq, message.role, message.sender, message.id, message.content, message.at)
    return { seq = seq, at = message.at }
  end)
end

---One side has read a room up to a message; never less than before.
---@param name string of the room
---@param role "customer"|"agent"
---@param seq integer
---@return {seq: integer, unread: integer}|nil mark
---@return string|nil problem
function History:read(name, role, seq)
  return write(self, function()
    local room = find_room(self, name)
    if not room then
      return nil, "there is no such conversation"
    end
    local mark = math.max(room[role], math.min(seq, room.last))
    run(self, ("UPDATE rooms SET %s = ? WHERE name = ?"):format(role), mark, name)
    local count = run(self, "SELECT count(*) AS unread FROM messages WHERE room = ? AND seq > ? AND role <> ?",
      name, mark, role)[1]
    return { seq = mark, unread = count.unread }
  end)
end

---The messages of a room before one of them, or its last ones; oldest first.
---@param name string
---@param before? integer
---@return {messages: table[], more: boolean, read: {customer: integer, agent: integer}}
function History:page(name, before)
  local rows = run(self, [[SELECT seq, role, sender AS "from", content, at FROM messages
    WHERE room = ? AND seq < ? ORDER BY seq DESC LIMIT ?]], name, before or math.maxinteger, PAGE + 1)
  local messages, bytes = moonwire.json.array(), 0
  for _, row in ipairs(rows) do
    bytes = bytes + #row.content
    if #messages < PAGE and (bytes <= PAGE_BYTES or #messages == 0) then
      table.insert(messages, 1, row)
    end
  end
  local room = find_room(self, name) or { customer = 0, agent = 0 }
  return { messages = messages, more = #messages < #rows, read = { customer = room.customer, agent = room.agent } }
end

---The rooms in which something was said last, with the latest message of each and how many the agents have not read.
---@return table[]
function History:list()
  local rooms = run(self, [[SELECT name AS room, last AS seq, role, sender AS "from", at,
      substr(content, 1, 200) AS content,
      (SELECT count(*) FROM messages WHERE room = name AND seq > agent AND role = 'customer') AS unread
    FROM rooms JOIN messages ON room = name AND seq = last ORDER BY at DESC, room LIMIT ?]], MAX_LISTED)
  return moonwire.json.array(rooms)
end

return M
