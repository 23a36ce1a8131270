local fake = require "support.fake_core"
fake.install()
local request = require "moonwire.request"
local response = require "moonwire.response"
local url = require "moonwire.url"

local function new(fields)
  local exchange = fake.exchange(fields)
  local req = request.new(exchange, url.parse_target(exchange.request_target))
  local is_done = { count = 0 }
  local res = response.new(exchange, req, function()
    is_done.count = is_done.count + 1
  end)
  return res, exchange, is_done
end

describe("res:send", function()
  it("writes a whole answer at once", function()
    local res, exchange, is_done = new()
    assert.is_true(res:send "hello")
    local got = exchange:response()
    assert.equal("HTTP/1.1 200 OK", got.lines[1])
    assert.equal("5", got.headers["content-length"])
    assert.equal("text/plain; charset=utf-8", got.headers["content-type"])
    assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$", got.headers.date)
    assert.is_nil(got.headers.connection)
    assert.equal("hello", got.body)
    assert.equal(1, #exchange.out)
    assert.is_true(exchange.is_finished and exchange.kept_alive)
    assert.is_true(res.sent and res.finished)
    assert.equal(1, is_done.count)
  end)

  it("takes a type, or an ending for one", function()
    local res, exchange = new()
    res:send("<p>", "html")
    assert.equal("text/html; charset=utf-8", exchange:response().headers["content-type"])
    res, exchange = new()
    res:send("x", "image/png")
    assert.equal("image/png", exchange:response().headers["content-type"])
    res, exchange = new()
    res.headers["content-type"] = "text/x-mine"
    res:send "x"
    assert.equal("text/x-mine", exchange:response().headers["content-type"])
  end)

  it("answers without a body", function()
    local res, exchange = new()
    res:send()
    local got = exchange:response()
    assert.equal("0", got.headers["content-length"])
    assert.is_nil(got.headers["content-type"])
  end)

  for _, status in ipairs { 204, 304 } do
    it("has no length with status " .. status, function()
      local res, exchange = new()
      res.status = status
      res:send()
      local got = exchange:response()
      assert.equal(status, got.status)
      assert.is_nil(got.headers["content-length"])
      assert.is_nil(got.headers["transfer-encoding"])
      assert.equal("", got.raw_body)
    end)

    it("refuses a body with status " .. status, function()
      local res, exchange = new()
      res.status = status
      assert.error_matches(function()
        res:send "x"
      end, "status " .. status .. " has no body")
      assert.equal("", exchange:text())
    end)
  end

  it("sends no body to HEAD, but its length", function()
    local res, exchange = new { method = "HEAD" }
    res:send "hello"
    local got = exchange:response()
    assert.equal("5", got.headers["content-length"])
    assert.equal("", got.raw_body)
    res, exchange = new { method = "HEAD" }
    res.headers["Content-Length"] = 1000
    res:send()
    assert.equal("1000", exchange:response().headers["content-length"])
  end)

  it("closes when the request or the script says so", function()
    local res, exchange = new { allows_keep_alive = false }
    res:send "x"
    assert.equal("close", exchange:response().headers.connection)
    assert.is_false(exchange.kept_alive)
    res, exchange = new()
    res.headers.Connection = "Close"
    res:send "x"
    assert.equal("close", exchange:response().headers.connection)
    assert.is_false(exchange.kept_alive)
  end)

  it("tells HTTP/1.0 that the connection stays", function()
    local res, exchange = new { minor = 0 }
    res:send "x"
    assert.equal("keep-alive", exchange:response().headers.connection)
  end)

  it("raises the second time", function()
    local res = new()
    res:send "x"
    for again, argument in pairs { send = "x", json = "x", file = "x", redirect = "x", before_send = print } do
      assert.error_matches(function()
        res[again](res, argument)
      end, "res:" .. again .. ": the response has been sent already")
    end
  end)

  for _, case in ipairs {
    { {}, "string expected, got table; use res:json for a table" },
    { true, "string expected, got boolean" },
  } do
    it("wants a string, not a " .. type(case[1]), function()
      local res = new()
      assert.error_matches(function()
        res:send(case[1])
      end, case[2])
    end)
  end

  it("says backpressure and closed", function()
    local res = new { is_slow = true }
    assert.same({ true, "backpressure" }, { res:send "x" })
    local gone, exchange, is_done = new { is_gone = true }
    assert.same({ nil, "the connection is closed", "closed" }, { gone:send "x" })
    assert.is_true(gone.aborted)
    assert.is_nil(exchange.is_finished)
    assert.equal(1, is_done.count)
    assert.same({ nil, "the connection is closed", "closed" }, { gone:write "x" })
    assert.same({ nil, "the connection is closed", "closed" }, { gone:finish() })
    assert.same({ nil, "the connection is closed", "closed" }, { gone:drain() })
  end)

  for _, status in ipairs { 99, 100, 101, 199, 1000, 200.5, 0, "x" } do
    it("refuses the status " .. tostring(status), function()
      local res, exchange = new()
      res.status = status
      local ok, message = pcall(function()
        local sent = res:send "x"
        return sent
      end)
      assert.is_false(ok)
      assert.matches("response_spec%.lua:%d+: res%.status must be an integer from 200 to 999", message)
      assert.equal("", exchange:text())
      assert.is_false(res.sent)
    end)
  end

  for status, reason in pairs { [200] = "OK", [404] = "Not Found", [426] = "Upgrade Required", [599] = "" } do
    it("has the words of " .. status, function()
      local res, exchange = new()
      res.status = status
      res:send "x"
      assert.equal(reason, exchange:response().reason)
    end)
  end

  for _, case in ipairs {
    { "Transfer-Encoding", "chunked", "chosen by moonwire" },
    { "Connection", "upgrade", "only 'close'" },
    { "Content-Length", "abc", nil },
  } do
    it("looks after " .. case[1], function()
      local res, exchange = new()
      res.headers[case[1]] = case[2]
      if case[3] then
        assert.error_matches(function()
          res:send "x"
        end, case[3])
        assert.equal("", exchange:text())
      else
        res:send "x"
        assert.equal("1", exchange:response().headers["content-length"])
      end
    end)
  end

  it("takes a plain table for res.headers", function()
    local res, exchange = new()
    res.headers = { ["X-A"] = "1" }
    res:send "x"
    assert.equal("1", exchange:response().headers["x-a"])
    res, exchange = new()
    res.headers = { ["X-A"] = "1\r\nX-B: 2" }
    assert.error_matches(function()
      res:send "x"
    end, "header 'X%-A'.*CR")
    assert.equal("", exchange:text())
  end)
end)

describe("res:json", function()
  it("encodes and says so", function()
    local res, exchange = new()
    res.status = 201
    res:json { a = 1 }
    local got = exchange:response()
    assert.equal(201, got.status)
    assert.equal("application/json; charset=utf-8", got.headers["content-type"])
    assert.equal('{"a":1}', got.body)
  end)
end)

describe("res:redirect", function()
  it("is 302, or what is asked for", function()
    local res, exchange = new()
    res:redirect "/x"
    assert.equal(302, exchange:response().status)
    assert.equal("/x", exchange:response().headers.location)
    res, exchange = new()
    res:redirect("/x", 308)
    assert.equal(308, exchange:response().status)
  end)

  it("refuses other statuses and line ends", function()
    local res = new()
    assert.error_matches(function()
      res:redirect("/x", 200)
    end, "300 to 399")
    assert.error_matches(function()
      res:redirect "/x\r\nSet-Cookie: a=b"
    end, "header 'Location'.*CR")
  end)
end)

describe("res:write", function()
  it("is chunked in HTTP/1.1", function()
    local res, exchange = new()
    res:write "abc"
    assert.is_true(res.sent)
    res:write ""
    res:write(("x"):rep(300))
    res:finish()
    local got = exchange:response()
    assert.equal("chunked", got.headers["transfer-encoding"])
    assert.is_nil(got.headers["content-length"])
    assert.equal("abc" .. ("x"):rep(300), got.body)
    assert.is_true(got.is_complete)
    assert.is_true(exchange.kept_alive)
  end)

  it("ends by closing in HTTP/1.0", function()
    local res, exchange = new { minor = 0 }
    res:write "abc"
    res:write "def"
    res:finish()
    local got = exchange:response()
    assert.equal("close", got.headers.connection)
    assert.is_nil(got.headers["transfer-encoding"])
    assert.equal("abcdef", got.raw_body)
    assert.is_false(exchange.kept_alive)
  end)

  it("keeps to a Content-Length that was set", function()
    local res, exchange = new()
    res.headers["Content-Length"] = 6
    res:write "abc"
    assert.error_matches(function()
      res:write "defg"
    end, "more than the Content%-Length")
    res:write "def"
    res:finish()
    local got = exchange:response()
    assert.equal("6", got.headers["content-length"])
    assert.equal("abcdef", got.raw_body)
    assert.is_true(exchange.kept_alive)
  end)

  it("closes when less came than was said", function()
    local res, exchange = new()
    res.headers["Content-Length"] = 6
    res:write "abc"
    res:finish()
    assert.is_false(exchange.kept_alive)
  end)

  for _, length in ipairs { "abc", "-1", "1.5", "", "0x10" } do
    it("refuses the Content-Length " .. ("%q"):format(length), function()
      local res = new()
      res.headers["Content-Length"] = length
      assert.error_matches(function()
        res:write "x"
      end, "must be a whole number")
    end)
  end

  it("sends nothing but the head to HEAD", function()
    local res, exchange = new { method = "HEAD" }
    res:write "abc"
    res:write "def"
    res:finish()
    assert.equal("", exchange:response().raw_body)
  end)

  it("sends the head alone for an empty piece", function()
    local res, exchange = new()
    res:write()
    assert.equal("", exchange:response().raw_body)
    assert.is_true(res.sent)
  end)

  it("raises after finish, and finish may be repeated", function()
    local res = new()
    res:write "x"
    res:finish()
    assert.is_true(res:finish())
    assert.error_matches(function()
      res:write "y"
    end, "is finished")
  end)

  it("passes backpressure on and drains", function()
    local res, exchange = new { is_slow = true }
    assert.same({ true, "backpressure" }, { res:write "x" })
    assert.is_true(res:drain())
    assert.equal(1, exchange.drained)
    exchange.is_gone = true
    assert.same({ nil, "the connection is closed", "closed" }, { res:drain() })
    assert.is_true(res.aborted)
  end)

  it("finish alone is an empty answer", function()
    local res, exchange = new()
    res:finish()
    assert.equal("0", exchange:response().headers["content-length"])
  end)
end)

describe("res hooks", function()
  it("before_send may still change everything", function()
    local res, exchange = new()
    res:before_send(function(r)
      r.headers["X-Response-Time"] = "3ms"
      r.status = 202
    end)
    res:before_send(function(r)
      r.headers["X-Second"] = r.headers["X-Response-Time"]
    end)
    res:send "x"
    local got = exchange:response()
    assert.equal(202, got.status)
    assert.equal("3ms", got.headers["x-response-time"])
    assert.equal("3ms", got.headers["x-second"])
  end)

  it("before_send runs once, for streams too", function()
    local res = new()
    local count = 0
    res:before_send(function()
      count = count + 1
    end)
    res:write "a"
    res:write "b"
    res:finish()
    assert.equal(1, count)
  end)

  it("on_abort is called once, and everybody is", function()
    local res, exchange, is_done = new()
    local calls = {}
    res:on_abort(function()
      calls[#calls + 1] = "a"
    end)
    res:on_abort(function()
      calls[#calls + 1] = "b"
    end)
    exchange.abort_handler()
    exchange.abort_handler()
    assert.same({ "a", "b" }, calls)
    assert.is_true(res.aborted)
    assert.equal(1, is_done.count)
    assert.same({ nil, "the connection is closed", "closed" }, { res:send "x" })
    assert.equal("", exchange:text())
  end)

  it("want functions", function()
    local res = new()
    assert.error_matches(function()
      res:on_abort "x"
    end, "function expected, got string")
    assert.error_matches(function()
      res:before_send()
    end, "function expected, got nil")
  end)
end)

describe("response.answer", function()
  it("drops what described another body and keeps the rest", function()
    local res, exchange = new()
    res.headers["Access-Control-Allow-Origin"] = "*"
    res.headers["Content-Type"] = "image/png"
    res.headers["ETag"] = '"1"'
    response.answer(res, 404)
    local got = exchange:response()
    assert.equal(404, got.status)
    assert.equal("404 Not Found\n", got.body)
    assert.equal("*", got.headers["access-control-allow-origin"])
    assert.equal("text/plain; charset=utf-8", got.headers["content-type"])
    assert.is_nil(got.headers.etag)
  end)

  it("gets through whatever made the handler fail", function()
    for _, spoil in ipairs {
      function(res)
        res.headers["Transfer-Encoding"] = "chunked"
      end,
      function(res)
        res.headers["Connection"] = "nonsense"
      end,
      function(res)
        res.headers = { ["bad name"] = "x" }
      end,
      function(res)
        res:before_send(function()
          error "hook"
        end)
      end,
    } do
      local res, exchange = new()
      spoil(res)
      response.answer(res, 500)
      assert.equal(500, exchange:response().status)
    end
  end)

  it("cuts the connection when the head is out already", function()
    local res, exchange = new()
    res:write "abc"
    response.answer(res, 500)
    assert.is_false(exchange.kept_alive)
    assert.is_nil(exchange:response().is_complete)
    response.answer(res, 500)
  end)
end)
