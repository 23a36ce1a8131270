-- faults_process_spec.lua - the process runs out of what the machine gives it: descriptors, and room on the disk. Those inside
-- talk on, whoever asked is told, and what was acknowledged is there.
-- SPDX-License-Identifier: MIT

local account = require "spec.support.account"
local async = require "spec.support.async"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local talkers = require "spec.support.talkers"
local uv = require "luv"
local visitor = require "spec.support.visitor"

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

-- ---- descriptors ----

local LIMIT, RESERVED = 64, 20
local CLIENTS, INSIDE = 100, 10

local SERVER = account.SCRIPT .. [[
  local app = moonwire.app()
  local taken = {}
  app:ws("/echo", { message = function(ws, data) ws:send(data) end })
  app:get("/take", function(_, res)
    local message, code
    repeat
      local file
      file, message, code = io.open "/dev/null"
      taken[#taken + 1] = file
    until not file
    res:json { taken = #taken, message = message }
  end)
  app:get("/give", function(_, res)
    for i = #taken, 1, -1 do taken[i]:close() taken[i] = nil end
    res:send "given"
  end)
  local port
  local function outcome(value, message, code) return value and "fine" or code .. ": " .. message end
  app:get("/fetch", function(_, res)
    res:send(outcome(moonwire.fetch("http://127.0.0.1:" .. port .. "/account", { timeout = 5 })))
  end)
  app:get("/connect", function(_, res)
    local ws, message, code = moonwire.connect("ws://127.0.0.1:" .. port .. "/echo", { timeout = 5 })
    if ws then ws:close() end
    res:send(outcome(ws, message, code))
  end)
  app:get("/file", function(_, res)
    local ok, message, code = res:file(arg[1])
    if not ok and not res.sent then res:send(outcome(ok, message, code)) end
  end)
  app:static("/files", arg[1]:match "^(.*)/")
  app:get("/listen", function(_, res)
    local listener, message, code = app:listen { host = "127.0.0.1", port = 0, reserved_descriptors = 0 }
    if listener then listener:close() end
    res:send(outcome(listener, message, code))
  end)
  tell_account(app)
  port = serve(app, { reserved_descriptors = tonumber(arg[2]) }):address().port
]]

local function start(reserved)
  local page = program.write("a page", "page.txt")
  local words = program.command(SERVER, { page, tostring(reserved) })
  local child = program.spawn({ "-c", ('ulimit -n %d; exec "$@"'):format(LIMIT), "sh", table.unpack(words) },
    { command = "/bin/sh" })
  return child, child:expect("listening").port
end

-- Clients that want a WebSocket; each tells what became of it: "open", "cut off", or nil while nothing did.
local function want_in(port, count)
  local self = { sockets = {}, became = {}, tally = { open = 0, ["cut off"] = 0 } }
  for i = 1, count do
    local socket = uv.new_tcp()
    self.sockets[i] = socket
    local function become(what)
      if not self.became[i] then
        self.tally[what] = self.tally[what] + 1
      end
      self.became[i] = what
      async.wake()
    end
    socket:connect("127.0.0.1", port, function(problem)
      assert(not problem, problem)
      socket:write(visitor.opening "/echo")
      socket:read_start(function(_, bytes)
        become(bytes and bytes:find "^HTTP/1.1 101" and "open" or "cut off")
      end)
    end)
  end
  function self.leave()
    for _, socket in ipairs(self.sockets) do
      socket:close()
    end
    self.sockets = {}
  end
  return self
end

-- Until the server has seen that others left, some who come are still cut off.
local function until_served(port)
  local later
  repeat
    later = want_in(port, 1)
    async.wait_until(function()
      return later.became[1]
    end, "a later one to be served or cut off")
    later.leave()
  until later.became[1] == "open"
end

it("without descriptors those inside talk on, the others wait, and get in when there is room", function()
  local child, port = start(RESERVED)
  -- Whoever started the specs may have left some open that are passed on to every program.
  local above, cut_off = program.descriptors_from(child.pid, LIMIT), 0
  account.expect_nothing_left(child, port, function()
    local good = talkers.start(port, "/echo", INSIDE)
    local crowd = want_in(port, CLIENTS)
    local function is_full()
      return crowd.tally.open > 0 and crowd.tally["cut off"] > 1
    end
    async.wait_until(is_full, "the descriptors to run out")
    -- One more is open while it is turned away.
    local used = program.descriptors(child.pid) - above
    assert.truthy(used >= LIMIT - RESERVED and used <= LIMIT - RESERVED + 1, used)
    assert.truthy(crowd.tally.open < LIMIT - RESERVED - INSIDE)
    good:go_on(20)
    local before = crowd.tally.open
    good:stop()
    -- Those who waited in the kernel's queue get in, if any are left there.
    async.wait_until(function()
      return crowd.tally.open > before or crowd.tally.open + crowd.tally["cut off"] == CLIENTS
    end, "those who waited to get in")
    cut_off = cut_off + crowd.tally["cut off"]
    crowd.leave()
    until_served(port)
    account.wait_for(port, 0)
  end)
  local lines = select(2, child.stderr:gsub("no new connections for 100 ms", ""))
  assert.truthy(lines >= 1 and lines <= 2 + cut_off // 5, lines)
end)

it("a process that waits for descriptors does not spin", function()
  local child, port = start(RESERVED)
  local crowd = want_in(port, LIMIT)
  async.wait_until(function()
    return crowd.tally["cut off"] > 1
  end, "the descriptors to run out")
  account.expect_idle(child.pid)
  crowd.leave()
  until_served(port)
  account.wait_for(port, 0)
end)

it("a script that takes the last descriptors is told so, and everything goes on when it gives them back", function()
  local child, port = start(0)
  account.expect_nothing_left(child, port, function()
    local good = talkers.start(port, "/echo", INSIDE)
    local client = visitor.connect(port)
    local function ask(target)
      client:request(target)
      local _, body = client:response()
      return body
    end
    for _, target in ipairs { "/fetch", "/connect", "/listen" } do
      assert.equal("fine", ask(target), target)
    end
    assert.equal("a page", ask "/file")
    -- What was closed by a handshake is closed a little later.
    repeat
      local told = json.decode(ask "/account")
    until told.connections == INSIDE + 1
    local taken = json.decode(ask "/take")
    assert.matches("Too many open files", taken.message)
    assert.equal(LIMIT, program.descriptors(child.pid) - program.descriptors_from(child.pid, LIMIT))
    for target, answer in pairs {
      ["/fetch"] = "^%l+: .*[Tt]oo many open files",
      ["/connect"] = "^%l+: .*[Tt]oo many open files",
      ["/listen"] = "^%l+: .*[Tt]oo many open files",
      ["/file"] = "^EMFILE: .*[Tt]oo many open files",
    } do
      assert.matches(answer, ask(target))
    end
    client:request "/files/page.txt"
    assert.equal(503, (client:response()))
    -- Who comes now waits in the kernel's queue.
    local waiting = visitor.connect(port)
    waiting:request "/account"
    good:go_on(20)
    good:stop()
    account.expect_idle(child.pid)
    assert.equal("given", ask "/give")
    assert.equal(200, (waiting:response()))
    for _, target in ipairs { "/fetch", "/connect", "/listen" } do
      assert.equal("fine", ask(target), target)
    end
    assert.equal("a page", ask "/file")
    client:close()
    waiting:close()
    account.wait_for(port, 0)
  end, "EMFILE: too many open files: [^\n]*page.txt")
end)
