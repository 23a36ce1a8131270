-- chat_spec.lua - examples/chat as people use it: the story in a browser, and the messages on the wire.
-- The example runs as a program of its own, started as the README says.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local uv = require "luv"

local json = moonwire.json
local ROOT = debug.getinfo(1, "S").source:match "^@(.*)/spec/system/" or "."
local SCRIPT = ROOT .. "/examples/chat/server.lua"

-- Start the example. Returns its process and its port.
local function start_chat(port)
  local server = peer.spawn(uv.exepath(), { SCRIPT, tostring(port or 0) })
  local line = server:expect("line").text
  local printed = line:match "http://127%.0%.0%.1:(%d+)/"
  assert.truthy(printed, line)
  return server, math.tointeger(printed)
end

local function stop_chat(server)
  server:kill "sigterm"
  local exit = server:expect "exit"
  assert.same({ 0, 0 }, { exit.code, exit.signal }, server.stderr)
end

---@class spec.Guest
local Guest = {}
Guest.__index = Guest

local guests = {} -- those of the spec that runs

-- A window without a browser: node's ws in a room.
local function visit(port, room)
  local guest = setmetatable({}, Guest)
  table.insert(guests, guest)
  guest.peer = peer.take "ws_client.mjs"
  guest.peer:tell { connect = { url = ("ws://127.0.0.1:%d/chat/%s"):format(port, room) } }
  guest.peer:expect "open"
  return guest
end

function Guest:send(message)
  self.peer:tell { send = { text = type(message) == "table" and json.encode(message) or message } }
end

function Guest:hear(kind)
  local message = assert(json.decode(self.peer:expect("message").text))
  assert.equal(kind, message.type, json.encode(message))
  return message
end

-- Wait for the connection to end, however it does.
function Guest:leave()
  local code = self.peer:expect("close").code
  self.peer:release()
  self.has_left = true
  return code
end

function Guest:join(name)
  self:send { type = "join", name = name }
  return self:hear("here").people
end

function Guest:say(text)
  self:send { type = "say", text = text }
end

local function join(port, room, name)
  local guest = visit(port, room)
  guest:join(name)
  return guest
end

