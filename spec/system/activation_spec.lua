-- activation_spec.lua - a program that a service manager starts: sockets that it inherits, and what it tells of itself.
-- The manager's part is played by two programs of Python's.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local json = require "moonwire.json"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local uv = require "luv"
local visitor = require "spec.support.visitor"

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

local HELPER = "spec/peers/activate.py"

-- Starts a script (as program.start does) on sockets that were opened before.
local function activate(sockets, script, options)
  options = options or {}
  local command = program.command(script, options.arguments, options.program_options)
  return program.spawn({ "-B", HELPER, json.encode {
    sockets = json.array(sockets),
    environment = options.environment,
    other_process = options.other_process,
    command = command,
  } }, { command = "/usr/bin/python3" })
end

local function get(place)
  local client = visitor.connect(place)
  client:request "/"
  local status, body = client:response()
  assert.equal(200, status)
  client:close()
  return body
end

describe("an inherited socket", function()
  it("is listened on by its name", function()
    local first, second = async.port(), async.port()
    local child = activate({ { name = "web", port = first }, { name = "admin", port = second } }, [[
      serve(moonwire.app():get("/", function(_, res) res:send "admin" end), { inherited = "admin", host = nil })
      serve(moonwire.app():get("/", function(_, res) res:send "web" end), { inherited = "web" })
    ]])
    child:expect "listening"
    child:expect "listening"
    assert.same({ "web", "admin" }, { get(first), get(second) })
    child:kill "sigterm"
    assert.equal("", program.expect_clean_end(child))
  end)

  for name, case in pairs {
    ["an address"] = { "127.0.0.1", [[{ host = "127.0.0.1", port = arg[1] }]] },
    ["a name of the machine"] = { "127.0.0.1", [[{ host = "127.0.0.1", port = tonumber(arg[1]) }]] },
    ["every interface"] = { "0.0.0.0", [[{ port = arg[1] }]] },
    ["every interface, in IPv6 as well"] = { "::", [[{ port = arg[1] }]] },
  } do
    it("is listened on by its address: " .. name, function()
      local port = async.port()
      local child = activate({ { name = "x", host = case[1], port = port } }, [[
        local listener = assert(moonwire.app():get("/", function(_, res) res:send "here" end):listen]] .. case[2] .. [[)
        tell("listening", listener:address())
      ]], { arguments = { tostring(port) } })
      assert.equal(port, child:expect("listening").port)
      assert.equal("here", get(port))
      child:kill "sigterm"
      assert.equal("", program.expect_clean_end(child))
    end)
  end

  it("of a path is taken, and its file stays", function()
    local path = async.directory() .. "/socket"
    local child = activate({ { name = "x", path = path } }, [[
      local app = moonwire.app():get("/", function(_, res) res:send "here" end)
      assert(app:listen { path = arg[1] }:address().path == arg[1])
      tell "listening"
    ]], { arguments = { path } })
    child:expect "listening"
    assert.equal("here", get(path))
    child:kill "sigterm"
    assert.equal("", program.expect_clean_end(child))
    assert.truthy(uv.fs_stat(path))
  end)

  it("can be listened on again after its listener was closed", function()
    local port = async.port()
    local child = activate({ { name = "web", port = port } }, [[
      local app = moonwire.app():get("/", function(_, res) res:send "again" end)
      assert(app:listen { inherited = "web" }):close()
      assert(app:listen { inherited = "web" })
      local again, message, code = app:listen { inherited = "web" }
      tell("listening", { again = again ~= nil, message = message, code = code })
    ]])
    local told = child:expect "listening"
    assert.same({ false, 'no inherited socket is free that is named "web"', "inherited" },
      { told.again, told.message, told.code })
    assert.equal("again", get(port))
    child:kill "sigterm"
    assert.equal("", program.expect_clean_end(child))
  end)

  it("keeps its clients while there is no program", function()
    local directory = async.directory()
    local script = [[serve(moonwire.app():get("/", function(_, res) res:send "here" end), { inherited = "x", path = arg[1] })]]
    local child = activate({ { name = "x", path = directory .. "/socket" } }, script,
      { arguments = { directory .. "/other" }, program_options = { "--supervise" } })
    child:expect "listening"
    assert.is_nil(uv.fs_stat(directory .. "/other"))
    assert.equal("here", get(directory .. "/socket"))
  end)

  it("that nothing listens on is told", function()
    local port = async.port()
    local child = activate({ { name = "web", port = port }, { name = "what", path = async.directory() .. "/x" } }, [[
      serve(moonwire.app(), { inherited = "web" })
    ]])
    child:expect "listening"
    async.wait_until(function()
      return child.stderr:find 'warning: nothing listens on the inherited socket "what" %(/.*/x%)\n'
    end, child:report "it was not told")
    assert.is_nil(child.stderr:find('"web"', 1, true))
  end)

  it("is not one that can't be listened on", function()
    local child = activate({ { name = "x", path = async.directory() .. "/x", datagram = true } }, [[
      tell("tried", { result = { moonwire.app():listen { inherited = "x" } } })
    ]])
    child:expect "tried"
    assert.truthy(program.expect_clean_end(child):find("inherited descriptor 3 is not a listening stream socket", 1, true))
  end)

  it("is not one of another process", function()
    local port = async.port()
    local child = activate({ { name = "web", port = port } }, [[
      local _, _, code = moonwire.app():listen { inherited = "web" }
      tell("tried", { code = code })
    ]], { other_process = true })
    assert.equal("inherited", child:expect("tried").code)
    assert.equal("", program.expect_clean_end(child))
  end)

  it("is hidden from programs that the script starts", function()
    local child = activate({ { name = "web", port = async.port() } }, [[
      serve(moonwire.app(), { inherited = "web" }):close()
      local handle
      handle = uv.spawn("/bin/sh", { args = { "-c", "env; ls /proc/self/fd" }, stdio = { nil, 1, 2 } }, function()
        handle:close()
      end)
    ]], { environment = { NOTIFY_SOCKET = "/nowhere" } })
    local result = program.wait(child)
    assert.is_nil(result.stdout:find "LISTEN_")
    assert.is_nil(result.stdout:find "NOTIFY_SOCKET")
    assert.equal("3", result.stdout:match "(%d+)$") -- the directory that ls reads
  end)
end)

