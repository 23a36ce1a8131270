-- limits_connections_spec.lua - how many connections there may be, from one address, how fast they may come, and how many
-- descriptors they may take; each from just below and from just above. (Who counts as one address: native/admission_test.c.)
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local limits = require "spec.support.limits"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local sockets = {}

after_each(function()
  for _, socket in ipairs(sockets) do
    socket:close()
  end
  sockets = {}
  limits.finish()
  peer.stop_all()
end)

-- Connect so many at once, before the server gets to accept any, and ask each for "/". Returns how many were answered and how
-- many closed, when it is known of all.
local function visit(port, count, host, from)
  local answered, closed = 0, 0
  for _ = 1, count do
    local socket = uv.new_tcp()
    table.insert(sockets, socket)
    if from then
      assert(socket:bind(from, 0))
    end
    socket:connect(host or "127.0.0.1", port, function(problem)
      assert(not problem, problem)
      socket:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      socket:read_start(function(_, bytes)
        if bytes then
          answered = answered + 1
        else
          closed = closed + 1
        end
        socket:read_stop()
        async.wake()
      end)
    end)
  end
  async.wait_until(function()
    return answered + closed == count
  end, "answers or ends")
  return answered, closed
end

local function serve_page(settings)
  local app = moonwire.app { keep_alive_timeout = 60 }
  app:get("/", function(_, res)
    res:send "here"
  end)
  return limits.serve(app, settings)
end

describe("max_connections", function()
  it("of a process: 503 for the next, until one has left", function()
    local port, inbox = limits.serve_ws({}, { max_connections = 2 })
    local first, second = limits.open(port), visitor.connect(port)
    local third = visitor.connect(port)
    third:request "/"
    local status, _, head = third:response()
    assert.equal(503, status)
    assert.truthy(head:lower():find("\r\nretry-after: ", 1, true))
    third:expect_end()
    limits.expect_alive(first, inbox)
    second:close()
    repeat
      local next_one = visitor.connect(port)
      next_one:write(visitor.opening())
      local answer = next_one:expect "^HTTP/1%.1 %d+"
    until answer == "HTTP/1.1 101"
  end)

  it("0 is no limit", function()
    local port = limits.serve_ws({}, { max_connections = 0 })
    for _ = 1, 20 do
      limits.open(port)
    end
  end)
end)

it("max_per_address: the next is closed at accept, until one has left", function()
  local port, inbox = limits.serve_ws({}, { max_per_address = 2 })
  local first, second = limits.open(port), limits.open(port)
  local third = visitor.connect(port)
  assert.equal("", third:expect_end())
  limits.expect_alive(first, inbox)
  second:send_close(1000)
  assert.equal("", select(2, second:expect_close()))
  inbox:take "close"
  limits.expect_alive(limits.open(port), inbox)
end)


it("max_per_address: the same for clients of IPv6", function()
  assert.same({ 2, 1 }, { visit(serve_page { host = "::1", max_per_address = 2 }, 3, "::1") })
  assert.same({ 3, 0 }, { visit(serve_page { host = "::1" }, 3, "::1") })
end)

describe("max_connects_per_address", function()
  -- The seconds are what the limit is made of.
  local function let_second_pass()
    moonwire.sleep(1.01)
  end

  -- Each with an address of its own: what one second has seen the next test would count.
  local last = 1
  local function new_address()
    last = last + 1
    return "127.0.0." .. last
  end

  it("closes who comes too fast, at accept, and nobody else", function()
    local port = serve_page { max_connects_per_address = 3 }
    assert.same({ 3, 2 }, { visit(port, 5, nil, new_address()) })
    assert.same({ 3, 0 }, { visit(port, 3, nil, new_address()) })
  end)

  it("leaves clients of the same machine alone unless it is given", function()
    assert.same({ 300, 0 }, { visit(serve_page(), 300) })
    assert.same({ 300, 0 }, { visit(serve_page { max_connects_per_address = 0 }, 300) })
  end)

  it("counts again in the next second", function()
    local port = serve_page { max_connects_per_address = 2 }
    local address = new_address()
    assert.same({ 2, 1 }, { visit(port, 3, nil, address) })
    let_second_pass()
    assert.same({ 2, 1 }, { visit(port, 3, nil, address) })
  end)

  -- The machine's own address is reached through the loopback device, but is none of its addresses.
  local function other_address()
    for _, address in pairs(uv.interface_addresses()) do
      for _, each in ipairs(address.ip and { address } or address) do
        if each.family == "inet" and not each.internal then
          return each.ip
        end
      end
    end
  end

  it("is 256 for all others, and off where addresses don't count", function()
    local host = other_address()
    if not host then
      return pending "this machine has no address but loopback"
    end
    assert.same({ 256, 44 }, { visit(serve_page { host = host }, 300, host) }) -- of max_per_address
    let_second_pass()
    local answered, closed = visit(serve_page { host = host, max_per_address = 1000 }, 600, host)
    assert.equal(600, answered + closed)
    assert.truthy(answered >= 256 and closed > 0)
    assert.same({ 600, 0 }, { visit(serve_page { host = host, max_per_address = 0 }, 600, host) })
  end)
end)

describe("reserved_descriptors", function()
  local SCRIPT = [[
    local app = moonwire.app { keep_alive_timeout = 60 }
    app:get("/", function(_, res) res:send "here" end)
    local listener, message, code = app:listen { host = "127.0.0.1", port = 0, reserved_descriptors = tonumber(arg[1]) }
    if not listener then return tell("refused", { message = message, code = code }) end
    tell("listening", { port = listener:address().port })
  ]]

  -- With 100 descriptors in all.
  local function start(reserved)
    local path = program.script(SCRIPT)
    return program.spawn({ "-c", 'ulimit -n 100; exec "$0" "$@"', program.binary, path, tostring(reserved) },
      { command = "/bin/sh" })
  end

  -- How many of the first `most` numbers are in use; whoever started us may have left others open above.
  local function used(pid, most)
    local found = 0
    for name in uv.fs_scandir_next, (assert(uv.fs_scandir(("/proc/%d/fd"):format(pid)))) do
      found = found + (tonumber(name) < most and 1 or 0)
    end
    return found
  end

  it("are not given to connections, all others are", function()
    local child = start(40)
    local port = child:expect("listening").port
    local first = visitor.connect(port)
    first:request "/"
    first:response()
    local room = 60 - used(child.pid, 60)
    assert.same({ room, 0 }, { visit(port, room) })
    assert.equal(60, used(child.pid, 100))
    assert.equal("", child.stderr)
    assert.same({ 0, 1 }, { visit(port, 1) })
    async.wait_until(function()
      return child.stderr:find("only the reserved descriptors are left (ulimit -n)", 1, true)
    end, "the warning")
    assert.same({ 0, 3 }, { visit(port, 3) })
    assert.equal(1, select(2, child.stderr:gsub("no new connections", "")))
    first:close()
    repeat
      local answered = visit(port, 1)
    until answered == 1
    child:kill "sigterm"
    program.expect_clean_end(child)
  end)

  it("must leave some", function()
    local child = start(100)
    local told = child:expect "refused"
    assert.same({ "reserved_descriptors = 100 leaves none of this process's 100 descriptors (ulimit -n)", "listen" },
      { told.message, told.code })
    child = start(99)
    assert.truthy(child:expect("listening").port)
    child:kill "sigterm"
    program.expect_clean_end(child)
  end)
end)
