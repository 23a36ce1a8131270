-- chat_spec.lua - examples/chat as people use it: the ways in, what customers and agents tell each other on the wire, what
-- is refused, and a story in a browser. What is said about its history is in chat_history_spec.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local example = require "spec.support.example"
local json = require "moonwire.json"
local peer = require "spec.support.peer"

local SECRET = ("chat"):rep(8)
local AUTH_OK, NO_AUTH, HEART = '{"type":"auth","data":"auth ok"}', '{"type":"noAuth"}', '{"heart":true}'

-- Tokens as the example makes them, but with any claims and lifetimes.
local signer = example.signer(SECRET)

describe("the chat example", function()
  local chat, database

  local function start(port, patience)
    chat = example.start("chat", { database, patience }, { port = port, env = { TOKEN_SECRET = SECRET } })
  end

  local function log_in(body)
    local text = type(body) == "table" and json.encode(body) or body
    local answer = chat:fetch("/login", { method = "POST", body = text })
    return answer.status, json.decode(answer.text)
  end

  local function token_of(name, role)
    return select(2, log_in { name = name, role = role }).token
  end

  local function enter(name, role)
    return (chat:visit("/webSocketServer?token=" .. token_of(name, role)))
  end

  -- Nothing has come to these windows: what they ask for is the next thing they hear.
  local function hear_nothing(...)
    for _, window in ipairs { ... } do
      window:send(HEART)
      assert.equal(HEART, window:hear())
    end
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

  describe("lets in who has a token", function()
    -- The ways in, each as it is written in the scripts of pages: path, and what else is offered.
    local WAYS = {
      query = function(token)
        return "/?Authorization=Bearer%20" .. token .. "&EIO=3&transport=websocket"
      end,
      ["another query"] = function(token)
        return "/webSocketServer?token=" .. token
      end,
      path = function(token)
        return "/api/litchi/" .. token
      end,
      subprotocol = function(token)
        return "/", { protocols = { "Bearer" .. token } }
      end,
      header = function(token)
        return "/", { headers = { Authorization = "Bearer " .. token } }
      end,
    }

    local function long_token(name)
      return signer:sign({ sub = name, role = "customer", scope = ("x"):rep(1300) }, 60)
    end

    for way, place in pairs(WAYS) do
      it("in the " .. way, function()
        for _, token in ipairs { token_of("Ann", "customer"), long_token "Ann" } do
          local path, options = place(token)
          local window, open = chat:visit(path, options)
          assert.equal(options and options.protocols and options.protocols[1] or "", open.protocol or "")
          hear_nothing(window)
          window:send { content = "x", id = "1" }
          assert.equal("Ann", window:hear_type("ack").room)
          window:close()
        end
      end)

      it("in the " .. way .. ", and nobody else", function()
        local good = token_of("Ann", "customer")
        local head, body, mark = good:match "^(.-)%.(.-)%.(.*)$"
        local other = signer:sign({ sub = "Bea", role = "agent" }, 60):match "^.-%.(.-)%."
        for token, problem in pairs {
          ["x"] = "this is not a token",
          [good .. ".x"] = "this is not a token",
          [head .. "." .. body .. "." .. mark:reverse()] = "the token is not signed by this server",
          [head .. "." .. other .. "." .. mark] = "the token is not signed by this server",
          [signer:sign({ sub = "Ann", role = "customer" }, -1)] = "the token has expired; log in again",
          [signer:sign({ sub = "Ann", role = "boss" }, 60)] = "say a name of 1 to 24 characters",
          [signer:sign({ role = "agent" }, 60)] = "the token doesn't say whose it is",
          [signer:sign({ sub = ("x"):rep(25), role = "agent" }, 60)] = "say a name of 1 to 24 characters",
        } do
          local status, text = chat:refused(place(token))
          assert.equal(401, status)
          assert.equal(problem, text:sub(1, #problem))
        end
      end)
    end

    it("and nobody without", function()
      for _, path in ipairs { "/", "/?Authorization=Bearer%20", "/webSocketServer", "/webSocketServer?token=", "/api/litchi/" } do
        assert.same({ 401, "a token is missing\n" }, { chat:refused(path) })
      end
      assert.equal(401, (chat:refused("/", { protocols = { "chat", "Basic" } })))
    end)

    it("from pages of other hosts as well", function()
      local window = chat:visit("/?token=" .. token_of("Ann", "customer"), { headers = { Origin = "http://elsewhere.example" } })
      hear_nothing(window)
    end)

    it("as the first message", function()
      local window = chat:visit "/ws"
      window:send { type = "auth", data = token_of("Ann", "customer") }
      assert.equal(AUTH_OK, window:hear())
      hear_nothing(window)
      window:send { content = "x", id = "1" }
      assert.equal(1, window:hear_json().seq)
      -- A second one does no harm, unless it is somebody else's.
      window:send { type = "auth", data = token_of("Ann", "customer") }
      assert.equal(AUTH_OK, window:hear())
      window:send { type = "auth", data = token_of("Ann", "agent") }
      assert.equal(NO_AUTH, window:hear())
      assert.same({ 1008, "this is somebody else's token" }, { window:leave() })
    end)

    it("as the first message, and nobody else", function()
      for text, problem in pairs {
        ['{"type":"auth","data":"x"}'] = "this is not a token",
        ['{"type":"auth","data":{}}'] = "a token is missing",
        ['{"type":"auth"}'] = "a token is missing",
        [json.encode { type = "auth", data = signer:sign({ sub = "Ann", role = "customer" }, -1) }] =
          "the token has expired; log in again",
        ['{"content":"x"}'] = "the first message is the token",
        [HEART] = "the first message is the token",
        ["{"] = "the first message is the token",
      } do
        local window = chat:visit "/ws"
        window:send(text)
        assert.equal(NO_AUTH, window:hear())
        assert.same({ 1008, problem }, { window:leave() })
      end
    end)

    it("for some time only, when nothing comes", function()
      chat:stop()
      start(0, "2")
      local known, window = chat:visit "/ws", chat:visit "/ws"
      known:send { type = "auth", data = token_of("Ann", "customer") }
      assert.equal(AUTH_OK, known:hear())
      assert.equal(NO_AUTH, window:hear())
      assert.same({ 1008, "no token came in time" }, { window:leave() })
      hear_nothing(known)
    end)

    it("until it expires", function()
      local ends = os.time() + 3
      local window = chat:visit("/?token=" .. signer:sign({ sub = "Ann", role = "customer" }, ends - os.time()))
      hear_nothing(window)
      async.wait_until(function()
        return os.time() >= ends
      end, "the end of the token")
      window:send(HEART)
      assert.equal(NO_AUTH, window:hear())
      assert.same({ 1008, "the token has expired; log in again" }, { window:leave() })
    end)
  end)

  it("logs in with a name and a role", function()
    assert.equal(200, (log_in { name = ("ß"):rep(24), role = "agent" }))
    for _, body in ipairs { "", "{", "[]", "null", "{}", { name = "Ann" }, { name = "", role = "agent" },
      { name = " \t", role = "agent" }, { name = ("ß"):rep(25), role = "agent" }, { name = 1, role = "agent" },
      { name = "Ann", role = "boss" }, { name = "Ann", role = { "agent" } } } do
      local status, answer = log_in(body)
      assert.equal(400, status)
      assert.truthy(answer.message:find "1 to 24 characters")
    end
    assert.equal(413, chat:fetch("/login", { method = "POST", body = ("x"):rep(2 << 20) }).status)
  end)

  it("answers a heartbeat, verbatim and to its sender only", function()
    local ann, tab, bea = enter("Ann", "customer"), enter("Ann", "customer"), enter("Bea", "agent")
    ann:send(HEART)
    assert.equal(HEART, ann:hear())
    -- Nobody else heard it, and it is not kept: what they ask for is the next thing that comes.
    tab:send { history = {} }
    local history = tab:hear_json()
    assert.same({ "history", {} }, { history.type, history.messages })
    bea:send { list = true }
    assert.same({ type = "list", rooms = {} }, bea:hear_json())
    hear_nothing(ann)
  end)

  it("brings what a customer says to the agents and to the customer's other windows, and to nobody else", function()
    local ann, tab, cy = enter("Ann", "customer"), enter("Ann", "customer"), enter("Cy", "customer")
    local bea, dan = enter("Bea", "agent"), enter("Dan", "agent")
    ann:send '{"content":"Hello,\\n你好 🌙 <b>","self":true,"room":"Cy"}'
    for _, window in ipairs { tab, bea, dan } do
      local said = window:hear_json()
      assert.is_true(math.abs(os.time() - said.at) < 60)
      said.at = nil
      assert.same({ content = "Hello,\n你好 🌙 <b>", room = "Ann", seq = 1, from = "Ann", role = "customer" }, said)
    end
    bea:send { content = "Good evening", room = "Ann" }
    for _, window in ipairs { ann, tab, dan } do
      local said = window:hear_json()
      assert.same({ "Good evening", "Ann", 2, "Bea", "agent" }, { said.content, said.room, said.seq, said.from, said.role })
    end
    -- Who doesn't ask for more, and gives no id, hears nothing but what is said.
    hear_nothing(ann, tab, cy, bea, dan)
  end)

  it("acknowledges a message that has an id", function()
    local ann, bea = enter("Ann", "customer"), enter("Bea", "agent")
    ann:send { content = "one", id = "a-1" }
    local ack = ann:hear_json()
    assert.same({ "ack", "a-1", 1, "Ann" }, { ack.type, ack.id, ack.seq, ack.room })
    assert.equal(bea:hear_json().at, ack.at)
    bea:send { content = "two", id = "a-1", room = "Ann" }
    assert.equal(2, bea:hear_json().seq)
  end)

  it("tells who is typing", function()
    local ann, bea, dan = enter("Ann", "customer"), enter("Bea", "agent"), enter("Dan", "agent")
    ann:send { history = {} }
    ann:hear_type "agents"
    bea:send { list = true }
    bea:hear_type "list"
    bea:send { typing = true, room = "Ann" }
    assert.same({ type = "typing", room = "Ann", from = "Bea", role = "agent", typing = true }, ann:hear_json())
    ann:send { typing = false }
    assert.same({ type = "typing", room = "Ann", from = "Ann", role = "customer", typing = false }, bea:hear_json())
    hear_nothing(ann, bea, dan)
  end)

  it("counts what is not read, and tells how far each side has read", function()
    local ann, bea, dan = enter("Ann", "customer"), enter("Bea", "agent"), enter("Dan", "agent")
    ann:send { history = {} }
    ann:hear_type "agents"
    for i = 1, 3 do
      ann:send { content = "message " .. i, id = tostring(i) }
      ann:hear_type "ack"
      bea:hear_json()
      dan:hear_json()
    end
    bea:send { list = true }
    local room = bea:hear_type("list").rooms[1]
    room.at = nil
    assert.same({
      room = "Ann", seq = 3, from = "Ann", role = "customer", content = "message 3", unread = 3, online = true,
    }, room)
    dan:send { read = 2, room = "Ann" }
    local mark = { type = "read", room = "Ann", role = "agent", seq = 2, unread = 1 }
    assert.same(mark, ann:hear_json())
    assert.same(mark, bea:hear_json())
    bea:send { read = 1, room = "Ann" } -- it doesn't go back
    assert.same(mark, bea:hear_json())
    bea:send { read = 99, room = "Ann" } -- nor past the end
    assert.same({ type = "read", room = "Ann", role = "agent", seq = 3, unread = 0 }, bea:hear_json())
    assert.same({ 2, 3 }, { ann:hear_json().seq, ann:hear_json().seq })
    bea:send { content = "hello", room = "Ann" }
    assert.equal(4, ann:hear_json().seq)
    assert.equal(4, dan:hear_json().seq)
    ann:send { read = 4 }
    assert.same({ type = "read", room = "Ann", role = "customer", seq = 4, unread = 0 }, bea:hear_json())
    bea:send { history = {}, room = "Ann" }
    assert.same({ customer = 4, agent = 3 }, bea:hear_type("history").read)
    hear_nothing(dan)
  end)

  it("tells agents who is online, and customers whether an agent is", function()
    local ann = enter("Ann", "customer")
    ann:send { history = {} }
    assert.same({ type = "agents", online = 0 }, ann:hear_type "agents")
    ann:send { content = "x" }
    local bea = enter("Bea", "agent")
    assert.same({ type = "agents", online = 1 }, ann:hear_json())
    bea:send { list = true }
    assert.is_true(bea:hear_type("list").rooms[1].online)
    local tab = enter("Ann", "customer")
    ann:close()
    hear_nothing(bea) -- one window is left
    tab:close()
    assert.same({ type = "here", room = "Ann", online = false }, bea:hear_json())
    ann = enter("Ann", "customer")
    assert.same({ type = "here", room = "Ann", online = true }, bea:hear_json())
    ann:send { history = {} }
    ann:hear_type "agents"
    bea:close()
    assert.same({ type = "agents", online = 0 }, ann:hear_json())
  end)

  it("keeps customers to their own room", function()
    local ann, cy, bea = enter("Ann", "customer"), enter("Cy", "customer"), enter("Bea", "agent")
    ann:send { content = "secret", id = "1" }
    ann:hear_type "ack"
    cy:send { history = {}, room = "Ann" }
    local history = cy:hear_type "history"
    assert.same({ "Cy", {} }, { history.room, history.messages })
    cy:hear_type "agents"
    cy:send { list = true }
    assert.same({ type = "error", message = "the list is for agents" }, cy:hear_json())
    cy:send { typing = true, room = "Ann" }
    cy:send { read = 1, room = "Ann" }
    assert.equal("error", cy:hear_json().type) -- of their own room, in which is nothing
    assert.equal("secret", bea:hear_json().content)
    hear_nothing(ann, bea)
  end)

  it("answers what it can't take with an error, to its sender only", function()
    local ann, bea = enter("Ann", "customer"), enter("Bea", "agent")
    ann:send { content = "first", id = "0" }
    ann:hear_type "ack"
    bea:hear_json()
    for i, case in ipairs {
      { ann, '{"content":', "send a JSON object" },
      { ann, "", "send a JSON object" },
      { ann, "null", "send a JSON object" },
      { ann, '"x"', "send a JSON object" },
      { ann, '["x"]', "send a JSON object" },
      { ann, "{}", "send a JSON object" },
      { ann, ("["):rep(2000) .. ("]"):rep(2000), "send a JSON object" },
      { ann, '{"action":"shout","type":"x"}', "send a JSON object" },
      { ann, '{"content":"","id":"7"}', "a message has 1 to 4000 characters", "7" },
      { ann, '{"content":" \\n\\t "}', "a message has 1 to 4000 characters" },
      { ann, '{"content":null}', "a message has 1 to 4000 characters" },
      { ann, '{"content":42}', "a message has 1 to 4000 characters" },
      { ann, '{"content":{"a":1}}', "a message has 1 to 4000 characters" },
      { ann, '{"content":"\\ud800"}', "send a JSON object" },
      { ann, json.encode { content = ("ß"):rep(4001), id = "8" }, "a message has 1 to 4000 characters", "8" },
      { ann, '{"content":"x","id":7}', "an id is a string of 1 to 64 characters" },
      { ann, '{"content":"x","id":""}', "an id is a string of 1 to 64 characters" },
      { ann, json.encode { content = "x", id = ("x"):rep(65) }, "an id is a string of 1 to 64 characters" },
      { ann, '{"typing":1}', "typing is true or false" },
      { ann, '{"read":-1}', "read is the seq of a message" },
      { ann, '{"read":1.5}', "read is the seq of a message" },
      { ann, '{"read":"1"}', "read is the seq of a message" },
      { ann, '{"history":{"before":"x"}}', "history is an object" },
      { bea, '{"content":"x"}', "name the room" },
      { bea, '{"history":{},"room":""}', "name the room" },
      { bea, '{"content":"x","room":"Nobody","id":"9"}', "there is no such conversation", "9" },
      { bea, '{"read":1,"room":"Nobody"}', "there is no such conversation" },
    } do
      local window, text, problem, id = table.unpack(case)
      window:send(text)
      local answer = window:hear_json()
      assert.same({ "error", problem, id }, { answer.type, answer.message:sub(1, #problem), answer.id }, text)
      ann:send { content = ("ß"):rep(4000), id = "good " .. i }
      assert.equal(i + 1, ann:hear_json().seq)
      assert.equal(8000, #bea:hear_json().content)
    end
  end)

  it("closes who sends two megabytes, and nobody else", function()
    local ann, bea = enter("Ann", "customer"), enter("Bea", "agent")
    ann.peer:tell { send = { size = 2 << 20, kind = "text" } }
    assert.equal(1009, (ann:leave()))
    hear_nothing(bea)
  end)

  it("takes a thousand messages at once, in order, and serves the others meanwhile", function()
    local ann, cy, bea = enter("Ann", "customer"), enter("Cy", "customer"), enter("Bea", "agent")
    for i = 1, 1000 do
      ann:send { content = "message " .. i, id = tostring(i) }
    end
    ann:hear_type "ack"
    cy:send { content = "and I?", id = "1" }
    assert.equal(1, cy:hear_type("ack").seq)
    assert.is_true(ann:waiting() < 900, "Cy didn't wait until all was said")
    for i = 2, 1000 do
      local ack = ann:hear_json()
      assert.same({ tostring(i), i }, { ack.id, ack.seq })
    end
    local of_ann = 0
    for _ = 1, 1001 do
      local said = bea:hear_json()
      if said.room == "Ann" then
        of_ann = of_ann + 1
        assert.same({ of_ann, "message " .. of_ann }, { said.seq, said.content })
      end
    end
    assert.equal(1000, of_ann)
  end)

  it("serves its page, and nothing from beside it", function()
    for path, kind in pairs {
      ["/"] = "text/html",
      ["/chat.js"] = "text/javascript",
      ["/view.js"] = "text/javascript",
      ["/chat.css"] = "text/css",
      ["/common/look.css"] = "text/css",
      ["/common/moonwire.js"] = "text/javascript",
    } do
      local response = chat:fetch(path)
      assert.equal(200, response.status, path)
      assert.truthy(response.headers["content-type"]:find(kind, 1, true), path)
    end
    for _, path in ipairs { "/server.lua", "/chat.db", "/..%2fserver.lua", "/%2e%2e/secret.key", "/nothing" } do
      local status = chat:fetch(path).status
      assert.is_true(status == 404 or status == 400, path)
    end
  end)

  it("ends with 0 when it is asked to, saying good-bye with 1001", function()
    local ann = enter("Ann", "customer")
    local waiting = chat:visit "/ws"
    chat:stop()
    assert.equal(1001, (ann:leave()))
    assert.equal(1001, (waiting:leave()))
  end)

  it("is a story with customers and agents, in a browser", function()
    example.play("chat_page.mjs", chat.url, 13, {
      stop = function()
        chat:stop()
      end,
      start = function()
        start(chat.port)
      end,
      flood = function(need)
        local window = enter(need.room, "customer")
        for i = 1, need.count do
          window:send { content = "message " .. i, id = ("%d of %d"):format(i, need.count) }
        end
        for _ = 1, need.count do
          window:hear_type "ack"
        end
        window:close()
      end,
    })
  end)
end)
