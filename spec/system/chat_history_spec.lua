-- chat_history_spec.lua - what examples/chat promises about what was said: acknowledged means stored, stored means once,
-- whatever happens to the server or to its disk meanwhile.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local example = require "spec.support.example"
local json = require "moonwire.json"
local luasql = require "luasql.sqlite3"
local peer = require "spec.support.peer"
local program = require "spec.support.program"

local SECRET = { TOKEN_SECRET = ("chat"):rep(8) }
local SCRIPT = example.path "examples/chat/server.lua"

describe("the history of the chat example", function()
  local chat, database

  local function start(port)
    chat = example.start("chat", { database }, { port = port, env = SECRET })
  end

  local function token_of(name, role)
    local answer = chat:fetch("/login", { method = "POST", body = json.encode { name = name, role = role } })
    return json.decode(answer.text).token
  end

  local function enter(name, role)
    return (chat:visit("/webSocketServer?token=" .. token_of(name, role)))
  end

  -- Say something and take its acknowledgement.
  local function say(window, content, id, room)
    window:send { content = content, id = id, room = room }
    local ack = window:hear_type "ack"
    assert.equal(id, ack.id)
    return ack.seq
  end

  local function page(window, before, room)
    window:send { history = { before = before }, room = room }
    return window:hear_type "history"
  end

  local function contents(history)
    local list = {}
    for i, message in ipairs(history.messages) do
      list[i] = message.content
    end
    return list
  end

  before_each(function()
    database = async.directory() .. "/chat.db"
    start()
  end)

  after_each(function()
    if not chat.process.exit then
      chat:stop()
    end
    peer.stop_all()
  end)
  teardown(peer.finish)

  it("survives a restart, receipts included", function()
    local ann, bea = enter("Ann", "customer"), enter("Bea", "agent")
    assert.equal(1, say(ann, "one", "a"))
    assert.equal(2, say(bea, "two", "a", "Ann"))
    ann:send { history = {} }
    bea:send { read = 1, room = "Ann" }
    assert.equal(1, ann:hear_type("read").seq)
    for _, ends in ipairs { chat.stop, chat.kill } do
      local port = chat.port
      ends(chat)
      start(port)
      ann = enter("Ann", "customer")
      local history = page(ann)
      assert.same({ "one", "two" }, contents(history))
      assert.same({ customer = 0, agent = 1 }, history.read)
      local first = history.messages[1]
      assert.same({ 1, "Ann", "customer" }, { first.seq, first.from, first.role })
      assert.is_true(math.abs(os.time() - first.at) < 60)
      ann:close()
    end
  end)

  it("has a message once that was sent twice, and acknowledges it twice", function()
    local ann, bea, eve = enter("Ann", "customer"), enter("Bea", "agent"), enter("Eve", "agent")
    assert.equal(1, say(ann, "one", "a"))
    assert.equal(1, say(ann, "one", "a"))
    assert.equal("one", bea:hear_json().content)
    assert.equal("one", eve:hear_json().content)
    -- The same id of somebody else, also of the same name, is another message.
    assert.equal(2, say(bea, "two", "a", "Ann"))
    assert.equal("two", eve:hear_json().content)
    local namesake = enter("Ann", "agent")
    assert.equal(3, say(namesake, "three", "a", "Ann"))
    assert.equal("three", eve:hear_json().content)
    local port = chat.port
    chat:kill()
    start(port)
    ann, eve = enter("Ann", "customer"), enter("Eve", "agent")
    assert.equal(1, say(ann, "one", "a"))
    assert.equal(4, say(ann, "four", "b"))
    assert.equal("four", eve:hear_json().content)
    assert.same({ "one", "two", "three", "four" }, contents(page(ann)))
  end)

  it("keeps any text as it is", function()
    local ann, bea = enter("O'Hara; --", "customer"), enter("Bea", "agent")
    local texts = { "'", "''); DROP TABLE messages; --", "a\0b", "%d ? \\ \" \n\t", "你好 🌙", "\u{10FFFF}\u{7F}", " x " }
    for i, text in ipairs(texts) do
      assert.equal(i, say(ann, text, text))
      assert.equal(i, say(ann, text, text), "once")
      assert.equal(text, bea:hear_json().content)
    end
    assert.same(texts, contents(page(ann)))
    bea:send { list = true }
    assert.equal("O'Hara; --", bea:hear_json().rooms[1].room)
  end)

  it("comes in pages, from the end, whatever the size of the messages", function()
    local ann = enter("Ann", "customer")
    for i = 1, 120 do
      ann:send { content = "message " .. i, id = tostring(i) }
    end
    for _ = 1, 120 do
      ann:hear_type "ack"
    end
    local last, before = 121, nil
    for _, expected in ipairs { { 71, 120, true }, { 21, 70, true }, { 1, 20, false } } do
      local history = page(ann, before)
      assert.same(expected, { history.messages[1].seq, history.messages[#history.messages].seq, history.more })
      assert.equal(before, history.before)
      for i, message in ipairs(history.messages) do
        assert.equal(last - 1 - #history.messages + i, message.seq)
      end
      before = history.messages[1].seq
      last = before
    end
    assert.same({}, page(ann, 1).messages)
    -- Six bytes each in JSON: a page of these stays below what may wait to be sent to a client.
    for i = 1, 50 do
      assert.equal(120 + i, say(ann, ("\1"):rep(3999) .. "x", "large " .. i))
    end
    ann:send { history = { before = 171 } }
    local large = ann.peer:expect "message"
    assert.is_true(large.length > 500000 and large.length < 1 << 20, large.length .. " bytes")
    ann:close()
  end)

  it("acknowledges nothing that the disk does not take, and takes it later", function()
    local ann, bea = enter("Ann", "customer"), enter("Bea", "agent")
    assert.equal(1, say(ann, "one", "a"))
    assert.equal("one", bea:hear_json().content)
    local environment = luasql.sqlite3()
    local blocker = assert(environment:connect(database))
    assert(blocker:execute "BEGIN IMMEDIATE")
    ann:send { content = "two", id = "b" }
    local answer = ann:hear_json()
    assert.same({ "error", "b", "it could not be stored, try again later" }, { answer.type, answer.id, answer.message })
    ann:send { read = 1 }
    assert.equal("error", ann:hear_json().type)
    assert.same({ "one" }, contents(page(ann)))
    assert(blocker:execute "ROLLBACK")
    blocker:close()
    environment:close()
    assert.equal(2, say(ann, "two", "b"))
    assert.equal("two", bea:hear_json().content, "it was relayed once, after it was stored")
    async.wait_until(function()
      return chat.process.stderr:find "database is locked"
    end, "a line in the log")
  end)

  it("stores nothing by halves", function()
    local ann = enter("Ann", "customer")
    assert.equal(1, say(ann, "one", "a"))
    local environment = luasql.sqlite3()
    local breaker = assert(environment:connect(database))
    assert(breaker:execute [[CREATE TRIGGER full BEFORE INSERT ON messages WHEN new.content = 'two'
      BEGIN SELECT RAISE(FAIL, 'the disk is full'); END]])
    ann:send { content = "two", id = "b" }
    assert.equal("error", ann:hear_json().type)
    assert.equal(2, say(ann, "three", "c"))
    assert(breaker:execute "DROP TRIGGER full")
    breaker:close()
    environment:close()
    assert.equal(3, say(ann, "two", "b"))
    assert.same({ "one", "three", "two" }, contents(page(ann)))
  end)

  it("says what is wrong with a database it can't have", function()
    for path, problem in pairs {
      [async.directory() .. "/nothing/chat.db"] = "unable to open database file",
      [async.directory()] = "unable to open database file",
      [program.write("this is no database, though it is long enough\n", "text.db")] = "file is not a database",
    } do
      local result = program.run { SCRIPT, "0", "127.0.0.1", path }
      assert.equal(1, result.code)
      assert.truthy(result.stderr:find(path, 1, true), result.stderr)
      assert.truthy(result.stderr:find(problem, 1, true), result.stderr)
    end
  end)

  it("has every acknowledged message of a crowd exactly once, though the server was killed and restarted", function()
    local rooms, windows, messages = 10, 20, 100
    local all = rooms * windows * messages
    local crowd = peer.start("chat_crowd.mjs", {
      url = chat.url, rooms = rooms, windows = windows, messages = messages, marks = { all // 3, all * 2 // 3 },
    })
    for _, ends in ipairs { chat.kill, chat.stop } do
      crowd:expect("mark", 60)
      local port = chat.port
      ends(chat)
      start(port)
    end
    local result = crowd:expect("finished", 90)
    assert.same({ all, 0, 0, 0 }, { result.stored, result.missing, result.doubled, result.gaps })
    assert.same({ 0, {} }, { result.repeats, result.errors })
    assert.is_true(result.losses >= rooms * windows, "all lost their connection")
    crowd:stop()
  end)
end)