describe("the chat example", function()
  after_each(function()
    peer.stop_all()
  end)
  teardown(peer.finish)

  it("is a story with two people, a third and a fourth, in a browser", function()
    local server, port = start_chat()
    local story = peer.start("chat_browser.mjs", {
      url = ("http://127.0.0.1:%d/"):format(port),
      tmp = async.directory(),
      screenshots = os.getenv "MOONWIRE_SCREENSHOTS",
    })
    assert.equal("stop", story:expect("need", 120).what)
    stop_chat(server)
    story:tell { done = "stop" }
    assert.equal("start", story:expect("need", 60).what)
    server = start_chat(port)
    story:tell { done = "start" }
    story:expect("finished", 60)
    assert.equal(10, story:count "step")
    story:stop()
    stop_chat(server)
  end)

  describe("on the wire", function()
    local server, port

    before_each(function()
      server, port = start_chat()
    end)

    after_each(function()
      if not server.exit then
        stop_chat(server)
      end
      for _, guest in ipairs(guests) do
        if not guest.has_left then
          guest:leave()
        end
      end
      guests = {}
    end)

    it("tells everybody in the room who is here", function()
      local ada = visit(port, "lobby")
      assert.same({ "Ada" }, ada:join "Ada")
      local ben = visit(port, "lobby")
      assert.same({ "Ada", "Ben" }, ben:join "Ben")
      assert.same({ "Ada", "Ben" }, ada:hear("here").people)
      local cy = visit(port, "garden")
      assert.same({ "Cy" }, cy:join "Cy")
      ben.peer:tell { close = { 1000, "" } }
      ben:leave()
      assert.same({ "Ada" }, ada:hear("here").people)
      local second = visit(port, "lobby")
      assert.same({ "Ada", "Ada" }, second:join "Ada")
    end)

    it("brings a message to the room, its author included, and to nobody else", function()
      local ada, ben, cy = join(port, "lobby", "Ada"), join(port, "lobby", "Ben"), join(port, "garden", "Cy")
      ada:hear "here" -- Ben came
      local before = os.time()
      ben:say "  Hello,\n你好 🌙 <b>  "
      for _, guest in ipairs { ada, ben } do
        local said = guest:hear "said"
        assert.same({ 1, "Ben", "Hello,\n你好 🌙 <b>" }, { said.id, said.name, said.text })
        assert.is_true(said.at >= before and said.at <= os.time())
      end
      cy:say "only here"
      assert.equal("only here", cy:hear("said").text)
      assert.equal(0, ada.peer:count "message")
    end)

    it("tells a newcomer the last hundred messages, oldest first", function()
      local ada = join(port, "lobby", "Ada")
      for i = 1, 103 do
        ada:say("message " .. i)
      end
      for i = 1, 103 do
        assert.equal(i, ada:hear("said").id)
      end
      local ben = visit(port, "lobby")
      ben:send { type = "join", name = "Ben" }
      for i = 4, 103 do
        local said = ben:hear "said"
        assert.same({ i, "Ada", "message " .. i }, { said.id, said.name, said.text })
      end
      assert.same({ "Ada", "Ben" }, ben:hear("here").people)
    end)

    it("keeps the history of a room that everybody left", function()
      local ada = join(port, "lobby", "Ada")
      ada:say "remember me"
      ada:hear "said"
      ada.peer:tell { close = { 1000, "" } }
      ada:leave()
      local ben = visit(port, "lobby")
      ben:send { type = "join", name = "Ben" }
      assert.equal("remember me", ben:hear("said").text)
    end)

    it("tells a newcomer a history of the largest messages there can be", function()
      local ada = join(port, "lobby", "Ada")
      local largest = ("\1"):rep(998) -- six bytes each in JSON
      for _ = 1, 100 do
        ada:say("x" .. largest .. "x")
      end
      for _ = 1, 100 do
        ada:hear "said"
      end
      local ben = visit(port, "lobby")
      ben:send { type = "join", name = "Ben" }
      for i = 1, 100 do
        assert.equal(i, ben:hear("said").id)
      end
    end)

    it("answers what it can't take with an error, to its sender only", function()
      local ada, ben = join(port, "lobby", "Ada"), join(port, "lobby", "Ben")
      ada:hear "here"
      for what, text in pairs {
        ["broken JSON"] = '{"type":"say","text":',
        ["an empty message"] = "",
        ["JSON that is no object"] = '"say"',
        ["null"] = "null",
        ["a list"] = '["say"]',
        ["no type"] = '{"text":"x"}',
        ["an unknown type"] = '{"type":"shout","text":"x"}',
        ["a type that is no string"] = '{"type":{"a":1},"text":"x"}',
        ["deep nesting"] = ("["):rep(2000) .. ("]"):rep(2000),
        ["a second join"] = '{"type":"join","name":"Eve"}',
        ["no text"] = '{"type":"say"}',
        ["a text that is no string"] = '{"type":"say","text":42}',
        ["null as text"] = '{"type":"say","text":null}',
        ["an empty text"] = '{"type":"say","text":""}',
        ["a text of blanks"] = '{"type":"say","text":" \\n\\t "}',
        ["a text of 1,001 characters"] = json.encode { type = "say", text = ("ß"):rep(1001) },
      } do
        ben:send(text)
        assert.equal("string", type(ben:hear("error").message), what)
        ben:say(("ß"):rep(1000))
        assert.equal(2000, #ben:hear("said").text, what)
        assert.equal(2000, #ada:hear("said").text, what)
      end
    end)

    it("answers a bad introduction with an error, and lets them try again", function()
      local eve = visit(port, "lobby")
      for what, text in pairs {
        ["no name"] = '{"type":"join"}',
        ["a name that is no string"] = '{"type":"join","name":["Eve"]}',
        ["an empty name"] = '{"type":"join","name":""}',
        ["a name of blanks"] = '{"type":"join","name":"   "}',
        ["a name of 25 characters"] = json.encode { type = "join", name = ("ß"):rep(25) },
        ["a speech before joining"] = '{"type":"say","text":"hi"}',
      } do
        eve:send(text)
        assert.equal("string", type(eve:hear("error").message), what)
      end
      assert.same({ ("ß"):rep(24) }, eve:join(("ß"):rep(24)))
    end)

    it("has no rooms whose names are blank at the end, too long or no text", function()
      for _, room in ipairs { "%20lobby", ("x"):rep(25), "%ff" } do
        local client = peer.take "ws_client.mjs"
        client:tell { connect = { url = ("ws://127.0.0.1:%d/chat/%s"):format(port, room) } }
        assert.equal(404, client:expect("unexpected-response").status, room)
        client:release()
      end
    end)

    it("takes rooms of any language, and closes who sends too much", function()
      local ada = visit(port, "%E8%8A%B1%E5%9B%AD")
      ada:join "Ada"
      ada:say(("x"):rep(17000))
      assert.equal(1009, ada:leave())
    end)

    it("serves its page, and nothing from beside it", function()
      local client = peer.start("undici_client.mjs")
      local function get(path)
        client:tell { fetch = ("http://127.0.0.1:%d%s"):format(port, path) }
        return client:expect "response"
      end
      for path, kind in pairs {
        ["/"] = "text/html",
        ["/index.html"] = "text/html",
        ["/chat.js"] = "text/javascript",
        ["/chat.css"] = "text/css",
      } do
        local response = get(path)
        assert.equal(200, response.status, path)
        assert.truthy(response.headers["content-type"]:find(kind, 1, true), path)
      end
      for _, path in ipairs { "/server.lua", "/..%2fserver.lua", "/%2e%2e/server.lua", "/nothing" } do
        local status = get(path).status
        assert.is_true(status == 404 or status == 400, path)
      end
    end)

    it("ends with 0 when it is asked to, saying good-bye with 1001", function()
      local ada = join(port, "lobby", "Ada")
      stop_chat(server)
      assert.equal(1001, ada:leave())
    end)
  end)

  it("says so when its port is taken", function()
    local _, port = start_chat()
    local second = peer.spawn(uv.exepath(), { SCRIPT, tostring(port) })
    assert.equal(1, second:expect("exit").code)
    assert.truthy(second.stderr:lower():find "address already in use" or second.stderr:find "EADDRINUSE", second.stderr)
  end)
end)
