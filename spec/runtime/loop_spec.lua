-- loop_spec.lua - the loop itself: sockets and libuv's handles in one, whoever runs it; what epoll tells only once.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local core = require "moonwire.core"
local moonwire = require "moonwire"
local program = require "spec.support.program"
local raw = require "spec.support.raw"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local TEXT, BINARY = visitor.TEXT, visitor.BINARY

describe("uv.run", function()
  local ECHO = [[
    local moonwire, uv = require "moonwire", require "luv"
    local app = moonwire.app():ws("/", { message = function(ws, data) ws:send(data) end })
    local port = assert(app:listen { host = "127.0.0.1", port = 0 }):address().port
    moonwire.connect(("ws://127.0.0.1:%d/"):format(port), {
      wait = false,
      open = function(ws) ws:send "ping-pong" end,
      message = function(ws, data) print(data) ws:close() uv.stop() end,
    })
    print("goes on", uv.run())
    app:close()
    print("refused", pcall(uv.run))
  ]]

  it("serves sockets too, and ends at uv.stop, or when nothing is left", function()
    local result = program.run_script(ECHO)
    assert.same({ 0, "" }, { result.code, result.stderr })
    assert.matches("^ping%-pong\ngoes on\ttrue\nrefused\tfalse\tuv%.run can't be called .*: the loop runs already$",
      result.stdout)
  end)

  it("turns once, waiting or not, as it is asked", function()
    local result = program.run_script [[
      local uv = require "luv"
      local timer, fired = uv.new_timer(), 0
      timer:start(1000000, 0, print)
      print(uv.run "nowait", fired)
      timer:start(1, 0, function() fired = fired + 1 end)
      repeat local alive = uv.run "once" until fired > 0
      timer:close()
      print(uv.run(), fired, pcall(uv.run, "sometimes"))
    ]]
    assert.equal("", result.stderr)
    assert.matches("^true\t0\nfalse\t1\tfalse\tbad argument #1 to .-run.-%(invalid option 'sometimes'%)$", result.stdout)
  end)
end)

