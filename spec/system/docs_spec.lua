-- docs_spec.lua - what README.md and docs/ promise: every Lua block compiles, the complete scripts run and are talked to
-- by programs of others, commands, targets, files and links are there.
-- A script that runs as it stands has a line before its block: <!-- script: name -->. It is run unchanged but for its
-- ports, and must have a conversation here.
-- SPDX-License-Identifier: MIT

local declarations = require "spec.support.declarations"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local uv = require "luv"

local ROOT = program.root
if not ROOT then
  return pending "the documentation is not beside an installed program"
end

local README_LINES = 25

-- One line in front of a script: its ports become free ones, and are told.
local PRELUDE = [[io.stdout:setvbuf "line"
  local core = require "moonwire.core"
  local listen = core.listen
  function core.listen(options, handler)
    options.port = options.port and 0
    local listener, message, code = listen(options, handler)
    if listener then print(('{"event":"listening","port":%d}'):format(listener:address().port)) end
    return listener, message, code
  end ]]
PRELUDE = PRELUDE:gsub("\n%s*", " ")

local function read(name)
  local file = assert(io.open(ROOT .. "/" .. name))
  local text = file:read "a"
  file:close()
  return text
end

local function documents()
  local names, request = { "README.md" }, assert(uv.fs_scandir(ROOT .. "/docs"))
  for name in uv.fs_scandir_next, request do
    names[#names + 1] = name:find "%.md$" and "docs/" .. name or nil
  end
  return names
end

-- The fenced blocks of a document: { language, name, text, line }.
local function blocks_of(document)
  local blocks, block, previous, number = {}, nil, "", 0
  for line in (read(document) .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local fence, language = line:match "^(```)(%a*)$"
    if fence and block then
      block.text, block = table.concat(block, "\n") .. "\n", nil
    elseif fence then
      block = { language = language, name = previous:match "^<!%-%- script: (%a+) %-%->$", line = number }
      blocks[#blocks + 1] = block
    elseif block then
      block[#block + 1] = line
    end
    previous = line
  end
  assert(not block, document .. ": a block is not closed")
  return blocks
end

-- The document without its blocks.
local function prose_of(document)
  return (("\n" .. read(document)):gsub("\n```.-\n```", ""))
end

local function readme_server()
  for _, block in ipairs(blocks_of "README.md") do
    if block.language == "lua" then
      return block.text
    end
  end
end

-- Start a script from a document; returns the process, and the port it listens on if it does.
local function start(text)
  return program.spawn { program.write(PRELUDE .. text) }
end

local function port_of(server)
  return server:expect("listening").port
end

local function stop(server)
  server:kill "sigterm"
  assert.equal("", program.expect_clean_end(server))
end

local function fetch(request)
  local client = peer.take "undici_client.mjs"
  client:tell(request)
  local response = client:expect "response"
  client:release()
  return response
end

local function connect(port, path, protocols)
  local client = peer.take "websockets_client.py"
  client:tell { connect = { url = ("ws://127.0.0.1:%d%s"):format(port, path), protocols = protocols } }
  return client, client:expect "open"
end

local function refused_with(port, path)
  local client = peer.take "websockets_client.py"
  client:tell { connect = { url = ("ws://127.0.0.1:%d%s"):format(port, path) } }
  local status = client:expect("unexpected-response").status
  client:release()
  return status
end

local function hang_up(client)
  client:tell { close = { 1000, "" } }
  assert.equal(1000, client:expect("close").code)
  client:release()
end

local function next_text(client)
  return client:expect("message").text
end

after_each(peer.stop_all)
teardown(peer.finish)

-- What is said to each script, by its name.
local CONVERSATIONS = {}

function CONVERSATIONS.hello(text)
  local server = start(text)
  local port = port_of(server)
  assert.equal("on port " .. port, server:expect("line").text)
  local base = "http://127.0.0.1:" .. port
  local response = fetch { fetch = base .. "/api/ann?upper=yes" }
  assert.same({ name = "ann", upper = "ANN" }, json.decode(response.text))
  assert.equal("*", response.headers["access-control-allow-origin"])
  response = fetch { fetch = base .. "/api/sum", method = "POST", body = "[1, 2, 3.5]" }
  assert.same({ sum = 6.5 }, json.decode(response.text))
  assert.equal(400, fetch({ fetch = base .. "/api/sum", method = "POST", body = "[1, 2" }).status)
  stop(server)
end

-- Python's HTTP client reads the stream as it comes.
local READ_EVENTS = [[
import sys, urllib.request
answer = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1])
print(answer.headers["Content-Type"], flush=True)
for i in range(6): print(answer.readline().decode().strip(), flush=True)
]]

function CONVERSATIONS.events(text)
  local server = start(text)
  local url = ("http://127.0.0.1:%d/clock"):format(port_of(server))
  local client = peer.spawn("/usr/bin/python3", { "-c", READ_EVENTS, url })
  local seen = {}
  for i = 1, 7 do
    seen[i] = client:expect("line").text:gsub("%d%d+$", "N")
  end
  assert.same({ "text/event-stream", "retry: N", "", "data: N", "", "data: N", "" }, seen)
  client:expect "exit"
  stop(server)
end

function CONVERSATIONS.rooms(text)
  local server = start(text)
  local port = port_of(server)
  assert.equal(401, refused_with(port, "/rooms/a"))
  local ann, opened = connect(port, "/rooms/a?name=ann", { "chat", "rooms.v1" })
  assert.equal("rooms.v1", opened.protocol)
  assert.same({ type = "welcome", here = 1 }, json.decode(next_text(ann)))
  local bob = connect(port, "/rooms/a?name=bob")
  assert.same({ type = "welcome", here = 2 }, json.decode(next_text(bob)))
  bob:tell { send = { text = "Hello" } }
  assert.same({ from = "bob", text = "Hello" }, json.decode(next_text(ann)))
  hang_up(bob)
  assert.same({ left = "bob", code = 1000 }, json.decode(next_text(ann)))
  hang_up(ann)
  stop(server)
end

function CONVERSATIONS.client(text)
  local server = peer.start "websockets_server.py"
  local client = start((text:gsub("8080", port_of(server))))
  assert.equal("text\tHello", client:expect("line").text)
  local closed = server:expect "close"
  assert.same({ 1000, "done" }, { closed.code, closed.reason })
  assert.equal("", program.expect_clean_end(client))
end

describe("the server of the README", function()
  it("is short", function()
    local _, lines = readme_server():gsub("\n", "")
    assert.is_true(lines <= README_LINES, lines .. " lines")
  end)

  it("chats", function()
    local server = start(readme_server())
    local port = port_of(server)
    assert.equal("connect to /chat/lobby?name=me\n", fetch({ fetch = ("http://127.0.0.1:%d/"):format(port) }).text)
    assert.equal(401, refused_with(port, "/chat/lobby"))
    local ann, bob = connect(port, "/chat/lobby?name=ann"), connect(port, "/chat/lobby?name=bob")
    local eve = connect(port, "/chat/elsewhere?name=eve")
    ann:tell { send = { text = "Hello" } }
    for _, client in ipairs { ann, bob } do
      assert.equal("ann: Hello", next_text(client))
    end
    eve:tell { send = { text = "Hello?" } }
    assert.equal("eve: Hello?", next_text(eve))
    for _, client in ipairs { ann, bob, eve } do
      hang_up(client)
    end
    stop(server)
  end)
end)

describe("the documentation", function()
  local seen = {}

  for _, document in ipairs(documents()) do
    for _, block in ipairs(blocks_of(document)) do
      if block.language == "lua" then
        it(("has Lua that compiles (%s:%d)"):format(document, block.line), function()
          assert(load(block.text, ("@%s:%d"):format(document, block.line), "t"))
        end)
      end
      if block.name then
        seen[block.name] = true
        it("has a script that runs: " .. block.name, function()
          local converse = CONVERSATIONS[block.name]
          assert.is_function(converse, "nobody talks to this script in docs_spec.lua")
          converse(block.text)
        end)
      end
    end
  end

  it("has every script that is talked to", function()
    for name in pairs(CONVERSATIONS) do
      assert.is_true(seen[name], name)
    end
  end)

  -- A heading's anchor, as GitHub makes it.
  local function anchors_of(document)
    local anchors = {}
    for heading in prose_of(document):gmatch "\n#+ ([^\n]+)" do
      anchors[heading:lower():gsub("[^%w%- _]", ""):gsub(" ", "-")] = true
    end
    return anchors
  end

  for _, document in ipairs(documents()) do
    it("has no dead link (" .. document .. ")", function()
      local directory = document:match "^(.*/)" or ""
      for link in prose_of(document):gmatch "%]%(([^%)]+)%)" do
        local path, anchor = link:match "^([^#]*)#?(.*)$"
        if not link:find "^https?:" then
          local target = path == "" and document or directory .. path
          assert.is_not_nil(uv.fs_stat(ROOT .. "/" .. target), link)
          assert.is_true(anchor == "" or anchors_of(target)[anchor], link)
        end
      end
    end)
  end

  it("names files of C that are there", function()
    for name in prose_of("README.md"):gmatch "`(%l+/[%l_]+%.[ch])`" do
      assert.is_not_nil(uv.fs_stat(ROOT .. "/src/" .. name), name)
    end
  end)

  it("names methods that are there", function()
    local classes = {}
    for _, file in ipairs { "app", "ws", "response" } do
      declarations.read(classes, read("lua/moonwire/meta/" .. file .. ".lua"), file)
    end
    local rows = { ["`moonwire.app()`"] = "App", ["a WebSocket"] = "WebSocket", ["a response"] = "Response" }
    for title, methods in prose_of("README.md"):gmatch "\n| ([^|]+) | ([^\n]+) |" do
      for name in (rows[title] and methods or ""):gmatch ":([%a_]+)" do
        assert.is_not_nil(classes["moonwire." .. rows[title]].members[name], title .. ": " .. name)
      end
      rows[title] = nil
    end
    assert.same({}, rows)
  end)
end)

describe("the README's commands", function()
  local function commands()
    local list = {}
    for _, block in ipairs(blocks_of "README.md") do
      for _, line in ipairs(block.language == "sh" and block or {}) do
        list[#list + 1] = line:match "^(.-)%s*#" or line
      end
    end
    return list
  end

  local function run(command, ...)
    return program.run({ ... }, { command = command, cwd = ROOT })
  end

  it("are two, which src/bootstrap knows", function()
    assert.same({ "src/bootstrap run", "src/bootstrap test" }, commands())
    assert.is_true(uv.fs_access(ROOT .. "/src/bootstrap", "X"))
    local usage = run(ROOT .. "/src/bootstrap")
    assert.equal(2, usage.code)
    for _, command in ipairs(commands()) do
      assert.matches("[ |]" .. command:match "%S+$" .. "[ \n]", usage.stderr:match "^[^\n]*\n")
    end
  end)

  it("are what continuous integration calls", function()
    local calls = {}
    for line in read(".ci/run"):gmatch "[^\n]+" do
      calls[#calls + 1] = not line:find "^#" and line or nil
    end
    assert.same({ 'cd "$(dirname "$0")/.." && exec ' .. commands()[2] }, calls)
    assert.is_true(uv.fs_access(ROOT .. "/.ci/run", "X"))
  end)

  it("of make are among its targets", function()
    local help = run("make", "--no-print-directory", "help")
    assert.equal(0, help.code)
    local count = 0
    for _, document in ipairs(documents()) do
      for target in prose_of(document):gmatch "`make ([%l-]+)[^`]*`" do
        assert.matches("make " .. target:gsub("%-", "%%-") .. "%s", help.stdout .. "\n")
        count = count + 1
      end
    end
    assert.is_true(count >= 4)
  end)
end)

