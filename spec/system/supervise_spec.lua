-- supervise_spec.lua - a program under --supervise: what starts it again and what ends it, with real processes. How long the
-- parent waits between two lives is looked at by spec/native/supervisor_test.c, with shorter times.
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

-- Every life tells its process id and which one it is.
local BIRTH = [[tell("born", { pid = uv.os_getpid(), parent = uv.os_getppid(), restarts = os.getenv "MOONWIRE_RESTARTS" }) ]]

local function start(script, arguments, program_options)
  return program.start(BIRTH .. script, arguments, { "--supervise", table.unpack(program_options or {}) })
end

local function is_gone(pid)
  return uv.kill(pid, 0) == nil
end

local function wait_until_gone(pid)
  async.wait_until(function()
    return is_gone(pid)
  end, "a process to end")
end

local SERVE = [[serve(moonwire.app():get("/", function(_, res) res:send(tostring(uv.os_getpid())) end))]]

describe("a supervised program", function()
  it("is a child of a small process", function()
    local child = start(SERVE)
    local born = child:expect "born"
    assert.same({ child.pid, "0" }, { born.parent, born.restarts })
    local links = io.popen(("ls -l /proc/%d/fd"):format(child.pid))
    assert.is_nil(links:read("a"):find("eventpoll", 1, true)) -- no loop
    links:close()
    local file = assert(io.open(("/proc/%d/status"):format(child.pid)))
    assert.equal("1", file:read("a"):match "Threads:%s*(%d+)")
    file:close()
  end)

  it("lives again after it was killed, and tells how often", function()
    local child = start(SERVE)
    for life = 0, 2 do
      local born = child:expect "born"
      assert.equal(tostring(life), born.restarts)
      child:expect "listening"
      assert(uv.kill(born.pid, life == 0 and "sigkill" or "sigabrt"))
    end
    child:expect "born"
    assert.truthy(child.stderr:find("was ended by signal 9 (Killed); it is started again in 0.1 s", 1, true))
    assert.truthy(child.stderr:find("it is started again in 0.2 s", 1, true))
    assert.truthy(child.stderr:find("it is started again in 0.4 s", 1, true))
  end)

  it("keeps its inherited socket in all lives, and no client is refused", function()
    local port = async.port()
    local command = program.command(BIRTH .. SERVE:gsub("%)$", ', { inherited = "web", max_per_address = 0 })'), nil,
      { "--supervise" })
    local child = program.spawn({ "-B", "spec/peers/activate.py", json.encode {
      sockets = { { name = "web", port = port } },
      command = command,
    } }, { command = "/usr/bin/python3" })
    child:expect "listening"
    local codes, lives, is_over, busy = {}, {}, false, 0
    for _ = 1, 4 do
      moonwire.spawn(function()
        busy = busy + 1
        while not is_over do
          local response, _, code = moonwire.fetch(("http://127.0.0.1:%d/"):format(port))
          if response then
            lives[response.body] = true
          end
          code = code or "fine"
          codes[code] = (codes[code] or 0) + 1
        end
        busy = busy - 1
        async.wake()
      end)
    end
    for _ = 1, 2 do
      local pid = child:expect("born").pid
      async.wait_until(function()
        return lives[("%.1f"):format(pid)] or lives[tostring(math.tointeger(pid))]
      end, "an answer")
      assert(uv.kill(math.tointeger(pid), "sigkill"))
      child:expect "listening"
    end
    is_over = true
    async.wait_until(function()
      return busy == 0
    end)
    assert.is_nil(codes.refused, json.encode(codes))
    assert.is_true(codes.fine > 0)
    child:kill "sigterm"
    program.expect_clean_end(child)
  end)

  for signal, code in pairs { sigterm = 0, sigint = 0, sighup = 129, sigusr1 = 138 } do
    it(("is sent %s when its parent is, and both end"):format(signal), function()
      local child = start(SERVE)
      local pid = child:expect("born").pid
      child:expect "listening"
      child:kill(signal)
      program.expect_clean_end(child, code)
      assert.is_true(is_gone(math.tointeger(pid)))
      assert.equal(0, child:count "born")
    end)
  end

  it("finishes what is under way, however often the signal reaches the child itself", function()
    local child = start [[serve(moonwire.app():get("/", function(_, res) tell "asked" next_order() res:send "done" end))]]
    local pid = math.tointeger(child:expect("born").pid)
    local slow = visitor.connect(child:expect("listening").port)
    slow:request "/"
    child:expect "asked"
    assert(uv.kill(pid, "sigint")) -- as a terminal does, which sends it to both
    child:kill "sigint"
    assert(uv.kill(pid, "sigterm"))
    async.wait_until(function()
      return child.stderr:find("SIG%u+: closing 1 connection within 30 s")
    end)
    child.stdin:write "go\n"
    assert.equal(200, (slow:response()))
    slow:close()
    assert.equal("", program.expect_clean_end(child))
  end)

  it("is ended at once by the second signal to its parent", function()
    local child = start [[
      moonwire.on_stop(function() tell "stopping" moonwire.sleep(1000) end)
      serve(moonwire.app())
    ]]
    local pid = math.tointeger(child:expect("born").pid)
    child:expect "listening"
    child:kill "sigterm"
    child:expect "stopping"
    child:kill "sigint"
    program.expect_clean_end(child, 137)
    assert.is_true(is_gone(pid))
  end)

  it("ends with its parent, also when that is killed", function()
    local child = start("moonwire.on_stop(function() tell 'stopping' end) " .. SERVE)
    local pid = math.tointeger(child:expect("born").pid)
    child:expect "listening"
    child:kill "sigkill"
    child:expect "stopping"
    wait_until_gone(pid)
  end)

  it("ends in order when it has nothing to do", function()
    local child = start "moonwire.sleep(0.01)"
    assert.equal("", program.expect_clean_end(child))
    assert.equal(1, child:count "born")
  end)

  for name, case in pairs {
    ["with an error"] = { "error 'oops'", 1 },
    ["with an error after it waited"] = { "moonwire.sleep(0.01) error 'oops'", 1 },
    ["with a code of its own"] = { "os.exit(5)", 5 },
  } do
    it(("that fails %s before it is ready is not started again"):format(name), function()
      local child = start(case[1])
      program.expect_clean_end(child, case[2])
      assert.equal(1, child:count "born")
    end)
  end

  it("that was ready and fails is started again, also if it then fails sooner", function()
    local child = start [[
      if os.getenv "MOONWIRE_RESTARTS" == "1" then error "sooner" end
      serve(moonwire.app())
      if os.getenv "MOONWIRE_RESTARTS" == "0" then
        moonwire.sleep(0.01) -- ready in the meantime
        error "oops"
      end
    ]]
    for life = 0, 2 do
      assert.equal(tostring(life), child:expect("born").restarts)
    end
    assert.truthy(child.stderr:find("ended with exit code 1; it is started again in 0.1 s", 1, true))
  end)

  it("that ends with 70 is started again, ready or not", function()
    local child = start [[if os.getenv "MOONWIRE_RESTARTS" == "0" then os.exit(70) end]]
    child:expect "born"
    child:expect "born"
    assert.truthy(program.expect_clean_end(child):find("did not answer any more (exit code 70)", 1, true))
  end)

  it("that hangs where nothing reaches it is ended and started again", function()
    local child = start([[
      serve(moonwire.app())
      moonwire.after(0, function()
        if os.getenv "MOONWIRE_RESTARTS" == "0" then
          local _ = ("a"):rep(40):find(("a?"):rep(40) .. ("a"):rep(40) .. "b") -- as long as the machine stands
        end
        tell "well"
      end)
    ]], nil, { "--handler-limit=0.2" })
    child:expect "born"
    assert.equal("1", child:expect("born").restarts)
    child:expect "well"
    assert.truthy(child.stderr:find("did not answer any more (exit code 70); it is started again in 0.1 s", 1, true))
  end)

  it("may end while it is dead", function()
    local child = start [[serve(moonwire.app()) uv.kill(uv.os_getpid(), "sigkill")]]
    for _ = 1, 5 do
      child:expect "born"
    end
    async.wait_until(function()
      return child.stderr:find("degraded: the program died 5 times within 60 s", 1, true)
    end)
    child:kill "sigterm"
    program.expect_clean_end(child)
  end)

  it("needs a script that can be read twice", function()
    for _, words in ipairs { { "--supervise" }, { "--supervise", "-" }, { "--supervise", "bench", "ws://h/" } } do
      local result = program.run(words)
      assert.equal(2, result.code)
      assert.truthy(result.stderr:find("option --supervise needs a script in a file", 1, true))
    end
  end)
end)
