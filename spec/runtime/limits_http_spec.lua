-- limits_http_spec.lua - the sizes of HTTP requests, and the times they may take; each from just below and from just above.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local limits = require "spec.support.limits"
local moonwire = require "moonwire"
local relay = require "spec.support.relay"
local tls = require "spec.support.tls"
local visitor = require "spec.support.visitor"

after_each(limits.finish)

describe("a request's", function()
  -- A head of exactly so many bytes, its end included.
  local function head_of(bytes, filler)
    local head = "GET / HTTP/1.1\r\nHost: x\r\nX-Filler: %s\r\n\r\n"
    return head:format((filler or "x"):rep(bytes - #head + 2))
  end

  local port
  before_each(function()
    local app = moonwire.app { max_body = 10 }
    app:get("/", function(_, res)
      res:send "fine"
    end)
    app:post("/", function(req, res)
      res:send(req.body)
    end)
    app:post("/large", { max_body = 20 }, function(req, res)
      res:send(req.body)
    end)
    port = limits.serve(app, { max_head_bytes = 300, max_headers = 5 })
  end)

  local function status_of(bytes)
    local client = visitor.connect(port)
    client:write(bytes)
    return (client:response())
  end

  it("head: max_head_bytes", function()
    assert.equal(200, status_of(head_of(300)))
    assert.equal(431, status_of(head_of(301)))
    assert.equal(431, status_of(head_of(100000)))
    assert.equal(431, status_of(head_of(400):sub(1, 301)))
    assert.equal(200, status_of(head_of(300) .. head_of(300)))
  end)

  it("line: max_request_line", function()
    local app = moonwire.app { max_head_bytes = 1 << 16 }
    app:get("/", function(req, res)
      res:send(tostring(#req.url))
    end)
    local function line_of(bytes)
      local line = "GET /?%s HTTP/1.1"
      return line:format(("x"):rep(bytes - #line + 2)) .. "\r\nHost: x\r\n\r\n"
    end
    for _, most in ipairs { 256, 8192, 40000 } do
      port = limits.serve(app, { max_request_line = most ~= 8192 and most or nil })
      local client = visitor.connect(port)
      client:write(line_of(most))
      local status, body = client:response()
      assert.same({ 200, tostring(most - #"GET  HTTP/1.1") }, { status, body })
      assert.equal(414, status_of(line_of(most + 1)))
    end
  end)

  it("line: max_request_line, which a WebSocket may need to read its request again", function()
    local long = "/?x=" .. ("y"):rep(10000)
    port = limits.serve_ws({
      open = function(ws)
        ws:send(tostring(#ws.request.query.x))
      end,
    }, { max_request_line = 20000 })
    local ws = visitor.connect(port)
    ws:upgrade(long)
    assert.equal("10000", ws:message())
  end)

  it("headers: max_headers", function()
    local function with(count)
      return "GET / HTTP/1.1\r\nHost: x\r\n" .. ("X: y\r\n"):rep(count - 1) .. "\r\n"
    end
    assert.equal(200, status_of(with(5)))
    assert.equal(431, status_of(with(6)))
  end)

  it("body: max_body of the app, and of the route", function()
    local function post(path, length, is_chunked)
      local head = ("POST %s HTTP/1.1\r\nHost: x\r\n"):format(path)
      if is_chunked then
        return status_of(("%sTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n%x\r\n%s\r\n0\r\n\r\n"):format(head, length - 1,
          ("x"):rep(length - 1)))
      end
      return status_of(("%sContent-Length: %d\r\n\r\n%s"):format(head, length, ("x"):rep(length)))
    end
    for _, is_chunked in ipairs { false, true } do
      assert.equal(200, post("/", 10, is_chunked))
      assert.equal(413, post("/", 11, is_chunked))
      assert.equal(200, post("/large", 20, is_chunked))
      assert.equal(413, post("/large", 21, is_chunked))
    end
    assert.equal(413, status_of "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999\r\n\r\n")
    -- Refused on the announced length, before any of it came.
    assert.equal(413, status_of "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n")
  end)
end)


-- The same from two visitors, one of a port with a short limit and one of a port with a long one: when the first has been
-- refused, the other is still waited for, and served when it goes on.
describe("a visitor who stops is given as long as", function()
  local SHORT, LONG = 0.05, 60
  local GET = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
  local POST = "POST / HTTP/1.1\r\nHost: x\r\n"

  local function serve_both(changes)
    local app = moonwire.app { min_body_rate = 1 << 20, keep_alive_timeout = LONG }
    app:get("/", function(_, res)
      res:send "fine"
    end)
    app:post("/", function(_, res)
      res:send "fine"
    end)
    local ports = {}
    for i, seconds in ipairs { SHORT, LONG } do
      local settings = {}
      for name, value in pairs(changes) do
        settings[name] = value == "limit" and seconds or value
      end
      ports[i] = limits.serve(app, settings)
    end
    return ports[1], ports[2]
  end

  for _, case in ipairs {
    { "head_timeout, before it says anything", "head_timeout", "", GET },
    { "head_timeout, inside of a head", "head_timeout", GET:sub(1, -2), "\n", refused = 408 },
    { "head_timeout, inside of the next head", "head_timeout", GET .. "G", GET:sub(2), refused = 408, before = 1 },
    { "body_timeout, inside of a body", "body_timeout", POST .. "Content-Length: 5\r\n\r\nHell", "o", refused = 408 },
    { "body_timeout, inside of a chunk", "body_timeout", POST .. "Transfer-Encoding: chunked\r\n\r\n5\r\nHe",
      "llo\r\n0\r\n\r\n", refused = 408 },
    { "body_timeout, before the last chunk", "body_timeout", POST .. "Transfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n",
      "0\r\n\r\n", refused = 408 },
    { "keep_alive_timeout, between two requests", "keep_alive_timeout", GET, GET, before = 1 },
  } do
    it(case[1], function()
      local short_port, long_port = serve_both { [case[2]] = "limit" }
      local short, long = visitor.connect(short_port), visitor.connect(long_port)
      for _, each in ipairs { long, short } do
        each:write(case[3])
        for _ = 1, case.before or 0 do
          assert.equal(200, (each:response()))
        end
      end
      if case.refused then
        assert.equal(case.refused, (short:response()))
      end
      assert.equal("", short:expect_end())
      assert.same({ false, "" }, { long.is_ended, long.received })
      long:write(case[4])
      local status, body = long:response()
      assert.same({ 200, "fine" }, { status, body })
    end)
  end

  it("head_timeout, while `upgrade` decides: 503", function()
    local doors = {}
    local app = moonwire.app()
    app:ws("/", {
      upgrade = function()
        table.insert(doors, (coroutine.running()))
        coroutine.yield()
      end,
    })
    local short = visitor.connect(limits.serve(app, { head_timeout = SHORT }))
    local long = visitor.connect(limits.serve(app, { head_timeout = LONG }))
    long:write(visitor.opening())
    short:write(visitor.opening())
    assert.equal(503, (short:response()))
    short:expect_end()
    assert.same({ false, "" }, { long.is_ended, long.received })
    for _, door in ipairs(doors) do
      require("moonwire.core").resume(door)
    end
    long:expect "^HTTP/1%.1 101"
  end)

  it("head_timeout, inside of a TLS handshake", function()
    local files = tls.files()
    local short_port, long_port = serve_both { head_timeout = "limit", tls = { cert = files.cert, key = files.key } }
    local short, long = relay.start(short_port, { up = 40 }), relay.start(long_port, { up = 40 })
    local answers = async.mailbox()
    for name, each in pairs { short = short, long = long } do
      moonwire.spawn(function()
        local answer, _, code = moonwire.fetch("https://localhost:" .. each.port, { tls = { ca = files.ca } })
        answers:put(name, answer and answer.body or code)
      end)
    end
    assert.same({ "short", "tls" }, { answers:take() })
    assert.same({ true, false, 40 }, { short.is_ended, long.is_ended, long.up })
    long:open()
    assert.same({ "long", "fine" }, { answers:take() })
  end)

  it("head_timeout, before a TLS handshake begins", function()
    local files = tls.files()
    local short_port, long_port = serve_both { head_timeout = "limit", tls = { cert = files.cert, key = files.key } }
    local short, long = visitor.connect(short_port), visitor.connect(long_port)
    assert.equal("", short:expect_end())
    assert.is_false(long.is_ended)
  end)
end)
