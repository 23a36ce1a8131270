-- faults_load_spec.lua - little that becomes much: messages that inflate to a thousand times their size, and a thousand readers
-- who do not read what is published. Memory stays within what the limits allow, goes back, and others lose nothing.
-- SPDX-License-Identifier: MIT

local account = require "spec.support.account"
local async = require "spec.support.async"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local talkers = require "spec.support.talkers"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local MIB = 1 << 20
local BINARY, CLOSE, CONTINUATION = visitor.BINARY, visitor.CLOSE, 0
local TALKERS = 5

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

-- ---- bombs ----

local BOMBS, AT_ONCE = 100, 100
local EXTENSION = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

-- Zeros, compressed by zlib as permessage-deflate wants it. 16 MiB and a full flush are repeated: each piece is whole.
local MAKE = [[
import sys, zlib
def deflated(size):
    c = zlib.compressobj(9, zlib.DEFLATED, -15)
    return c.compress(b"\0" * size) + c.flush(zlib.Z_FULL_FLUSH)
for path, data in zip(sys.argv[1:], (deflated(16 << 20) * 64, deflated(1 << 20), deflated((1 << 20) + 1))):
    open(path, "wb").write(data[:-4])
]]

local function payloads()
  local directory = async.shared_directory("bombs", function(directory)
    local files = { directory .. "/bomb", directory .. "/fits", directory .. "/over" }
    local result = program.run({ "-B", "-c", MAKE, table.unpack(files) }, { command = "/usr/bin/python3" })
    assert(result.code == 0, result.stderr)
  end)
  local contents = {}
  for i, name in ipairs { "bomb", "fits", "over" } do
    local file <close> = assert(io.open(directory .. "/" .. name, "rb"))
    contents[i] = file:read "a"
  end
  return table.unpack(contents)
end

