-- browser_client_spec.lua - examples/common/moonwire.js, the client for pages: its size, and its rules in Chromium.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local example = require "spec.support.example"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"

local MAX_BYTES = 3072 -- of the file as it is served, compressed

describe("the client for pages", function()
  local app, url

  before_each(function()
    app = moonwire.app()
    app:static("/common", example.path "examples/common")
    app:get("/", function(_, res)
      res:send("<!doctype html><link rel=icon href=data:,><title>rules</title>", "html")
    end)
    url = ("http://127.0.0.1:%d/"):format(assert(app:listen { host = "127.0.0.1", port = 0 }):address().port)
  end)

  after_each(function()
    app:close()
    peer.stop_all()
  end)
  teardown(peer.finish)

  it("is small", function()
    local node = peer.spawn("node", { "-e", [[
      const { gzipSync } = require("zlib");
      console.log(gzipSync(require("fs").readFileSync(process.argv[1]), { level: 9 }).length);
    ]], example.path "examples/common/moonwire.js" })
    local bytes = tonumber(node:expect("line").text)
    assert.is_true(bytes <= MAX_BYTES, ("%d bytes, %d are allowed"):format(bytes, MAX_BYTES))
  end)

  it("connects and comes back by its rules", function()
    local closed = async.mailbox()
    app:ws("/ws", {
      upgrade = function(req)
        return { name = req.query.name, got = "" }
      end,
      message = function(ws, data)
        ws.data.got = ws.data.got .. data
      end,
      close = function(ws, code, reason)
        closed:put(ws.data.name, { code = code, reason = reason, got = ws.data.got })
      end,
    })
    example.play("browser_client_page.mjs", url, 23, {
      close = function(need)
        return (closed:take(need.name))
      end,
    })
  end)

  it("beats and sends by its rules", function()
    example.play("browser_client_messages.mjs", url, 11)
  end)
end)
