-- hello_spec.lua - examples/hello as people use it: the greetings on the wire, and a big screen in a browser.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local example = require "spec.support.example"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local uv = require "luv"

local GREETING = "你好,客户端"

local function say(hello, body)
  local answer = hello:fetch("/say", { method = "POST", body = type(body) == "table" and json.encode(body) or body })
  return answer.status, json.decode(answer.text)
end

describe("the hello example", function()
  local hello

  before_each(function()
    hello = example.start "hello"
  end)

  after_each(function()
    if not hello.process.exit then
      hello:stop()
    end
    peer.stop_all()
  end)
  teardown(peer.finish)

  it("answers Hello World over HTTP", function()
    local answer = hello:fetch "/"
    assert.same({ 200, "Hello World" }, { answer.status, answer.text })
  end)

  it("answers every message on the same port", function()
    local window = hello:visit "/"
    for _, message in ipairs { "你好,服务器", "", "{}", '{"broken', ("x"):rep(100000) } do
      window:send(message)
      assert.equal(GREETING, window:hear())
    end
    window:close()
  end)

  it("answers a thousand messages at once, and nobody else", function()
    local window, other = hello:visit "/", hello:visit "/"
    for i = 1, 1000 do
      window:send("message " .. i)
    end
    for _ = 1, 1000 do
      assert.equal(GREETING, window:hear())
    end
    other:send "still there?"
    assert.equal(GREETING, other:hear())
    assert.equal(0, other:waiting())
    window:close()
    other:close()
  end)

  it("closes who sends two megabytes, and nobody else", function()
    local window, other = hello:visit "/", hello:visit "/"
    window.peer:tell { send = { size = 2 << 20, kind = "text" } }
    assert.equal(1009, (window:leave()))
    other:send "still there?"
    assert.equal(GREETING, other:hear())
    other:close()
  end)

  it("wants to know which screen it is", function()
    for _, path in ipairs { "/ws", "/ws?uid=", "/ws?uid=*", "/ws?uid=" .. ("x"):rep(65) } do
      local status, text = hello:refused(path)
      assert.equal(400, status, path)
      assert.truthy(text:find("/ws?uid=", 1, true), text)
    end
  end)

  it("shows what is said on the screen that is meant, and on all", function()
    local one = hello:visit "/ws?uid=ttq123"
    assert.equal('{"screens":1}', one:hear())
    assert.equal('{"text":""}', one:hear())
    local two = hello:visit "/ws?uid=%E5%B1%8F"
    assert.equal('{"screens":2}', one:hear())
    assert.equal('{"screens":2}', two:hear())
    assert.equal('{"text":""}', two:hear())
    assert.same({ 200, { screens = 1 } }, { say(hello, { uid = "屏", text = "你好 🌙" }) })
    assert.equal("你好 🌙", two:hear_json().text)
    assert.same({ 200, { screens = 2 } }, { say(hello, { uid = "*", text = "for all" }) })
    assert.equal("for all", one:hear_json().text)
    assert.equal("for all", two:hear_json().text)
    assert.same({ 200, { screens = 0 } }, { say(hello, { uid = "nobody", text = "x" }) })
    one:send "hello"
    assert.equal(GREETING, one:hear())
    one:close()
    assert.equal('{"screens":1}', two:hear())
    two:close()
  end)

  it("tells a screen that comes back what was said last, if it was meant for it", function()
    say(hello, { uid = "a", text = "for a" })
    local a, b = hello:visit "/ws?uid=a", hello:visit "/ws?uid=b"
    assert.equal('{"screens":1}', a:hear())
    assert.equal('{"text":"for a"}', a:hear())
    assert.equal('{"screens":2}', b:hear())
    b:send "anything else?"
    assert.equal(GREETING, b:hear())
    a:close()
    b:close()
  end)

  it("refuses to show what is no text", function()
    for _, body in ipairs { "", "{", "[]", "null", '"x"', '{"uid":"a"}', '{"text":"x"}', '{"uid":1,"text":"x"}',
      '{"uid":"a","text":{}}', json.encode { uid = "a", text = ("ß"):rep(501) } } do
      local status, answer = say(hello, body)
      assert.equal(400, status, body)
      assert.truthy(answer.message:find '"uid"', body)
    end
    assert.equal(413, hello:fetch("/say", { method = "POST", body = ("x"):rep(2 << 20) }).status)
  end)

  it("is a big screen in a browser, which comes back unless it was switched off", function()
    local port = hello.port
    example.play("hello_page.mjs", hello.url, 5, {
      stop = function()
        hello:stop()
      end,
      start = function()
        hello = example.start("hello", {}, { port = port })
      end,
      say = function(need)
        return (select(2, say(hello, { uid = need.uid, text = need.text })).screens)
      end,
    })
  end)

  it("is a big screen in a terminal as well", function()
    local script = example.path "examples/hello/client.lua"
    local client = peer.spawn(uv.exepath(), { script, "ttq 123", "ws://127.0.0.1:" .. hello.port })
    assert.equal("(1 screens)", client:expect("line").text)
    async.wait_until(function()
      return client:count "line" == 2
    end, "the greeting")
    say(hello, { uid = "ttq 123", text = "up here" })
    async.wait_until(function()
      return client:count "line" == 3
    end, "what was said")
    assert.same({ "", GREETING, "up here" }, {
      client:expect("line").text, client:expect("line").text, client:expect("line").text,
    })
    client:kill "sigterm"
    assert.equal(0, client:expect("exit").code)
  end)
end)
