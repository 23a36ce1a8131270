-- store_socket_spec.lua - examples/store-socket as people use it: the first message, beats and answers, and windows that share
-- one shop.
-- SPDX-License-Identifier: MIT

local example = require "spec.support.example"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local uv = require "luv"

local SECRET = ("s"):rep(32)
local HEART_CHECK = '{"type":"heartCheck"}'
local AUTH_OK = { type = "auth", data = "auth ok" }

describe("the store-socket example", function()
  local shop, tokens

  -- `beat`: seconds between two heartChecks.
  local function start(beat, port)
    shop = example.start("store-socket", { tostring(beat or 1000) }, { port = port, env = { TOKEN_SECRET = SECRET } })
  end

  local function token(name, seconds)
    return tokens:sign({ sub = name }, seconds or 60)
  end

  setup(function()
    tokens = example.signer(SECRET)
  end)

  after_each(function()
    if not shop.process.exit then
      shop:stop()
    end
    peer.stop_all()
  end)
  teardown(peer.finish)

  -- A window that is known. The present was told to it, and taken.
  local function enter(name)
    local window = shop:visit "/"
    window:send { type = "auth", data = token(name) }
    assert.same(AUTH_OK, window:hear_json())
    window:hear_type "online"
    return window
  end

  it("accepts a token as the first message, and tells the present", function()
    start()
    local window = shop:visit "/"
    window:send(('{"type":"auth","data":"%s"}'):format(token "Ada"))
    assert.same(AUTH_OK, window:hear_json())
    assert.same({ type = "stock", data = { map = 12, lamp = 8, eyepiece = 3 } }, window:hear_json())
    assert.same({ type = "basket", data = {} }, window:hear_json())
    assert.same({ type = "online", data = 1 }, window:hear_json())
    window:close()
  end)

  it("says noAuth to everybody else, and closes", function()
    start()
    for what, text in pairs {
      ["a wrong token"] = '{"type":"auth","data":"x.y.z"}',
      ["an expired token"] = ('{"type":"auth","data":"%s"}'):format(token("Ada", -1)),
      ["no token"] = '{"type":"auth"}',
      ["null"] = '{"type":"auth","data":null}',
      ["a token that is no string"] = '{"type":"auth","data":{"a":1}}',
      ["something else first"] = '{"type":"buy","data":"map"}',
      ["a beat first"] = HEART_CHECK,
      ["broken JSON"] = '{"type":',
      ["nothing"] = "",
      ["a token of nobody"] = ('{"type":"auth","data":"%s"}'):format(tokens:sign({}, 60)),
      ["a name that is no text"] = ('{"type":"auth","data":"%s"}'):format(tokens:sign({ sub = { "Ada" } }, 60)),
    } do
      local window = shop:visit "/"
      window:send(text)
      assert.equal('{"type":"noAuth"}', window:hear(), what)
      assert.equal(1008, (window:leave()), what)
    end
  end)

  it("closes who says nothing for ten seconds", function()
    start()
    local silent, known = shop:visit "/", enter "Ada"
    assert.equal('{"type":"noAuth"}', silent:hear())
    assert.equal(1008, (silent:leave()))
    known:close()
  end)

  it("beats, and closes who doesn't answer", function()
    start(0.3)
    local silent, lively = enter "Ada", enter "Ben"
    for _ = 1, 2 do
      silent:hear_type "heartCheck"
    end
    local closed = false
    for _ = 1, 8 do
      repeat
        local text = lively:hear()
        closed = closed or text == '{"data":1,"type":"online"}' or text == '{"type":"online","data":1}'
      until text == HEART_CHECK
      lively:send(HEART_CHECK)
    end
    assert.is_true(closed, "the silent one has gone")
    local code, reason = silent:leave()
    assert.same({ 1008, "no answer to heartCheck" }, { code, reason })
    lively:close()
  end)

  it("sells what is there, and every window sees it", function()
    start()
    local ada, again, ben = enter "Ada", enter "Ada", enter "Ben"
    ada:send '{"type":"buy","data":"eyepiece"}'
    for _, window in ipairs { ada, again } do
      assert.same({ eyepiece = 1 }, window:hear_type("basket").data)
    end
    assert.equal(2, ben:hear_type("stock").data.eyepiece)
    for _ = 1, 3 do
      ben:send '{"type":"buy","data":"eyepiece"}'
    end
    assert.equal("sold out; there will be more soon", ben:hear_type("error").data)
    repeat
      local stock = ada:hear_type("stock").data
    until stock.eyepiece == 0
    local late = shop:visit "/"
    late:send { type = "auth", data = token "Ben" }
    assert.equal(0, late:hear_type("stock").data.eyepiece)
    assert.same({ eyepiece = 2 }, late:hear_type("basket").data)
    for _, window in ipairs { ada, again, ben, late } do
      window:terminate()
    end
  end)

  it("answers what it can't take with an error, to its sender only", function()
    start()
    local ada, ben = enter "Ada", enter "Ben"
    ada:hear_type "online" -- Ben came
    for _, text in ipairs { "", "{", "null", "[]", "{}", '{"type":"steal"}', '{"type":{}}', '{"type":"buy"}',
      '{"type":"buy","data":"moon"}', '{"type":"buy","data":["map"]}', '{"type":"buy","data":null}',
      '{"type":"auth","data":"x"}' } do
      ada:send(text)
      local answer = ada:hear_json()
      assert.same({ "error", "string" }, { answer.type, type(answer.data) }, text)
    end
    for _ = 1, 1000 do
      ada:send '{"type":"steal"}'
    end
    for _ = 1, 1000 do
      assert.equal("error", ada:hear_json().type)
    end
    ada.peer:tell { send = { size = 2 << 20, kind = "text" } }
    assert.equal(1009, (ada:leave()))
    assert.same({ type = "online", data = 1 }, ben:hear_json())
    ben:close()
  end)

  it("gives names to those who come in", function()
    start()
    for _, bad in ipairs { "", "{", "[]", "{}", '{"name":""}', '{"name":1}', json.encode { name = ("ß"):rep(41) } } do
      local answer = shop:fetch("/login", { method = "POST", body = bad })
      assert.same({ 400, "string" }, { answer.status, type(json.decode(answer.text).problem) }, bad)
    end
    local answer = shop:fetch("/login", { method = "POST", body = '{"name":"Ada"}' })
    assert.equal("Ada", tokens:verify(json.decode(answer.text).token).sub)
  end)

  it("is one shop in several windows of a browser", function()
    start()
    local port = shop.port
    example.play("store_socket_page.mjs", shop.url, 7, {
      stop = function()
        shop:stop()
      end,
      start = function()
        start(1000, port)
      end,
    })
  end)

  it("is the same shop in a terminal, which answers its beats", function()
    start(0.2)
    local script = example.path "examples/store-socket/client.lua"
    local client = peer.spawn(uv.exepath(), { script, "Tess", "http://127.0.0.1:" .. shop.port })
    assert.equal("star maps 12   red lamps  8   eyepieces  3", client:expect("line").text)
    local ada = enter "Ada"
    for _ = 1, 5 do
      ada:hear_type "heartCheck"
      ada:send(HEART_CHECK)
    end
    ada:send '{"type":"buy","data":"lamp"}'
    assert.equal("star maps 12   red lamps  7   eyepieces  3", client:expect("line").text)
    client:kill "sigterm"
    assert.equal(0, client:expect("exit").code)
    ada:terminate()
  end)
end)
