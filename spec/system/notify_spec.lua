-- notify_spec.lua - examples/notify as people use it: greeting and heartbeat on the wire, inboxes, and a site in a browser.
-- SPDX-License-Identifier: MIT

local example = require "spec.support.example"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local uv = require "luv"

local SECRET = ("s"):rep(32)
local tokens -- signs like the server

describe("the notify example", function()
  local shop, port

  local function start()
    shop = example.start("notify", {}, { port = port, env = { TOKEN_SECRET = SECRET } })
    port = shop.port
  end

  setup(function()
    tokens = example.signer(SECRET)
  end)

  before_each(function()
    port = 0
    start()
  end)

  after_each(function()
    if not shop.process.exit then
      shop:stop()
    end
    peer.stop_all()
  end)
  teardown(peer.finish)

  local function post(path, body, token)
    local answer = shop:fetch(path, {
      method = "POST",
      body = type(body) == "table" and json.encode(body) or body,
      headers = token and { Authorization = "Bearer " .. token },
    })
    return answer.status, json.decode(answer.text)
  end

  local function notify(to, msg)
    local status, body = post("/notify", { to = to, msg = msg }, tokens:sign({ sub = "boss", role = "admin" }, 60))
    assert.equal(200, status, body.problem)
    return body.windows
  end

  -- A page with a list; `plain`: one that knows nothing of lists.
  local function visit(name, plain)
    return (shop:visit((plain and "/?token=" or "/?list=all&token=") .. tokens:sign({ sub = name }, 60)))
  end

  it("lets in who has a token that is good", function()
    local status, body = post("/login", { name = "Ada 你好" })
    assert.equal(200, status)
    shop:visit("/?token=" .. body.token):close()
    shop:visit("/?Authorization=Bearer%20" .. body.token):close()
    local window, opened = shop:visit("/", { protocols = { "Bearer" .. body.token } })
    assert.equal("Bearer" .. body.token, opened.protocol)
    window:close()
    for path, why in pairs {
      ["/"] = "a token is missing",
      ["/?token="] = "a token is missing",
      ["/?token=x"] = "this is not a token",
      ["/?token=" .. body.token .. "x"] = "the token is not signed by this server",
      ["/?token=" .. tokens:sign({ sub = "Ada" }, -1)] = "the token has expired; log in again",
    } do
      assert.same({ 401, why .. "\n" }, { shop:refused(path) }, path)
    end
  end)

  it("is greeted, and answers a heartbeat and nothing else with a heartbeat", function()
    local window = visit "Ada"
    window:send "Hello WebSockets!"
    window:send "HeartBeat"
    assert.equal("HeartBeat", window:hear())
    assert.equal(0, window:waiting())
    window:close()
  end)

  it("notifies the windows of those who are meant", function()
    local ada, second, ben = visit "Ada", visit "Ada", visit "Ben"
    assert.equal(2, notify("Ada", "Your order has left the house."))
    for _, window in ipairs { ada, second } do
      local notification = window:hear_json()
      assert.equal("Your order has left the house.", notification.msg)
      assert.same({ 1, "nil" }, { notification.id, type(notification.read) })
    end
    assert.equal(3, notify("*", "<b>你好</b> 🌙"))
    for _, window in ipairs { ada, second, ben } do
      assert.equal("<b>你好</b> 🌙", window:hear_json().msg)
    end
    for _, window in ipairs { ada, second, ben } do
      assert.equal(0, window:waiting())
      window:close()
    end
  end)

  it("keeps the last fifty for who is away, and what was seen", function()
    for i = 1, 53 do
      assert.equal(0, notify("Ada", "number " .. i))
    end
    local window = visit "Ada"
    for i = 4, 53 do
      local notification = window:hear_json()
      assert.same({ i, "number " .. i, false }, { notification.id, notification.msg, notification.read })
    end
    local other = visit "Ada"
    for _ = 4, 53 do
      other:hear()
    end
    window:send '{"read":52}'
    assert.equal('{"read":52}', window:hear())
    assert.equal('{"read":52}', other:hear())
    window:send '{"read":10}' -- late, by another tab
    assert.equal('{"read":52}', other:hear())
    local late = visit "Ada"
    for i = 4, 53 do
      assert.equal(i <= 52, late:hear_json().read)
    end
    for _, each in ipairs { window, other, late } do
      each:terminate()
    end
  end)

  it("tells a page without a list once, and nothing but notifications", function()
    assert.equal(0, notify("Ada", "while you were away"))
    local plain = visit("Ada", "plain")
    local missed = plain:hear_json()
    assert.same({ "while you were away", 1, "nil" }, { missed.msg, missed.id, type(missed.read) })
    local page = visit "Ada"
    assert.is_false(page:hear_json().read)
    page:send '{"read":1}'
    assert.equal('{"read":1}', page:hear())
    plain:send "HeartBeat"
    assert.equal("HeartBeat", plain:hear())
    plain:close()
    assert.equal(1, notify("Ada", "seen on the other page"))
    plain = visit("Ada", "plain") -- as after a reload
    assert.equal(2, notify("Ada", "now"))
    assert.equal("now", plain:hear_json().msg)
    assert.equal(0, plain:waiting())
    plain:close()
    page:terminate()
  end)

  it("answers what it can't take, and tells nobody else", function()
    local ada, ben = visit "Ada", visit "Ben"
    notify("Ada", "one")
    ada:hear()
    for _, text in ipairs { "", "heartbeat", "{", "[]", "null", "1", "{}", '{"read":"1"}', '{"read":1.5}', '{"read":-1}',
      '{"read":2}', '{"read":null}', '{"msg":"to everybody"}', ("["):rep(5000) } do
      ada:send(text)
      assert.equal("string", type(ada:hear_json().problem), text)
    end
    for _ = 1, 1000 do
      ada:send "HeartBeat"
    end
    for _ = 1, 1000 do
      assert.equal("HeartBeat", ada:hear())
    end
    ada.peer:tell { send = { size = 2 << 20, kind = "text" } }
    assert.equal(1009, (ada:leave()))
    ben:send "HeartBeat"
    assert.equal("HeartBeat", ben:hear())
    assert.equal(0, ben:waiting())
    ben:close()
  end)

  it("takes orders from who is logged in, and notifications from administrators", function()
    local admin, user = tokens:sign({ sub = "boss", role = "admin" }, 60), tokens:sign({ sub = "Ada" }, 60)
    local body = { to = "Ada", msg = "x" }
    assert.equal(401, (post("/notify", body)))
    assert.equal(401, (post("/notify", body, "x")))
    assert.equal(401, (post("/notify", body, tokens:sign({ sub = "boss", role = "admin" }, -1))))
    assert.equal(403, (post("/notify", body, user)))
    assert.equal(401, (post "/orders"))
    assert.equal(200, (post("/orders", "", user)))
    for _, bad in ipairs { "", "{", "[]", {}, { to = "Ada" }, { msg = "x" }, { to = "", msg = "x" }, { to = "Ada", msg = "" },
      { to = 1, msg = "x" }, { to = "Ada", msg = ("ß"):rep(501) }, { to = ("ß"):rep(41), msg = "x" } } do
      local status, answer = post("/notify", bad, admin)
      assert.same({ 400, "string" }, { status, type(answer.problem) })
    end
    for _, bad in ipairs { "", "{", "[]", {}, { name = "" }, { name = 1 }, { name = ("ß"):rep(41) } } do
      local status, answer = post("/login", bad)
      assert.same({ 400, "string" }, { status, type(answer.problem) })
    end
  end)

  it("is a site in a browser, whose pages all tell", function()
    example.play("notify_page.mjs", shop.url, 10, {
      notify = function(need)
        return notify(need.to, need.msg)
      end,
      stop = function()
        shop:stop()
      end,
      start = start,
    })
  end)

  it("notifies from a terminal, and is told in one", function()
    local url = "http://127.0.0.1:" .. port
    local script = example.path "examples/notify/client.lua"
    assert.equal(0, notify("Ada", "Look up!"))
    local client = peer.spawn(uv.exepath(), { script, "Ada", url })
    assert.truthy(client:expect("line").text:find "^%d%d:%d%d  Look up!$")
    local send = example.path "examples/notify/send.lua"
    local sender = peer.spawn("env", { "TOKEN_SECRET=" .. SECRET, uv.exepath(), send, "*", "The moon is full.", url })
    assert.equal("shown in 1 window", sender:expect("line").text)
    assert.equal(0, sender:expect("exit").code)
    assert.truthy(client:expect("line").text:find "^%d%d:%d%d  The moon is full%.$")
    client:kill "sigterm"
    assert.equal(0, client:expect("exit").code)
    local wrong = peer.spawn("env", { "TOKEN_SECRET=" .. ("x"):rep(32), uv.exepath(), send, "*", "x", url })
    assert.equal(1, wrong:expect("exit").code)
    assert.truthy(wrong.stderr:find("401 Unauthorized: the token is not signed by this server", 1, true), wrong.stderr)
  end)
end)
