-- example.lua - starts the programs of examples/ for specs, as a user does, and talks with them from outside: windows
-- without a browser (node's ws), HTTP (undici), and stories that Chromium plays.
-- Owns nothing itself: the processes are spec.support.peer's, so its `stop_all` ends them.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local uv = require "luv"

local M = {}

local ROOT = debug.getinfo(1, "S").source:match "^@(.*)/spec/support/" or "."

---@class spec.Example
---@field process spec.Peer
---@field port integer
---@field url string of its page, with "/" at the end
local Example = {}
Example.__index = Example

---The path of a file of the checkout.
---@param path string
---@return string
function M.path(path)
  return ROOT .. "/" .. path
end

---Who signs tokens as a server does that was started with TOKEN_SECRET.
---@param secret string
---@return token.Signer
function M.signer(secret)
  local directory = async.directory()
  local file <close> = assert(io.open(directory .. "/secret.key", "wb"))
  file:write(secret)
  file:flush()
  return dofile(M.path "examples/common/token.lua").signer(directory)
end

---Start `examples/NAME/server.lua` on this machine, and wait until it says where it is.
---@param name string
---@param arguments? table further ones, after port and host
---@param changes? {port: integer?, env: table<string, string>?, script: string?} `env` adds to the environment
---@return spec.Example
function M.start(name, arguments, changes)
  changes = changes or {}
  local list = { changes.script or M.path("examples/" .. name .. "/server.lua"), tostring(changes.port or 0), "127.0.0.1" }
  table.move(arguments or {}, 1, #(arguments or {}), 4, list)
  local env = {}
  for key, value in pairs(uv.os_environ()) do
    if not (changes.env and changes.env[key]) then
      table.insert(env, key .. "=" .. value)
    end
  end
  for key, value in pairs(changes.env or {}) do
    table.insert(env, key .. "=" .. value)
  end
  local process = peer.spawn(uv.exepath(), list, { env = env })
  local line = process:expect("line").text
  local url, port = line:match "(http://127%.0%.0%.1:(%d+)/)"
  if not url then
    error(process:report("its first line names no address: " .. line), 2)
  end
  return setmetatable({ process = process, port = math.tointeger(port), url = url }, Example)
end

---End it as a user does, with SIGTERM; it must end well.
function Example:stop()
  self.process:kill "sigterm"
  local exit = self.process:expect "exit"
  if exit.code ~= 0 or exit.signal ~= 0 then
    error(self.process:report(("it ended with %d, signal %d"):format(exit.code, exit.signal)), 2)
  end
end

---End it without a chance to tidy up.
function Example:kill()
  self.process:kill "sigkill"
  self.process:expect "exit"
end

---Make a request with undici. Returns the answer: status, headers, text (up to 8 KiB), length, sha256.
---@param path string
---@param options? {method: string?, headers: table<string, string>?, body: string?}
---@return table
function Example:fetch(path, options)
  local client = peer.take "undici_client.mjs"
  options = options or {}
  client:tell {
    fetch = self.url .. path:gsub("^/", ""),
    method = options.method,
    headers = options.headers,
    body = options.body,
  }
  local response = client:expect "response"
  client:release()
  return response
end

---@class spec.Window
---@field peer spec.Peer
local Window = {}
Window.__index = Window

local function connect(self, path, options)
  local window = setmetatable({ peer = peer.take "ws_client.mjs" }, Window)
  local url = ("ws://127.0.0.1:%d/%s"):format(self.port, (path:gsub("^/", "")))
  window.peer:tell { connect = { url = url, protocols = options and options.protocols, headers = options and options.headers } }
  return window
end

---Open a WebSocket with node's ws.
---@param path string
---@param options? {protocols: string[]?, headers: table<string, string>?}
---@return spec.Window
---@return table event "open", with the protocol that was chosen
function Example:visit(path, options)
  local window = connect(self, path, options)
  return window, window.peer:expect "open"
end

---Try to open a WebSocket, and be refused. Returns the answer's status and text.
---@return integer status
---@return string text
function Example:refused(path, options)
  local window = connect(self, path, options)
  local response = window.peer:expect "unexpected-response"
  window.peer:release()
  return response.status, response.body
end

---Send a text, or a table as JSON.
---@param message string|table
function Window:send(message)
  self.peer:tell { send = { text = type(message) == "table" and json.encode(message) or message } }
end

---Take the next message, as it came.
---@return string
function Window:hear()
  return self.peer:expect("message").text
end

---Take the next message, decoded.
---@return table
function Window:hear_json()
  local text = self:hear()
  return assert(json.decode(text), text)
end

---Take messages, decoded, until one has that type; those before it are passed over.
---@param kind string
---@return table
function Window:hear_type(kind)
  local message
  repeat
    message = self:hear_json()
  until message.type == kind
  return message
end

---How many messages have come and were not taken.
---@return integer
function Window:waiting()
  return self.peer:count "message"
end

---Wait for the connection to end, however it does.
---@return integer code
---@return string reason
function Window:leave()
  local close = self.peer:expect "close"
  self.peer:release()
  return close.code, close.reason
end

---Close, and wait until that is done.
---@param code? integer
---@param reason? string
---@return integer code of the answer
function Window:close(code, reason)
  self.peer:tell { close = { code or 1000, reason or "" } }
  return self:leave()
end

---Play a story of spec/peers in Chromium. `needs` has a function for everything the story may ask for.
---@param file string such as "chat_page.mjs"
---@param url string of the page
---@param steps integer how many steps the story reports
---@param needs? table<string, fun(need: table): any> what it returns is handed to the story
---@param options? table further ones for the story
function M.play(file, url, steps, needs, options)
  local given = { url = url, tmp = async.directory(), screenshots = os.getenv "MOONWIRE_SCREENSHOTS" }
  for name, value in pairs(options or {}) do
    given[name] = value
  end
  local story = peer.start(file, given)
  repeat
    async.wait_until(function()
      return story:count "need" > 0 or story:count "finished" > 0 or story:count "failed" > 0 or story.exit
    end, "the story to go on", 100)
    local goes_on = story:count "need" > 0
    if goes_on then
      local need = story:expect "need"
      story:tell { done = need.what, answer = needs[need.what](need) }
    end
  until not goes_on
  story:expect "finished"
  if story:count "step" ~= steps then
    error(story:report(("%d steps were expected, not %d"):format(steps, story:count "step")), 2)
  end
  story:stop()
end

---Go away without a word.
function Window:terminate()
  self.peer:tell { terminate = true }
  self.peer:expect "close"
  self.peer:release()
end

return M
