-- bench_spec.lua - `moonwire bench` against a server that does what it should, and counts; against servers that misbehave;
-- and with every option wrong.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local bench = require "moonwire.bench"
local json = require "moonwire.json"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local raw = require "spec.support.raw"

after_each(function()
  raw.close_all()
  peer.stop_all()
end)

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

-- Run the command; the options as one text.
local function run(address, options)
  local arguments = { "bench", address }
  for word in (options or ""):gmatch "%S+" do
    table.insert(arguments, word)
  end
  return program.run(arguments)
end

local function names_of(values)
  local names = {}
  for name in pairs(values) do
    names[#names + 1] = name
  end
  table.sort(names)
  return table.concat(names, " ")
end

-- ---- a server that counts ----

local SERVER = [[
  local core = require "moonwire.core"
  local app = moonwire.app()
  local counts = { opened = 0, messages = 0, publications = 0, text = 0, bytes = 0 }
  app:ws("/ws", {
    max_backpressure = 64 << 20,
    max_payload = 1 << 20,
    open = function(ws)
      counts.opened, counts[ws.remote_address] = counts.opened + 1, true
      ws:subscribe "all"
    end,
    message = function(ws, data, kind)
      counts.bytes, counts.text = #data, counts.text + (kind == "text" and 1 or 0)
      if data:byte() == 80 then
        counts.publications = counts.publications + 1
        app:publish("all", data, kind)
      else
        counts.messages = counts.messages + 1
        ws:send(data, kind)
      end
    end,
  })
  app:get("/counts", function(_, res)
    counts.websockets = core.count().websockets
    res:json(counts)
  end)
  serve(app, { max_connections = 0 })
]]

local Server = {}
Server.__index = Server

local function start_server()
  local child = program.start(SERVER)
  local authority = "127.0.0.1:" .. child:expect("listening").port
  return setmetatable({ child = child, url = "ws://" .. authority .. "/ws", http = "http://" .. authority }, Server)
end

-- What it has counted when nobody is connected any more.
function Server:counts()
  return async.wait_until(function()
    local counts = json.decode(assert(moonwire.fetch(self.http .. "/counts")).body)
    return counts.websockets == 0 and counts
  end, "the server to have lost its visitors")
end

-- Run with these options and --pid; returns the result.
function Server:load(options)
  local result = run(self.url, options .. " --json --pid " .. self.child.pid)
  assert.same({ 0, "" }, { result.code, result.stderr })
  assert.is_nil(result.stdout:find "\n")
  return assert(json.decode(result.stdout))
end

-- Of what was begun, some may not have been over at the end.
local function assert_at_most(in_flight, counted, begun)
  assert.is_true(counted > 0)
  assert.is_true(counted <= begun and begun - counted <= in_flight, ("%d counted, %d begun"):format(counted, begun))
end

describe("the load", function()
  local server

  before_each(function()
    server = start_server()
  end)

  it("of echoed messages is what the server counts", function()
    local result = server:load "--connections 8 --depth 3 --size 200 --seconds 0.3 --warmup 0"
    assert.equal("client_cpu connections depth latency_us messages messages_per_second mode seconds server size",
      names_of(result))
    assert.equal("cpu memory_kib messages_per_cpu_second", names_of(result.server))
    assert.equal("max p50 p99 p999", names_of(result.latency_us))
    assert.same({ "echo", 8, 3, 200 }, { result.mode, result.connections, result.depth, result.size })
    local latency = result.latency_us
    assert.is_true(0 < latency.p50 and latency.p50 <= latency.p99 and latency.p99 <= latency.p999
      and latency.p999 <= latency.max)
    assert.is_true(result.seconds >= 0.3 and result.client_cpu > 0 and result.server.cpu > 0)
    assert.is_true(result.server.memory_kib > 500)
    assert.is_true(math.abs(result.messages / result.seconds / result.messages_per_second - 1) < 0.01)
    local counts = server:counts()
    assert.same({ 8, 0, 0, 200 }, { counts.opened, counts.text, counts.publications, counts.bytes })
    assert_at_most(8 * 3, result.messages, counts.messages)
  end)

  it("of echoed messages may be text, and of any size", function()
    for _, size in ipairs { 0, 1, 125, 126, 65535, 65536, 1 << 20 } do
      local result = server:load(("--text --connections 2 --depth 2 --seconds 0.05 --warmup 0.05 --size %d"):format(size))
      assert.is_true(result.messages > 0)
      local counts = server:counts()
      assert.same({ size, counts.messages }, { counts.bytes, counts.text })
    end
  end)

  it("of publications reaches everybody", function()
    local result = server:load "--mode fanout --connections 20 --depth 4 --seconds 0.3 --warmup 0"
    assert.equal("client_cpu connections depth latency_us messages messages_per_second mode seconds server size",
      names_of(result))
    assert_at_most(20 * 4, result.messages, 20 * server:counts().publications)
  end)

  it("of opening handshakes is what the server counts", function()
    local result = server:load "--mode connect --connections 10 --seconds 0.3 --warmup 0"
    assert.equal("client_cpu connections latency_us messages messages_per_second mode seconds server", names_of(result))
    assert_at_most(10, result.messages, server:counts().opened)
  end)

  it("of idle connections is their memory", function()
    local result = server:load "--mode idle --connections 600 --addresses 3 --seconds 0.05 --warmup 0"
    assert.equal("client_cpu connections mode seconds server", names_of(result))
    assert.equal("bytes_per_connection cpu memory_before_kib memory_kib", names_of(result.server))
    local grown = (result.server.memory_kib - result.server.memory_before_kib) * 1024 / 600
    assert.is_true(math.abs(grown - result.server.bytes_per_connection) < 0.01)
    local counts = server:counts()
    assert.equal(600, counts.opened)
    assert.same({ true, true, true, nil }, { counts["127.0.0.1"], counts["127.0.0.2"], counts["127.0.0.3"],
      counts["127.0.0.4"] })
  end)

  it("is told in a table, of the server only when asked to", function()
    local result = run(server.url, "--seconds 0.05 --warmup 0 --connections=1")
    assert.same({ 0, "" }, { result.code, result.stderr })
    for _, part in ipairs { "echo, 1 connections, depth 1, 64 bytes", "messages ", "99.9 %:", "generator " } do
      has(result.stdout, part)
    end
    assert.is_nil(result.stdout:find "server")
    result = run(server.url, "--mode idle --seconds 0.05 --warmup 0 --connections 2 --pid " .. server.child.pid)
    has(result.stdout, "bytes for each connection")
  end)

  it("finds the server among the addresses of a name", function()
    local result = run(server.url:gsub("127.0.0.1", "localhost"), "--seconds 0.05 --warmup 0")
    assert.same({ 0, "" }, { result.code, result.stderr })
  end)
end)

-- ---- servers that misbehave ----

-- Runs against a server of this process, which answers the opening handshake with `answer(head)` and goes on with
-- `behave(peer)`, while the command still runs.
local function run_against(options, behave, answer)
  local server = raw.listen(true)
  local child = program.spawn { "bench", ("ws://127.0.0.1:%d/"):format(server.address.port), "--connections", "1",
    table.unpack(options) }
  local visitor = server:accept()
  visitor:write((answer or raw.answer)(visitor:take_head()))
  if behave then
    behave(visitor)
  end
  return program.wait(child)
end

-- The next message of a visitor; waits for it.
local function take_message(visitor)
  local frames, rest
  async.wait_until(function()
    frames, rest = raw.decode(visitor.received)
    return frames[1] or visitor.ended
  end, "a message")
  assert(#frames == 1 and rest == "")
  visitor.received = ""
  return frames[1]
end

local function echo_of(message)
  return raw.encode({ raw.frame(message.opcode, message.payload) }, false)
end

local PAYLOAD = "efghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnop"

local function assert_server_fault(result, what)
  assert.same({ 1, "" }, { result.code, result.stdout })
  has(result.stderr, what)
  assert.equal("moonwire bench: ", result.stderr:sub(1, 16))
end

describe("a server that misbehaves is found out when it", function()
  it("is not there", function()
    assert_server_fault(run(("ws://127.0.0.1:%d/"):format(async.port())), "Connection refused")
  end)

  it("has no address", function()
    assert_server_fault(run "ws://nowhere.invalid/", "nowhere.invalid: ")
  end)

  it("refuses the upgrade", function()
    local result = run_against({}, nil, function()
      return "HTTP/1.1 403 Not Today\r\nContent-Length: 0\r\n\r\n"
    end)
    assert_server_fault(result, "connection 0 was not upgraded: HTTP/1.1 403 Not Today\n")
  end)

  it("answers another key", function()
    local result = run_against({}, nil, function()
      return raw.answer(raw.opening "/")
    end)
    assert_server_fault(result, "Sec-WebSocket-Accept does not answer our key")
  end)

  it("agrees on what was not offered", function()
    local result = run_against({}, nil, function(head)
      return raw.answer(head, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
    end)
    assert_server_fault(result, "an extension")
  end)

  it("does not speak HTTP", function()
    assert_server_fault(run_against({}, nil, function()
      return "220 smtp.example\r\n\r\n"
    end), "was not upgraded: ")
  end)

  it("hangs up during the opening handshake", function()
    assert_server_fault(run_against({}, raw.close_all, function()
      return "HTTP/1.1 101 Swi"
    end), "connection 0 was closed during the opening handshake")
  end)

  for _, case in ipairs {
    { "changes a byte", raw.binary(PAYLOAD:sub(1, 40) .. "!" .. PAYLOAD:sub(42)), {},
      "message 1: at byte 42 of its frame 73 74 75 76 77 78 79 7a was expected, and 21 74 75 76" },
    { "changes the kind", raw.text(PAYLOAD), {}, "at byte 0 of its frame 82 40 65 66 67 68 69 6a was expected, and 81 40" },
    { "changes the length, after warm-up as well", raw.binary(PAYLOAD:sub(2)), { "--warmup", "0" },
      "at byte 1 of its frame 40 was expected, and 3f came" },
    { "sends fragments", raw.binary(PAYLOAD, { fin = false }), { "--warmup", "0" }, "82 40 was expected, and 02 40 came" },
    { "masks", raw.binary(PAYLOAD, { masked = true }), { "--warmup", "0" }, "40 was expected, and c0 came" },
    { "sends nonsense", raw.frame(11, ""), { "--warmup", "0" }, "connection 0: a frame has a reserved opcode" },
    { "closes", raw.close(1011, "no more"), {}, "the server closed connection 0 with code 1011: no more\n" },
    { "closes without a word", raw.close(), {}, "the server closed connection 0\n" },
  } do
    local name, frame, options, expected = table.unpack(case)
    it(name, function()
      local result = run_against(options, function(visitor)
        take_message(visitor)
        visitor:write(raw.encode({ frame }, false))
      end)
      assert_server_fault(result, expected)
    end)
  end

  it("changes the length of longer messages", function()
    local result = run_against({ "--size", "200", "--warmup", "0", "--depth", "2" }, function(visitor)
      visitor:wait_for(2 * 208)
      visitor:write(raw.encode({ raw.binary(("e"):rep(199)), raw.binary(("e"):rep(199)) }, false))
    end)
    assert_server_fault(result, "at byte 3 of its frame c8 was expected, and c7 came")
  end)

  it("sends half a frame and hangs up", function()
    local result = run_against({}, function(visitor)
      visitor:write(echo_of(take_message(visitor)):sub(1, 30))
      visitor:shutdown()
    end)
    assert_server_fault(result, "closed connection 0 in the middle of a frame: 30 of 66 bytes had come")
  end)

  it("sends back more than it got", function()
    local result = run_against({}, function(visitor)
      local echo = echo_of(take_message(visitor))
      visitor:write(echo .. echo)
    end)
    assert_server_fault(result, "connection 0 got more messages than it had sent")
  end)

  it("sends back nothing", function()
    local result = run_against({ "--seconds", "0.05", "--warmup", "0" })
    assert_server_fault(result, "nothing came back from the server in ")
  end)

  it("speaks when nobody asked", function()
    local result = run_against({ "--mode", "idle", "--warmup", "5" }, function(visitor)
      visitor:write(raw.encode({ raw.text "hello" }, false))
    end)
    assert_server_fault(result, "connection 0 got a message, and none was asked for")
  end)
end)

describe("an unusual server", function()
  -- A piece has been read when what came together with it has been answered; so the next one comes alone.
  it("may cut its frames anywhere, and send Pings, which are answered", function()
    local ping = raw.encode({ raw.frame(10, "never mind"), raw.frame(9, "are you there?") }, false)
    local count = 0
    local result = run_against({ "--seconds", "2", "--warmup", "0", "--json" }, function(visitor)
      local message = take_message(visitor)
      local echo = echo_of(message)
      local function send_for_message(bytes)
        visitor:write(bytes)
        count, message = count + 1, take_message(visitor)
        assert.same({ 2, PAYLOAD, true }, { message.opcode, message.payload, message.masked })
      end
      local function send_for_pong(bytes)
        visitor:write(bytes)
        local pong = take_message(visitor)
        assert.same({ 10, "are you there?", true }, { pong.opcode, pong.payload, pong.masked })
      end
      send_for_pong(ping)
      for cut = 1, #ping - 1 do
        send_for_message(echo .. ping:sub(1, cut))
        send_for_pong(ping:sub(cut + 1))
      end
      for _, cut in ipairs { 1, 2, 3, 40, 65 } do
        send_for_pong(ping .. echo:sub(1, cut))
        send_for_message(echo:sub(cut + 1))
      end
    end)
    assert.same({ 0, "" }, { result.code, result.stderr })
    assert.equal(count, json.decode(result.stdout).messages)
  end)

  it("gets its Pong after the message that was on its way", function()
    local size = 8 << 20 -- more than the kernel keeps
    local result = run_against({ "--size", tostring(size) }, function(visitor)
      async.wait_until(function()
        return #visitor.received > 0
      end, "the message's begin")
      visitor.handle:read_stop()
      visitor:write(raw.encode({ raw.frame(9, "now?") }, false))
      async.quiet(0.05)
      visitor.handle:read_start(function(_, bytes)
        visitor.received, visitor.ended = visitor.received .. (bytes or ""), not bytes
        async.wake()
      end)
      local frame_len = 14 + size
      async.wait_until(function()
        return #visitor.received >= frame_len + 10 or visitor.ended
      end, "message and Pong")
      local pong = raw.decode(visitor.received:sub(frame_len + 1))[1]
      assert.same({ 10, "now?" }, { pong.opcode, pong.payload })
      visitor:close()
    end)
    assert_server_fault(result, "connection 0")
  end)

  it("may take its time with the answer to the opening handshake", function()
    local server = raw.listen(true)
    local child = program.spawn { "bench", ("ws://127.0.0.1:%d/"):format(server.address.port), "--mode", "idle",
      "--connections", "2", "--seconds", "0.05", "--warmup", "0" }
    local visitors = { server:accept(), server:accept() }
    local ways = {}
    for i, visitor in ipairs(visitors) do
      local answer = raw.answer(visitor:take_head(), ("X-Number: %d\r\n"):format(i))
      ways[i] = raw.ways(answer, 500)[#answer + 1]
    end
    raw.send_in_pieces(visitors, ways)
    local result = program.wait(child)
    assert.same({ 0, "" }, { result.code, result.stderr })
    has(result.stdout, "idle, 2 connections")
  end)
end)

-- ---- wrong use ----

describe("wrong options", function()
  local URL = "ws://127.0.0.1:1/"

  for options, expected in pairs {
    ["--mode loud"] = '--mode: must be echo, fanout, idle or connect, not "loud"',
    ["--connections 0"] = '--connections: must be an integer from 1 to 1000000, not "0"',
    ["--connections 1000001"] = '--connections: must be an integer from 1 to 1000000, not "1000001"',
    ["--connections 1e3"] = "--connections: must be an integer",
    ["--connections -1"] = "--connections: must be an integer",
    ["--connections="] = '--connections: must be an integer from 1 to 1000000, not ""',
    ["--connections"] = "--connections: must be an integer from 1 to 1000000, not missing",
    ["--depth 0"] = "--depth: must be an integer from 1 to 65536",
    ["--depth 65537"] = "--depth: must be an integer from 1 to 65536",
    ["--size -1"] = "--size: must be an integer from 0 to 67108864",
    ["--size 67108865"] = "--size: must be an integer from 0 to 67108864",
    ["--size 0 --mode fanout"] = "--size: must be at least 1 with --mode fanout, not 0",
    ["--seconds 0"] = '--seconds: must be seconds from 0.01 to 86400, not "0"',
    ["--seconds nan"] = "--seconds: must be seconds from 0.01 to 86400",
    ["--seconds 86401"] = "--seconds: must be seconds from 0.01 to 86400",
    ["--warmup -1"] = "--warmup: must be seconds from 0 to 86400",
    ["--warmup soon"] = "--warmup: must be seconds from 0 to 86400",
    ["--text=yes"] = '--text: takes no value, not "yes"',
    ["--json=1"] = '--json: takes no value, not "1"',
    ["--pid 0"] = '--pid: must be process numbers, at most 64, with commas between them, not "0"',
    ["--pid 1,"] = "--pid: must be process numbers",
    ["--pid 1,x"] = "--pid: must be process numbers",
    [("--pid 1" .. (",1"):rep(64))] = "--pid: must be process numbers",
    ["--addresses 0"] = "--addresses: must be an integer from 1 to 1000",
    ["--addresses 1001"] = "--addresses: must be an integer from 1 to 1000",
    ["--conections 5"] = "unknown option --conections",
    ["-c 5"] = "unknown option -c",
    ["ws://other/"] = "ws://other/: there is an address already, " .. URL,
  } do
    it(("are told: %.40s"):format(options), function()
      local arguments = { URL }
      for word in options:gmatch "%S+" do
        table.insert(arguments, word)
      end
      local parsed, message = bench.parse(arguments)
      assert.is_nil(parsed)
      assert.equal(expected, message:sub(1, #expected))
    end)
  end

  it("are told for a wrong address", function()
    for address, expected in pairs {
      ["wss://h/"] = "wss://h/: only ws:// is loaded, not wss://",
      ["http://h/"] = "http://h/: only ws:// is loaded, not http://",
      ["h:80"] = "h:80: the URL has no scheme; ws://HOST:PORT/PATH is right",
      ["ws://h:0/"] = "ws://h:0/: the port of the URL is malformed; ws://HOST:PORT/PATH is right",
    } do
      assert.same({ nil, expected }, { bench.parse { address } })
    end
    assert.same({ nil, "the address is missing: moonwire bench ws://HOST:PORT/PATH" }, { bench.parse {} })
  end)

  local function assert_wrong_use(result, expected)
    assert.same({ 2, "" }, { result.code, result.stdout })
    assert.equal("moonwire bench: " .. expected, result.stderr:sub(1, 16 + #expected))
  end

  it("end the command with 2", function()
    assert_wrong_use(run(URL, "--depth none"), '--depth: must be an integer from 1 to 65536, not "none"\n')
    assert_wrong_use(program.run { "bench" }, "the address is missing")
  end)

  it("are told when the machine does not allow them", function()
    assert_wrong_use(run("ws://[::1]:1/", "--addresses 2"), "--addresses: only connections to 127.0.0.0/8 can come from")
    local child = program.spawn { "--version" }
    program.wait(child)
    assert_wrong_use(run(URL, "--pid " .. child.pid), ("--pid: there is no process %d\n"):format(child.pid))
    local result = program.run({ "-c", 'ulimit -n 200; exec "$0" bench "$1" --connections 150', program.binary, URL },
      { command = "sh" })
    assert_wrong_use(result, "--connections: 150 connections need 214 descriptors, and the limit is 200 (ulimit -Hn)\n")
  end)
end)

describe("the command", function()
  it("shows its usage", function()
    for _, arguments in ipairs { { "bench", "--help" }, { "bench", "ws://h/", "-h" } } do
      local result = program.run(arguments)
      assert.same({ 0, "" }, { result.code, result.stderr })
      has(result.stdout, "usage: moonwire bench ws://")
    end
    has(program.run({ "--help" }).stdout, "moonwire bench")
  end)

  it("ends with a signal, as others do", function()
    local server = raw.listen(true)
    local child = program.spawn { "bench", ("ws://127.0.0.1:%d/"):format(server.address.port) }
    server:accept():take_head()
    require("luv").kill(child.pid, "sigint")
    assert.equal(2, program.wait(child).signal)
  end)

  it("leaves scripts of its name alone", function()
    local path = program.write("print 'a script'", "bench")
    local directory = path:match "^(.*)/"
    for _, arguments in ipairs { { "--", "bench" }, { "./bench" } } do
      assert.equal("a script", program.run(arguments, { cwd = directory }).stdout)
    end
  end)
end)
