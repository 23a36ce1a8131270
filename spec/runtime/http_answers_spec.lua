-- http_answers_spec.lua - answers that are still on their way when something else happens to their connection: the client
-- ends its side, or asks for a WebSocket. They arrive whole, and first.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local visitor = require "spec.support.visitor"

local GET = "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"
local LARGE = ("x"):rep(4 << 20) -- more than the kernel keeps for somebody who doesn't read

local app, path

before_each(function()
  app = moonwire.app()
  app:get("/large", function(_, res)
    res:send(LARGE)
  end)
  app:get("/small", function(_, res)
    res:send "small"
  end)
  app:ws("/echo", {
    message = function(ws, data)
      ws:send(data)
    end,
  })
  path = async.directory() .. "/socket"
  assert(app:listen { path = path })
end)

after_each(function()
  visitor.close_all()
  app:close { timeout = 5 }
end)

it("a large answer is sent to its end to a client that has ended its side", function()
  local client = visitor.connect(path)
  client:pause()
  client:write(GET)
  client.socket:shutdown()
  moonwire.sleep(0.05)
  client:resume()
  local status, body = client:response()
  assert.equal(200, status)
  assert.equal(#LARGE, #body)
  client:expect_end()
end)

it("so is one behind which half a request lies", function()
  local client = visitor.connect(path)
  client:write "GET /small HTTP/1.1\r\nHost: localhost\r\n\r\nGET /sm"
  client.socket:shutdown()
  local _, body = client:response()
  assert.equal("small", body)
  client:expect_end()
end)

for name, target in pairs { ["that was written at once"] = "/small", ["that waits for its reader"] = "/large" } do
  it("an upgrade comes behind an answer " .. name, function()
    local client = visitor.connect(path)
    client:pause()
    client:write(GET:gsub("/large", target) .. visitor.opening "/echo" .. visitor.frame(visitor.TEXT, "first"))
    moonwire.sleep(0.05)
    client:resume()
    local status, body = client:response()
    assert.equal(200, status)
    assert.equal(target == "/large" and #LARGE or #"small", #body)
    client:expect "^HTTP/1%.1 101.-\r\n\r\n"
    assert.equal("first", client:message())
  end)
end
