-- churn_spec.lua - thousands of connections that come and go, in every way to go, leave no descriptor and no memory behind, and
-- take nothing from those who stay.
-- The plain ones come from this process, through luv; those over TLS from a second one of the program.
-- SPDX-License-Identifier: MIT

local account = require "spec.support.account"
local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local talkers = require "spec.support.talkers"
local tls = require "spec.support.tls"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local COUNT = 20000
local TALKERS = 5
local SECURE_COUNT = program.is_sanitized and 400 or 1000
local AT_ONCE = 100
local GROWTH = 1.03 -- how much more memory the second half of the visits may leave than the first

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

local SERVER = account.SCRIPT .. [[
  local options = arg[1] and { tls = { cert = arg[1], key = arg[2] } }
  local app = moonwire.app()
  local closed = 0
  app:ws("/echo", { message = function(ws, data) ws:send(data) end })
  app:ws("/:room", {
    compress = true,
    open = function(ws) ws:subscribe(ws.params.room) ws.data.timer = moonwire.after(0, function() ws:ping() end) end,
    message = function(ws, data) ws:send(data) ws:publish(ws.params.room, data) end,
    close = function(ws) closed = closed + 1 end,
  })
  app:get("/", function(req, res) res:send "x" end)
  tell_account(app, function() return { closed = closed } end)
  serve(app, options)
  if options then serve(app) end
]]

local CLOSE = visitor.frame(visitor.CLOSE, "\x03\xe8")
local HELLO = visitor.frame(visitor.TEXT, "hello")

-- What one visitor sends at once, how many bytes at least it waits for, and how it leaves. Some wait for the
-- server to close, so that the server's side is the one that keeps the port.
local WAYS = {
  { visitor.opening "/a" .. CLOSE, 1e9 },
  { visitor.opening "/a" .. HELLO .. CLOSE, 1e9 },
  { visitor.opening "/b" .. HELLO, 129, "reset" },
  { visitor.opening "/c", 129, "close" },
  { visitor.opening "/d" .. HELLO:sub(1, -3), 129, "reset" },
  { visitor.opening("/e", "Sec-WebSocket-Extensions: permessage-deflate\r\n") .. HELLO .. CLOSE, 1e9 },
  { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1, "reset" },
  { "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1e9 },
  { "GET / HTTP/1.1\r\nHo", 0, "reset" },
  { "no HTTP at all\r\n\r\n", 1e9 },
  { "", 0, "close" },
  { "", 0, "reset" },
  { visitor.opening "/g", 0, "close" },
  { visitor.opening "/g", 0, "reset" },
  { visitor.opening "/f" .. visitor.frame(3, "a broken rule"), 1e9 },
}

-- Let `count` visitors come and go, AT_ONCE at a time.
local function visit(port, count)
  local started, ended = 0, 0
  local problem
  local start
  local function leave(socket, way)
    if socket:is_closing() then
      return
    elseif way == "reset" then
      socket:close_reset()
    else
      socket:close()
    end
    ended = ended + 1
    start()
  end
  function start()
    if started == count or problem then
      return async.wake()
    end
    started = started + 1
    local bytes, wanted, way = table.unpack(WAYS[started % #WAYS + 1])
    local socket, received = uv.new_tcp(), 0
    socket:connect("127.0.0.1", port, function(failure)
      if failure then
        problem = failure
        return leave(socket, "close")
      end
      socket:write(bytes, function()
        if received >= wanted then
          leave(socket, way)
        end
      end)
      socket:read_start(function(_, piece)
        received = received + (piece and #piece or 0)
        if not piece or received >= wanted then
          leave(socket, piece and way)
        end
      end)
    end)
  end
  for _ = 1, AT_ONCE do
    start()
  end
  async.wait_until(function()
    return ended == count or problem
  end, ("%d visitors to leave"):format(count), 100)
  assert.is_nil(problem)
end

it("twenty thousand connections leave nothing", function()
  local child = program.start(SERVER)
  local port = child:expect("listening").port
  visit(port, AT_ONCE * 2)
  local descriptors = account.take(child, port)
  local good = talkers.start(port, "/echo", TALKERS)
  visit(port, COUNT / 2)
  good:go_on(10)
  good:stop()
  local half_descriptors, half_memory, half = account.take(child, port)
  good = talkers.start(port, "/echo", TALKERS)
  visit(port, COUNT / 2)
  good:go_on(10)
  good:stop()
  local all_descriptors, all_memory, all = account.take(child, port)
  assert.same({ descriptors, descriptors }, { half_descriptors, all_descriptors })
  assert.truthy(all.closed > half.closed and half.closed > COUNT / 8)
  if not program.is_sanitized and all_memory > half_memory * GROWTH then
    account.expect_no_growth(child, port, all_memory, function()
      visit(port, COUNT / 2)
    end)
  end
  child:kill "sigterm"
  -- Those who broke the protocol are told of; nothing else is. (Only the end of a long log is kept, perhaps from within a line.)
  local log = program.expect_clean_end(child)
  for line in log:sub((log:find "moonwire: " or 1)):gmatch "[^\n]+" do
    assert.matches("protocol_error: a frame", line, 1, true) -- of lines that were held back only so much is told
  end
end)

-- Connects again and again, and ends each connection in another way.
local SECURE_CLIENT = [[
  local url, http = "wss://localhost:" .. arg[2], "https://localhost:" .. arg[2] .. "/"
  local left, running = tonumber(arg[3]), 0
  local function visit(number)
    if number % 5 == 0 then
      assert(moonwire.fetch(http, { tls = { ca = arg[1] } }).body == "x")
      return
    end
    local task, core = coroutine.running(), require "moonwire.core"
    local ws = assert(moonwire.connect(url .. "/room", {
      tls = { ca = arg[1] }, compress = number % 2 == 0, close = function() core.resume(task) end,
    }))
    if number % 5 == 1 then ws:terminate() else ws:send "hello" ws:close() end
    coroutine.yield()
  end
  for _ = 1, 20 do
    moonwire.spawn(function()
      while left > 0 do
        left = left - 1
        visit(left)
      end
    end)
  end
]]

it("a thousand connections over TLS leave nothing", function()
  local files = tls.files()
  local child = program.start(SERVER, { files.cert, files.key })
  local secure, port = child:expect("listening").port, child:expect("listening").port
  local function visit_secure(count)
    assert.equal("", program.expect_clean_end(program.start(SECURE_CLIENT,
      { files.ca, tostring(secure), tostring(count // 1) })))
    -- Those that never get as far as that.
    for _, bytes in ipairs { "", "\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03", "GET / HTTP/1.1\r\n\r\n" } do
      local client = visitor.connect(secure)
      client:write(bytes)
      client:close()
    end
  end
  visit_secure(SECURE_COUNT / 10)
  local descriptors = account.take(child, port)
  visit_secure(SECURE_COUNT / 2)
  local half_descriptors, half_memory, half = account.take(child, port)
  visit_secure(SECURE_COUNT / 2)
  local all_descriptors, all_memory, all = account.take(child, port)
  assert.same({ descriptors, descriptors }, { half_descriptors, all_descriptors })
  assert.equal(SECURE_COUNT / 2 * 4 // 5, all.closed - half.closed)
  if not program.is_sanitized and all_memory > half_memory * GROWTH then
    account.expect_no_growth(child, port, all_memory, function()
      visit_secure(SECURE_COUNT / 2)
    end)
  end
  child:kill "sigterm"
  assert.equal("", program.expect_clean_end(child))
end)
