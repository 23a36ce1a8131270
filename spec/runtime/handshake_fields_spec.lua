-- handshake_fields_spec.lua - what a server's WebSocket tells of its opening handshake: made when it is asked for, kept, and
-- still there after the close; for connections that were accepted in the short way and in the long one.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local visitor = require "spec.support.visitor"

local app, port

local function serve(pattern, behaviour)
  local sides = {}
  behaviour.open = function(ws)
    table.insert(sides, ws)
  end
  behaviour.close = function(ws)
    ws.data.closed = true
  end
  app = moonwire.app()
  app:ws(pattern, behaviour)
  port = assert(app:listen { host = "127.0.0.1", port = 0 }):address().port
  return sides
end

local function meet(sides, target, headers)
  local client = visitor.connect(port)
  local head = client:upgrade(target, headers)
  async.wait_until(function()
    return sides[1]
  end, "the server's side")
  return table.remove(sides, 1), client, head
end

after_each(function()
  visitor.close_all()
  app:close { timeout = 5 }
end)

describe("a server's WebSocket", function()
  for name, upgrade in pairs { ["nobody asked"] = false, ["upgrade asked"] = true } do
    it("tells its request, its params and its protocol when " .. name, function()
      local sides = serve("/rooms/:room/*rest", {
        protocols = { "b" },
        upgrade = upgrade and function()
          return { from = "upgrade" }
        end or nil,
      })
      local headers = "Sec-WebSocket-Protocol: a, b\r\nX-A: 1\r\nX-A: 2\r\n"
      local ws, client, head = meet(sides, "/rooms/a%20b/c/d%2fe?x=1&y=%C3%9F", headers)
      assert.truthy(head:find "Sec%-WebSocket%-Protocol: b\r\n")
      assert.same({ room = "a b", rest = "c/d/e" }, ws.params)
      assert.equal("b", ws.protocol)
      assert.equal("127.0.0.1", ws.remote_address)
      local req = ws.request
      assert.same({ "GET", "/rooms/a%20b/c/d%2fe?x=1&y=%C3%9F", "/rooms/a b/c/d/e" }, { req.method, req.url, req.path })
      assert.same({ "1", "ß" }, { req.query.x, req.query.y })
      assert.equal("1, 2", req.headers["x-a"])
      assert.equal("localhost", req:header "Host")
      assert.same({ "a", "b" }, req.protocols)
      assert.same({ room = "a b", rest = "c/d/e" }, req.params)
      assert.same({ "127.0.0.1", client.socket:getsockname().port, false },
        { req.remote_address, req.remote_port, req.secure })
      assert.equal(upgrade and "upgrade" or nil, ws.data.from)
    end)
  end

  it("keeps what it told, and has it when it is closed", function()
    local sides = serve("/:room", {})
    local ws, client = meet(sides, "/lobby?x=1")
    local params, data = ws.params, ws.data
    params.mine, data.mine = "kept", "kept"
    collectgarbage()
    client:close()
    async.wait_until(function()
      return data.closed
    end, "the close")
    collectgarbage()
    assert.equal(params, ws.params)
    assert.equal(data, ws.data)
    assert.equal(ws.request, ws.request)
    assert.same({ "1", "127.0.0.1", "/lobby" }, { ws.request.query.x, ws.remote_address, ws.request.path })
    assert.is_nil(ws.protocol)
    assert.is_nil(ws.nothing)
  end)

  it("has the data it was given, a table if none was, and nil if that is what it was given later", function()
    local sides = serve("/", {})
    local ws = meet(sides, "/")
    assert.same({}, ws.data)
    ws.data.x = 1
    assert.equal(1, ws.data.x)
    ws.data = nil
    assert.is_nil(ws.data)
    ws.data = { closed = false }
  end)
end)
