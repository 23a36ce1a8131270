-- repl.lua - reading Lua from standard input, line by line, while the loop goes on.
-- Owns the handle on standard input. Each input runs in a task, so it may wait; lines that come meanwhile wait too.
-- Ends when the input does.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local uv = require "luv"

local M = {}

local PROMPT, CONTINUATION = "> ", ">> "
local READ_SIZE = 4096

local function is_incomplete(message)
  return message:sub(-#"<eof>") == "<eof>"
end

---Compile what was typed: an expression, whose values are to be shown, or statements.
---@param source string
---@return function? chunk
---@return string? message
---@return boolean? incomplete more lines may complete it
function M.compile(source)
  local expression, fault = load("return " .. source, "=stdin", "t")
  if expression then
    return expression
  end
  local chunk, message = load(source, "=stdin", "t")
  if chunk then
    return chunk
  end
  return nil, message, is_incomplete(message) or is_incomplete(fault)
end

---@class moonwire.Repl
---@field buffer string input that is no whole line yet
---@field source? string the lines of an incomplete chunk
---@field lines string[] lines that wait for the running chunk
---@field busy boolean
---@field is_interactive boolean
---@field write fun(text: string)
---@field on_end? fun()
local Repl = {}
Repl.__index = Repl

function Repl:prompt()
  if self.is_interactive and not self.ended then
    self.write(self.source and CONTINUATION or PROMPT)
  end
end

function Repl:show(...)
  local count = select("#", ...)
  if count == 0 then
    return
  end
  local shown = { ... }
  for i = 1, count do
    local ok, text = pcall(tostring, shown[i])
    shown[i] = ok and text or "(" .. type(shown[i]) .. ")"
  end
  self.write(table.concat(shown, "\t") .. "\n")
end

local function with_traceback(message)
  return debug.traceback(tostring(message), 2)
end

-- Run one chunk to its end, however long it waits.
function Repl:run(chunk)
  self.busy = true
  local results = table.pack(xpcall(chunk, with_traceback))
  self.busy = false
  if results[1] then
    self:show(table.unpack(results, 2, results.n))
  else
    core.log("error", results[2])
  end
  self:prompt()
  self:proceed()
end

function Repl:take_line(line)
  local source = self.source and self.source .. "\n" .. line or line
  self.source = nil
  if source:find("^%s*$") then
    return self:prompt()
  end
  local chunk, message, incomplete = M.compile(source)
  if chunk then
    core.task(self.run, self, chunk)
  elseif incomplete then
    self.source = source
    self:prompt()
  else
    core.log("error", message)
    self:prompt()
  end
end

-- Take lines as long as nothing waits; at the end of the input, say so.
function Repl:proceed()
  if self.is_proceeding then
    return
  end
  self.is_proceeding = true
  while not self.busy and self.lines[1] do
    self:take_line(table.remove(self.lines, 1))
  end
  self.is_proceeding = false
  if self.ended and not self.busy and self.on_end then
    local on_end = self.on_end
    self.on_end = nil
    on_end()
  end
end

---Input has come.
---@param data string
function Repl:feed(data)
  self.buffer = self.buffer .. data
  local at = 1
  for stop in self.buffer:gmatch("()\n") do
    self.lines[#self.lines + 1] = self.buffer:sub(at, stop - 1):gsub("\r$", "")
    at = stop + 1
  end
  self.buffer = self.buffer:sub(at)
  self:proceed()
end

---The input is over. A last line without its end still counts; an incomplete chunk is a mistake.
function Repl:finish()
  if self.ended then
    return
  end
  if self.buffer ~= "" then
    self:feed "\n"
  end
  self.ended = true
  if self.source then
    core.log("error", "stdin: the input ended inside a chunk")
  end
  if self.is_interactive then
    self.write "\n"
  end
  self:proceed()
end

---A REPL that is fed by hand.
---@param settings {write: fun(text: string), is_interactive: boolean?, on_end: fun()?}
---@return moonwire.Repl
function M.new(settings)
  return setmetatable({
    buffer = "",
    lines = {},
    busy = false,
    ended = false,
    is_interactive = settings.is_interactive or false,
    write = settings.write,
    on_end = settings.on_end,
  }, Repl)
end

local function write_to_stdout(text)
  io.stdout:write(text)
  io.stdout:flush()
end

-- A regular file is no stream to libuv; read it piece by piece.
local function read_file(repl)
  local function next_piece()
    uv.fs_read(0, READ_SIZE, -1, function(err, data)
      if err or not data or data == "" then
        repl:finish()
      else
        repl:feed(data)
        next_piece()
      end
    end)
  end
  next_piece()
end

local function read_stream(repl, stream)
  stream:read_start(function(err, data)
    if data then
      repl:feed(data)
    elseif err or not data then
      stream:close()
      repl:finish()
    end
  end)
end

-- Somebody who leaves the prompt leaves the program, whatever still runs: as politely as a signal asks for it.
local function leave()
  uv.kill(uv.os_getpid(), "sigterm")
end

---Read from standard input until it ends. At a terminal that ends the program; piped input leaves running what it
---started, as a script would.
---@param settings? {on_end: fun()?, banner: string?} `on_end` is called when the last chunk is done
---@return moonwire.Repl
function M.run(settings)
  settings = settings or {}
  local kind = uv.guess_handle(0)
  local repl = M.new {
    write = write_to_stdout,
    is_interactive = kind == "tty",
    on_end = settings.on_end or kind == "tty" and leave or nil,
  }
  if repl.is_interactive and settings.banner then
    repl.write(settings.banner .. "\n")
  end
  repl:prompt()
  if kind == "tty" then
    read_stream(repl, uv.new_tty(0, true))
  elseif kind == "pipe" then
    local pipe = uv.new_pipe(false)
    pipe:open(0)
    read_stream(repl, pipe)
  else
    read_file(repl)
  end
  return repl
end

return M
