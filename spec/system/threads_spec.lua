-- threads_spec.lua - what threads beside the loop do, in one process: the guard that watches handlers, and the pool of libuv
-- (files, the resolver) under a busy server. Meant for ThreadSanitizer, `make threads`; runs everywhere.
-- ThreadSanitizer keeps signals back until the program allocates or calls the system: the loop that is interrupted here
-- allocates, and guard_spec.lua, whose loops do not, is no use under it.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"

after_each(peer.stop_all)

local SCRIPT = [[
  local app = moonwire.app()
  local directory = arg[1]
  assert(io.open(directory .. "/file", "w")):write(("x"):rep(300000)):close()
  app:static("/", directory)
  app:ws("/runaway", { message = function() while true do local _ = ("x"):rep(5000) end end })
  app:ws("/echo", { message = function(ws, data) ws:send(data) end })
  local port = serve(app):address().port
  local url = ("//localhost:%d/"):format(port)
  local left = 3
  local function is_done()
    left = left - 1
    if left == 0 then
      tell "done"
      uv.kill(uv.os_getpid(), "sigterm")
    end
  end
  moonwire.spawn(function()
    for _ = 1, 5 do
      local ws = assert(moonwire.connect("ws:" .. url .. "runaway"))
      ws:send "go"
      assert(ws:messages()() == nil and ws.ending.code == 1011)
    end
    is_done()
  end)
  moonwire.spawn(function()
    for i = 1, 30 do
      assert(#assert(moonwire.fetch("http:" .. url .. "file")).body == 300000)
      assert(moonwire.fetch("http:" .. url .. "file", { file = directory .. "/" .. i }))
    end
    is_done()
  end)
  moonwire.spawn(function()
    for i = 1, 50 do
      local text = ("%d "):format(i):rep(i * 100)
      local ws = assert(moonwire.connect("ws:" .. url .. "echo"))
      ws:send(text)
      assert(ws:messages()() == text)
      ws:close()
      moonwire.log("info", "said", { number = i })
    end
    is_done()
  end)
]]

it("the guard, files and the resolver work beside the loop", function()
  local child = program.start(SCRIPT, { async.directory() },
    { "--handler-warning", "0.05", "--handler-limit", "0.1", "--log-level", "warning" })
  child:expect "done"
  local log = program.expect_clean_end(child)
  assert.equal(5, select(2, log:gsub("error: WebSocket %d+ on /runaway, message,[^\n]* the handler was interrupted", "")))
end)