describe("a service manager", function()
  local function manager()
    local path = async.directory() .. "/notify"
    local ear = peer.start("notify_socket.py", { path = path })
    ear:expect "listening"
    return ear, path
  end

  local function start(path, script, environment)
    local list = { "NOTIFY_SOCKET=" .. path, table.unpack(environment or {}) }
    for _, name in ipairs { "PATH", "HOME", "ASAN_OPTIONS" } do
      list[#list + 1] = os.getenv(name) and name .. "=" .. os.getenv(name)
    end
    local words = program.command(script)
    return program.spawn({ table.unpack(words, 2) }, { env = list })
  end

  it("hears that the program is ready when it listens and waits, and that it stops", function()
    local ear, path = manager()
    local child = start(path, [[
      next_order()
      tell "on"
      serve(moonwire.app())
      moonwire.sleep(1000)
    ]])
    async.quiet(0.05)
    assert.equal(0, ear:count "notified")
    child.stdin:write "go\n"
    child:expect "listening"
    assert.same({ "READY=1", "STATUS=ready" }, ear:expect("notified").lines)
    child:kill "sigterm"
    assert.same({ "STOPPING=1", "STATUS=stopping" }, ear:expect("notified").lines)
    assert.equal("", program.expect_clean_end(child))
    assert.equal(0, ear:count "notified")
  end)

  it("hears it when the main chunk has ended, on a socket without a file as well", function()
    local name = "moonwire-spec-" .. uv.os_getpid()
    local ear = peer.start("notify_socket.py", { name = name })
    ear:expect "listening"
    local child = start("@" .. name, "moonwire.after(0.01, print)")
    assert.equal("READY=1", ear:expect("notified").lines[1])
    assert.equal("STOPPING=1", ear:expect("notified").lines[1])
    assert.equal("", program.expect_clean_end(child))
  end)

  it("never hears it from a script that fails", function()
    local ear, path = manager()
    local child = start(path, "serve(moonwire.app()) error 'oops'")
    program.expect_clean_end(child, 1)
    assert.same({ "STOPPING=1", "STATUS=stopping" }, ear:expect("notified").lines)
  end)

  it("hears signs of life as often as it asked for, while the loop runs", function()
    local ear, path = manager()
    local child = start(path, [[
      serve(moonwire.app())
      next_order()
      local started = uv.hrtime()
      while uv.hrtime() - started < 0.5e9 do end
      tell "back"
    ]], { "WATCHDOG_USEC=100000" })
    for _ = 1, 5 do
      local lines
      repeat
        lines = ear:expect("notified").lines
      until lines[1] ~= "READY=1"
      assert.same({ "WATCHDOG=1" }, lines)
    end
    child.stdin:write "go\n"
    child:expect "back"
    assert.is_true(ear:count "notified" <= 3) -- in half a second there would have been ten
  end)

  it("gets none when they are meant for another process, or nobody asked", function()
    local ear, path = manager()
    for _, environment in ipairs { { "WATCHDOG_USEC=2000", "WATCHDOG_PID=1" }, {}, { "WATCHDOG_USEC=soon" } } do
      local child = start(path, "moonwire.sleep(0.05)", environment)
      assert.equal("", program.expect_clean_end(child))
      assert.equal("READY=1", ear:expect("notified").lines[1])
      assert.equal("STOPPING=1", ear:expect("notified").lines[1])
      assert.equal(0, ear:count "notified")
    end
  end)

  it("that went away is told in the log, and does no harm", function()
    local child = start("/nowhere/notify", "print 'on'")
    assert.truthy(program.expect_clean_end(child):find("the service manager cannot be told", 1, true))
  end)

  it("with an impossible name is none", function()
    for _, name in ipairs { "", "relative", "@", ("/x"):rep(100) } do
      assert.equal("", program.expect_clean_end(start(name, "print 'on'")))
    end
  end)
end)

describe("app:listen", function()
  it("needs something to listen on", function()
    local app = moonwire.app()
    for expected, options in pairs {
      ["option 'inherited' must be a string that is not empty"] = { inherited = true },
      ["option 'host' needs 'port' beside it"] = { inherited = "x", host = "127.0.0.1" },
      ["option 'port' is missing"] = {},
    } do
      local ok, message = pcall(app.listen, app, options)
      assert.is_false(ok)
      assert.truthy(message:find(expected, 1, true), message)
    end
  end)

  it("binds where nothing was inherited, if it knows where", function()
    local app = moonwire.app()
    local listener = assert(app:listen { inherited = "web", host = "127.0.0.1", port = 0 })
    assert.truthy(listener:address().port > 0)
    listener:close()
    local none, message, code = app:listen { inherited = "web" }
    assert.same({ nil, 'no inherited socket is free that is named "web"', "inherited" }, { none, message, code })
  end)
end)
