-- limits_http_spec.lua - the sizes of HTTP requests, and the times they may take; each from just below and from just above.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local limits = require "spec.support.limits"
local moonwire = require "moonwire"
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
  end)
end)