describe("a handler of a socket", function()
  local app, inbox, place
  before_each(function()
    app, inbox = moonwire.app(), async.mailbox()
  end)

  after_each(function()
    visitor.close_all()
    raw.close_all()
    assert(app:close { timeout = 5 })
  end)

  -- On a Unix socket what was written is there at once; TCP may pace it.
  local function serve(behaviour)
    app:ws("/", behaviour)
    place = async.directory() .. "/socket"
    assert(app:listen { path = place })
  end

  local function open()
    local client = visitor.connect(place)
    client:upgrade()
    return client
  end

  it("may start anything of libuv's, and it runs", function()
    serve {
      message = function(ws)
        local timer = uv.new_timer()
        timer:start(0, 0, function()
          timer:close()
          ws:send "timer"
          uv.fs_stat("/", function(problem)
            ws:send(problem or "file")
            local idle = uv.new_idle()
            idle:start(function()
              idle:close()
              ws:send "idle"
            end)
          end)
        end)
      end,
    }
    local client = open()
    client:send(TEXT, "go")
    assert.same({ "timer", "file", "idle" }, { client:message(), client:message(), client:message() })
  end)

  -- Small ones gather, large ones are written from where they lie: none may overtake another.
  it("sends messages of all sizes in their order, and whole", function()
    serve {
      max_payload = 1 << 20,
      max_backpressure = 8 << 20,
      message = function(ws, data)
        ws:send("before", "text")
        ws:send(data, "binary")
        ws:send("after", "text")
      end,
    }
    local client, expected, frames = open(), {}, {}
    for i, size in ipairs { 10, 8191, 8192, 9000, 20, 65535, 65536, 300000, 1, 16384, 16384, 70000 } do
      local data = string.char(64 + i):rep(size)
      frames[i] = visitor.frame(BINARY, data)
      table.move({ "before", data, "after" }, 1, 3, #expected + 1, expected)
    end
    client:write(table.concat(frames))
    client:write(frames[4])
    table.move({ "before", expected[11], "after" }, 1, 3, #expected + 1, expected)
    for i, data in ipairs(expected) do
      local got = client:message()
      assert.same({ i, #data, true }, { i, #got, got == data })
    end
  end)

  it("keeps large messages and publications in their order, for who reads and for who doesn't", function()
    local large = ("L"):rep(100000)
    serve {
      max_backpressure = 16 << 20,
      open = function(ws)
        ws:subscribe "news"
      end,
      message = function(ws)
        for i = 1, 30 do
          app:publish("news", "before " .. i)
          ws:send(large, "binary")
          app:publish("news", "behind " .. i)
          app:publish("news", "and " .. i)
          ws:send("small " .. i)
        end
        inbox:put "sent"
      end,
    }
    local speaker, listener = open(), open()
    speaker:pause()
    speaker:send(TEXT, "go")
    inbox:take "sent"
    speaker:resume()
    for i = 1, 30 do
      assert.equal("before " .. i, speaker:message())
      assert.is_true(speaker:message() == large)
      for _, word in ipairs { "behind ", "and ", "small " } do
        assert.equal(word .. i, speaker:message())
      end
      for _, word in ipairs { "before ", "behind ", "and " } do
        assert.equal(word .. i, listener:message())
      end
    end
  end)

  it("sends a large message whole to who reads it late", function()
    serve {
      max_backpressure = 64 << 20,
      message = function(ws, data)
        for i = 1, 40 do
          ws:send(string.char(64 + i):rep(tonumber(data)), "binary")
        end
        inbox:put("sent", ws.buffered)
      end,
    }
    local client = open()
    client:pause()
    client:send(TEXT, "500000")
    assert.is_true(inbox:take "sent" > 0)
    client:resume()
    for i = 1, 40 do
      assert.is_true(client:message() == string.char(64 + i):rep(500000))
    end
  end)

  -- All three wait to be visited in the same turn, and whichever comes first ends the one in the middle.
  it("may end others that have bytes to be read, and the rest is still heard", function()
    local sockets, release = {}, {}
    serve {
      ping_interval = false,
      max_payload = 200,
      max_backpressure = 1000,
      open = function(ws)
        table.insert(sockets, ws)
      end,
      message = function(ws, data)
        if data == "wait" then
          local task = coroutine.running()
          table.insert(release, task)
          inbox:put "waits"
          coroutine.yield()
        elseif data == "end" then
          sockets[2]:terminate()
          inbox:put("heard", ws.id)
        end
      end,
      close = function(_, code)
        inbox:put("close", code)
      end,
    }
    local clients = { open(), open(), open() }
    for _, client in ipairs(clients) do
      client:send(TEXT, "wait")
      inbox:take "waits"
      client:write(visitor.frame(TEXT, ("fill"):rep(25)):rep(60))
    end
    raw.turn()
    for _, client in ipairs(clients) do
      client:send(TEXT, "end")
    end
    raw.turn()
    raw.turn()
    for _, task in ipairs(release) do
      core.resume(task)
    end
    local heard = { [inbox:take "heard"] = true, [inbox:take "heard"] = true }
    assert.same({ [sockets[1].id] = true, [sockets[3].id] = true }, heard)
    assert.equal(1006, inbox:take "close")
    assert.equal(0, inbox:count())
  end)

  -- The frames behind the one in hand lie in a buffer that every read uses, and the connection might be freed.
  it("can't run the loop itself, and the messages behind it come as they were sent", function()
    serve {
      message = function(ws, data)
        local ok, problem = pcall(uv.run, "nowait")
        inbox:put("ran", ok, problem)
        ws:send(data)
      end,
      close = function()
        inbox:put("ran", pcall(uv.run, "nowait"))
      end,
    }
    local client, other = open(), open()
    other:send(TEXT, ("other"):rep(100))
    client:write(visitor.frame(TEXT, "one") .. visitor.frame(TEXT, "two") .. visitor.frame(TEXT, "three"))
    assert.same({ "one", "two", "three" }, { client:message(), client:message(), client:message() })
    assert.equal(("other"):rep(100), other:message())
    client:close()
    for _ = 1, 5 do
      local ok, problem = inbox:take "ran"
      assert.is_false(ok)
      assert.matches("^uv%.run can't be called in a handler", problem)
    end
  end)

  it("hears of the end of a peer that said something before it", function()
    serve {
      message = function(_, data)
        inbox:put("message", data)
      end,
      close = function(_, code)
        inbox:put("close", code)
      end,
    }
    for _, how in ipairs { "finish", "close" } do
      local client = open()
      client:send(TEXT, "last words")
      client[how](client)
      assert.equal("last words", inbox:take "message")
      assert.equal(1006, inbox:take "close")
    end
  end)

  it("hears of the end of a peer that went while it waited", function()
    local waiting
    serve {
      message = function(_, data)
        inbox:put("message", data)
        if data == "wait" then
          waiting = coroutine.running()
          coroutine.yield()
        end
      end,
      close = function(_, code)
        inbox:put("close", code)
      end,
    }
    local client = open()
    client:send(TEXT, "wait")
    assert.equal("wait", inbox:take "message")
    client:write(visitor.frame(TEXT, "behind"):rep(3))
    client:close()
    raw.turn()
    core.resume(waiting)
    for _ = 1, 3 do
      assert.equal("behind", inbox:take "message")
    end
    assert.equal(1006, inbox:take "close")
  end)
end)

it("a fetch that reads slowly keeps the pieces that came before a reset", function()
  local inbox, server, pieces = async.mailbox(), raw.listen(true), {}
  moonwire.spawn(function()
    local url = ("http://127.0.0.1:%d/"):format(server.address.port)
    inbox:put("done", moonwire.fetch(url, {
      sink = function(piece)
        table.insert(pieces, piece)
        if #pieces == 1 then
          inbox:put("first", coroutine.running())
          coroutine.yield()
        end
      end,
    }))
  end)
  local peer = server:accept()
  peer:write "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
  raw.turn()
  peer:write(("5\r\nhello\r\n"):rep(5) .. "0\r\n\r\n")
  local task = inbox:take "first"
  peer.handle:close_reset()
  raw.turn()
  raw.turn()
  core.resume(task)
  assert.equal(200, inbox:take("done").status)
  assert.equal(("hello"):rep(5), table.concat(pieces))
  raw.close_all()
end)

it("the collector's ballast is no part of what a script uses", function()
  local result = program.run_script [[
    collectgarbage()
    print(collectgarbage "count" < 1024, collectgarbage "step", collectgarbage "isrunning", collectgarbage())
  ]]
  assert.same({ 0, "", "true\ttrue\ttrue\t0" }, { result.code, result.stderr, result.stdout })
end)

-- What lives between two cycles may grow to about twice what survived the first, wherever that is.
it("garbage does not grow to a multiple of what lives", function()
  local result = program.run_script [[
    local keep, peak = {}, 0
    for i = 1, 2000 do keep[i] = ("k"):rep(16384) .. i end
    collectgarbage()
    local lives = collectgarbage "count"
    for i = 1, 20000 do
      local _ = ("g"):rep(16384) .. i
      peak = math.max(peak, collectgarbage "count")
    end
    print(peak < 2.5 * lives + 3 * 1024, #keep)
  ]]
  assert.same({ 0, "", "true\t2000" }, { result.code, result.stderr, result.stdout })
end)
