-- listen_spec.lua - where a server can listen: IPv4, IPv6, both, names, Unix sockets, several at once; and what it does
-- when descriptors run out.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local program = require "spec.support.program"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local apps = {}

local function echo_app()
  local app = moonwire.app()
  app:ws("/", {
    open = function(ws)
      ws:subscribe "all"
    end,
    message = function(ws, data)
      ws:send(ws.remote_address .. " " .. data)
    end,
  })
  app:get("/", function(_, res)
    res:send "here"
  end)
  table.insert(apps, app)
  return app
end

-- Say something and return what comes back.
local function ask(url, options)
  local ws = assert(moonwire.connect(url, options))
  ws:send "hello"
  local answer = ws:messages()()
  ws:close()
  return answer
end

after_each(function()
  visitor.close_all()
  for _, app in ipairs(apps) do
    app:close { timeout = 5 }
  end
  apps = {}
end)

describe("a server listens", function()
  for _, case in ipairs {
    { host = "127.0.0.1", url = "ws://127.0.0.1:%d/", peer = "127.0.0.1" },
    { host = "::1", url = "ws://[::1]:%d/", peer = "::1" },
    { host = "localhost", url = "ws://localhost:%d/", peer = "[%d.:]+" },
    { url = "ws://127.0.0.1:%d/", peer = "127.0.0.1" },
    { url = "ws://[::1]:%d/", peer = "::1" },
  } do
    it(("on %s, reached by %s"):format(case.host or "every address", case.url), function()
      local listener = assert(echo_app():listen { host = case.host, port = 0 })
      assert.matches("^" .. case.peer .. " hello$", ask(case.url:format(listener:address().port)))
    end)
  end

  it("on a Unix socket, whose file goes with it", function()
    local path = async.directory() .. "/socket"
    local listener = assert(echo_app():listen { path = path })
    assert.same({ path = path }, listener:address())
    assert.equal("unix hello", ask("ws://anything/", { path = path }))
    listener:close()
    assert.is_nil(uv.fs_stat(path))
  end)

  it("on a Unix socket whose file a crash has left behind, but not on one that is in use", function()
    local path = async.directory() .. "/socket"
    local left_behind = uv.new_pipe(false)
    left_behind:bind(path)
    uv.fs_rename(path, path .. ".kept")
    left_behind:close()
    moonwire.sleep(0)
    uv.fs_rename(path .. ".kept", path)
    assert(echo_app():listen { path = path })
    local listener, message, code = echo_app():listen { path = path }
    assert.same({ nil, "in_use" }, { listener, code })
    assert.matches("cannot listen on .*: Address already in use", message)
    assert.equal("unix hello", ask("ws://anything/", { path = path }))
  end)

  it("on several ports at once, and apps do not hear each other", function()
    local first, second = echo_app(), echo_app()
    local ports = {}
    for i, app in ipairs { first, first, second } do
      ports[i] = assert(app:listen { host = "127.0.0.1", port = 0 }):address().port
    end
    local sockets = {}
    for i, port in ipairs(ports) do
      sockets[i] = assert(moonwire.connect(("ws://127.0.0.1:%d/"):format(port)))
    end
    assert.equal(2, first:publish("all", "to the first"))
    assert.equal(1, second:publish("all", "to the second"))
    for i, expected in ipairs { "to the first", "to the first", "to the second" } do
      assert.equal(expected, (sockets[i]:messages()()))
      sockets[i]:close()
    end
    assert.equal(2, first:count() + second:count() - 1)
  end)

  it("nowhere when it can't, and says why", function()
    local port = assert(echo_app():listen { host = "127.0.0.1", port = 0 }):address().port
    local _, message, code = echo_app():listen { host = "127.0.0.1", port = port }
    assert.equal("in_use", code)
    assert.equal(("cannot listen on 127.0.0.1 port %d: Address already in use"):format(port), message)
    _, message = echo_app():listen { host = "192.0.2.1", port = 0 }
    assert.equal("cannot listen on 192.0.2.1 port 0: Cannot assign requested address", message)
    _, _, code = echo_app():listen { host = "127.0.0.1", port = 0, tls = { cert = "/no/such/file", key = "/none" } }
    assert.equal("tls", code)
  end)
end)

describe("a server that runs out of descriptors", function()
  it("keeps a reserve, says so, rests, and goes on when there are some again", function()
    local script = program.write [[
      local moonwire = require "moonwire"
      local app = moonwire.app()
      app:get("/", function(_, res) res:send "here" end)
      print(assert(app:listen { host = "127.0.0.1", port = 0, head_timeout = 60 }):address().port)
      io.stdout:flush()
    ]]
    -- 64 are kept back, so about twenty connections fit.
    local child = program.spawn({ "-c", 'ulimit -n 100; exec "$0" "$1"', program.binary, script }, { command = "/bin/sh" })
    local port = math.tointeger(tonumber(child:expect("line").text))
    local visitors = {}
    for i = 1, 60 do
      visitors[i] = visitor.connect(port)
    end
    async.wait_until(function()
      return child.stderr:find("only the reserved descriptors are left", 1, true)
    end, "the warning")
    assert.is_true(program.descriptors(child.pid) <= 100 - 64 + 1)
    for _, each in ipairs(visitors) do
      each:close()
    end
    local answer
    async.wait_until(function()
      answer = moonwire.fetch(("http://127.0.0.1:%d/"):format(port))
      return answer
    end, "an answer")
    assert.equal("here", answer.body)
    child:kill "sigterm"
    assert.equal(0, program.wait(child).code)
  end)
end)