local function in_fragments(payload, count)
  local size, frames = math.ceil(#payload / count), {}
  for at = 1, #payload, size do
    frames[#frames + 1] = visitor.frame(at == 1 and BINARY or CONTINUATION, payload:sub(at, at + size - 1),
      { rsv1 = at == 1, fin = at + size > #payload })
  end
  return table.concat(frames)
end

local INFLATING = account.SCRIPT .. [[
  local app = moonwire.app()
  local ends, messages = {}, 0
  app:ws("/echo", { message = function(ws, data) ws:send(data) end })
  app:ws("/bombs", {
    compress = true,
    message = function(ws, data) messages = messages + 1 ws:send(#data .. " bytes") end,
    close = function(ws, code) ends[code .. " " .. ws.ending.rule] = (ends[code .. " " .. ws.ending.rule] or 0) + 1 end,
  })
  tell_account(app, function() return { ends = ends, messages = messages } end)
  serve(app)
]]

-- The most memory that a process has ever had since `reset_peak`, in KiB.
local function reset_peak(pid)
  local file = assert(io.open(("/proc/%d/clear_refs"):format(pid), "w"))
  file:write "5"
  file:close()
end

local function peak(pid)
  local file <close> = assert(io.open(("/proc/%d/status"):format(pid)))
  return tonumber(file:read("a"):match "VmHWM:%s*(%d+)")
end

-- It never had more than so many KiB above what it had.
local function expect_peak(child, before, more)
  local most = peak(child.pid) - before
  assert.truthy(program.is_sanitized or most < more, most .. " KiB more")
end

it("a hundred bombs of 1 GiB each end with 1009, and only they", function()
  local bomb, _, over = payloads()
  assert.truthy(#bomb < MIB and #bomb > MIB * 0.9)
  local child = program.start(INFLATING)
  local port = child:expect("listening").port
  local rounds = 0
  account.expect_nothing_left(child, port, function()
    rounds = rounds + 1
    local good = talkers.start(port, "/echo", TALKERS)
    local before = program.memory(child.pid)
    reset_peak(child.pid)
    local started, ended, problem = 0, 0, nil
    local forms = {
      visitor.frame(BINARY, bomb, { rsv1 = true }), in_fragments(bomb, 100), visitor.frame(BINARY, over, { rsv1 = true }),
      in_fragments(over, 10),
    }
    local function explode()
      started = started + 1
      local socket, received, is_sent = uv.new_tcp(), "", false
      local form = forms[started % 10 == 0 and started % 4 + 1 or started % 2 + 1]
      socket:connect("127.0.0.1", port, function(failure)
        problem = problem or failure
        socket:write(visitor.opening("/bombs", EXTENSION))
        socket:read_start(function(_, bytes)
          received = received .. (bytes or "")
          if not is_sent and received:find "^HTTP/1.1 101.-permessage%-deflate.-\r\n\r\n" then
            is_sent = true
            socket:write(form)
          elseif not bytes then
            if not received:find "\r\n\r\n\x88[\2-\x7d]\x03\xf1a message larger than max_payload" then
              problem = ("%q came"):format(received)
            end
            socket:close()
            ended = ended + 1
            async.wake()
          end
        end)
      end)
    end
    for _ = 1, AT_ONCE do
      explode()
    end
    async.wait_until(function()
      return ended == BOMBS or problem
    end, "the bombs to be refused")
    assert.is_nil(problem)
    good:go_on(10)
    good:stop()
    local told = account.wait_for(port, 0)
    assert.same({ BOMBS * rounds, 0 }, { told.ends["1009 max_payload"], told.messages })
    -- What came of each at most, and the one that is being inflated.
    expect_peak(child, before, BOMBS * #bomb // 1024 + 16 * 1024)
  end)
end)

it("what inflates to the limit goes through, however slowly it comes", function()
  local _, fits, over = payloads()
  local child = program.start(INFLATING)
  local port = child:expect("listening").port
  account.expect_nothing_left(child, port, function()
    local ws = visitor.connect(port)
    ws:upgrade("/bombs", EXTENSION)
    local forms = { visitor.frame(BINARY, fits, { rsv1 = true }), in_fragments(fits, 50), in_fragments(fits, #fits) }
    for _, form in ipairs(forms) do
      local good = talkers.start(port, "/echo", TALKERS)
      for at = 1, #form, 50 do
        ws:write(form:sub(at, at + 49))
        if at % 500 == 1 then
          good:go_on(1)
        end
      end
      assert.equal(MIB .. " bytes", ws:message())
      good:stop()
    end
    ws:write(in_fragments(over, 20))
    assert.equal(1009, (ws:expect_close()))
    ws:send_close(1009)
    ws:expect_end()
    ws:close()
    account.wait_for(port, 0)
  end)
end)

-- ---- readers who do not read ----

local READERS = program.is_sanitized and 300 or 1000
local PUBLICATIONS, SIZE, MAX_QUEUED = 600, 2048, 128 * 1024
local MIXED = 4000
local POLICIES = { "close", "drop", "latest" }

local PUBLISHING = account.SCRIPT .. [[
  local max, size = tonumber(arg[1]), tonumber(arg[2])
  local app = moonwire.app()
  local ends, dropped, members, mixed = {}, 0, {}, nil
  app:ws("/echo", { message = function(ws, data) ws:send(data) end })
  local function route(name, slow, max_backpressure)
    app:ws("/" .. name, {
      slow = slow, max_backpressure = max_backpressure, write_timeout = 60, close_timeout = 0.2,
      open = function(ws)
        ws:subscribe "news"
        ws:subscribe(name)
        members[ws] = name ~= "fast" and name or nil
        if name == "fast" then ws:subscribe "mixed" mixed = ws end
      end,
      dropped = function() dropped = dropped + 1 end,
      close = function(ws, code)
        local what = name .. " " .. ws.ending.rule
        ends[what] = (ends[what] or 0) + 1
        members[ws] = nil
      end,
    })
  end
  for _, policy in ipairs { "close", "drop", "latest" } do route(policy, policy, max) end
  route("fast", "close", 1 << 26)
  app:get("/publish/:count", function(req, res)
    for i = 1, tonumber(req.params.count) do
      app:publish("news", ("%08d"):format(i) .. ("x"):rep(size - 8))
      if i % 20 == 0 then moonwire.sleep(0) end
    end
    res:send "published"
  end)
  app:get("/send/:count/:size", function(req, res)
    local most, full = 0, {}
    for i = 1, tonumber(req.params.count) do
      if req.query.publish then app:publish("news", "a piece of news") end
      for ws, policy in pairs(members) do
        local ok, _, code = ws:send(("x"):rep(tonumber(req.params.size)))
        if not ok then full[policy .. " " .. code] = true end
        most = math.max(most, ws.buffered)
      end
      moonwire.sleep(0)
    end
    res:json { most = most, full = full }
  end)
  app:get("/mix/:count", function(req, res)
    for i = 1, tonumber(req.params.count) do
      local text = i .. ("x"):rep(i * 7919 % 600)
      if i % 7 % 2 == 0 then app:publish("mixed", text) else mixed:send(text) end
      if i % 5 == 0 then moonwire.sleep(0) end
    end
    res:send(tostring(mixed.buffered))
  end)
  tell_account(app, function()
    local left = { close = app:subscribers "close", drop = app:subscribers "drop", latest = app:subscribers "latest" }
    return { ends = ends, dropped = dropped, left = left }
  end)
  serve(app)
  serve(app, { path = arg[3] })
]]

-- Clients that become WebSockets and read nothing more. On Unix sockets the kernel keeps 200 KiB of what is not read; over TCP
-- it would be megabytes of its own memory for each.
local function start_readers(path, count)
  local sockets, open, problem = {}, 0, nil
  for i = 1, count do
    local socket = uv.new_pipe(false)
    sockets[i] = socket
    socket:connect(path, function(failure)
      problem = problem or failure
      socket:write(visitor.opening("/" .. POLICIES[i % 3 + 1]))
      socket:read_start(function(_, bytes)
        problem = problem or not bytes and "cut off" or nil
        socket:read_stop()
        open = open + 1
        async.wake()
      end)
    end)
  end
  async.wait_until(function()
    return open == count or problem
  end, "all who do not read to be open")
  assert.is_nil(problem)
  return function()
    for _, socket in ipairs(sockets) do
      socket:close()
    end
  end
end

it("readers who do not read cost what their limit allows, and a fast one beside them gets everything in order", function()
  local path = async.directory() .. "/socket"
  local child = program.start(PUBLISHING, { tostring(MAX_QUEUED), tostring(SIZE), path })
  local port = child:expect("listening").port
  child:expect "listening"
  local counts, rounds, dropped = { close = 0, drop = 0, latest = 0 }, 0, 0
  for i = 1, READERS do
    counts[POLICIES[i % 3 + 1]] = counts[POLICIES[i % 3 + 1]] + 1
  end
  account.expect_nothing_left(child, port, function()
    local good, leave = talkers.start(port, "/echo", TALKERS), start_readers(path, READERS)
    local fast, publisher = visitor.connect(port), visitor.connect(port)
    fast:upgrade "/fast"
    account.ask(port)
    local before = program.memory(child.pid)
    reset_peak(child.pid)
    publisher:request("/publish/" .. PUBLICATIONS)
    for i = 1, PUBLICATIONS do
      local message = fast:message()
      assert.equal(SIZE, #message)
      assert.equal(i, tonumber(message:sub(1, 8)))
    end
    assert.equal(200, (publisher:response()))
    good:go_on(10)
    good:stop()
    -- Who is closed by the policy goes; the others are there.
    local told
    repeat
      told = account.ask(port)
    until told.left.close == 0
    assert.same({ close = 0, drop = counts.drop, latest = counts.latest }, told.left)
    rounds = rounds + 1
    assert.equal(rounds * counts.close, told.ends["close slow_consumer"])
    -- What the kernel and the queue hold is less than half of it.
    assert.truthy(told.dropped - dropped > counts.drop * PUBLICATIONS / 3)
    dropped = told.dropped
    -- What is published is shared by all who wait for it.
    expect_peak(child, before, READERS * MAX_QUEUED // 1024 // 8)
    leave()
    fast:send(CLOSE, "\x03\xe8")
    fast:expect_close()
    fast:close()
    publisher:close()
    account.wait_for(port, 0)
  end)
end)

-- What is sent to each of them: how many messages of which size, with a publication between any two of them or not, and how many
-- times its bytes the memory for it may be.
local PRIVATE = {
  { what = "messages", readers = READERS // 4, count = 900, size = 480, times = 1.25 },
  { what = "small ones and publications in turn", readers = 20, count = 12000, size = 20, publish = "?publish=yes", times = 4 },
}

for _, each in ipairs(PRIVATE) do
  it(("%s to those who do not read are kept up to the limit, and go when they go"):format(each.what), function()
    local path = async.directory() .. "/socket"
    local child = program.start(PUBLISHING, { tostring(MAX_QUEUED), tostring(SIZE), path })
    local port = child:expect("listening").port
    child:expect "listening"
    account.expect_nothing_left(child, port, function()
      local good, leave = talkers.start(port, "/echo", TALKERS), start_readers(path, each.readers)
      local sender, before = visitor.connect(port), program.memory(child.pid)
      reset_peak(child.pid)
      sender:request(("/send/%d/%d%s"):format(each.count, each.size, each.publish or ""))
      local told = json.decode((select(2, sender:response())))
      -- A Close frame fits always.
      assert.truthy(told.most > MAX_QUEUED * 0.9 and told.most <= MAX_QUEUED + 127, told.most)
      assert.same({ ["close closing"] = true, ["drop full"] = true, ["latest full"] = true }, told.full)
      good:go_on(10)
      good:stop()
      expect_peak(child, before, each.times * each.readers * MAX_QUEUED // 1024 + 8 * 1024)
      leave()
      sender:close()
      account.wait_for(port, 0)
    end)
  end)
end

it("publications and other messages that waited together come in the order in which they were sent", function()
  local path = async.directory() .. "/socket"
  local child = program.start(PUBLISHING, { tostring(MAX_QUEUED), tostring(SIZE), path })
  local port = child:expect("listening").port
  child:expect "listening"
  account.expect_nothing_left(child, port, function()
    local reader, other, asking = visitor.connect(path), visitor.connect(path), visitor.connect(port)
    other:upgrade "/fast"
    reader:upgrade "/fast"
    reader:pause()
    asking:request("/mix/" .. MIXED)
    local _, waiting = asking:response()
    assert.truthy(tonumber(waiting) > MAX_QUEUED)
    reader:resume()
    for i = 1, MIXED do
      local text = i .. ("x"):rep(i * 7919 % 600)
      local message = reader:message()
      assert.truthy(message == text, i)
      if i % 7 % 2 == 0 then
        assert.truthy(other:message() == text, i)
      end
    end
    for _, each in ipairs { reader, other } do
      each:send_close(1000)
      each:expect_close()
      each:expect_end()
      each:close()
    end
    asking:close()
    account.wait_for(port, 0)
  end)
end)
