-- bench_table_spec.lua - make bench: whose turn it is when, what the table and the file of figures say, who stays out.
-- The generator is a script here that answers with figures from a list and writes down what it was asked.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local json = require "moonwire.json"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local program = require "spec.support.program"

after_each(peer.stop_all)

local RUN = assert(program.root, "the program does not lie in build/<mode>/") .. "/spec/bench/run.lua"

-- Listens on a port and has a name in its command line.
local SERVER = [[
local app = require("moonwire").app()
assert(app:listen { host = "127.0.0.1", port = tonumber(arg[2]) })
]]

-- Knows whom it measures by the command line of the process it is told to watch. Its figures per server CPU second are
-- 100, 300, 200 and again for "moonwire", a tenth of it for others; in idle mode bytes, the other way round.
local GENERATOR = [[
local json = require("moonwire").json
local LOG, BEHAVIOUR = %q, %q
local function read(path)
  local file <close> = io.open(path)
  return file and file:read "a"
end
local asked = { url = arg[1] }
for i = 2, #arg - 1, 2 do
  asked[arg[i]:match "^%%-%%-(.*)"] = arg[i + 1]
end
asked.last = arg[#arg]
asked.name = read("/proc/" .. asked.pid:match "%%d+" .. "/cmdline"):match "%%z([%%w-]+)%%z%%d+%%z$" or "moonwire"
asked.own_cores = read("/proc/self/status"):match "Cpus_allowed_list:%%s*(%%S+)"
asked.server_cores = read("/proc/" .. asked.pid:match "%%d+" .. "/status"):match "Cpus_allowed_list:%%s*(%%S+)"
local turn = 1
for line in (read(LOG) or ""):gmatch "[^\n]+" do
  local before = json.decode(line)
  turn = turn + (before.name == asked.name and before.mode == asked.mode and 1 or 0)
end
local log = assert(io.open(LOG, "a"))
log:write(json.encode(asked), "\n")
log:close()
if BEHAVIOUR == "hangs" then
  return require("moonwire").sleep(1000)
elseif BEHAVIOUR == asked.name then
  io.stderr:write "moonwire bench: expected 64 bytes that begin with e\n"
  os.exit(1)
end
local share = asked.name == "moonwire" and 1 or 0.1
local figure = ({ 300, 100, 200 })[turn %% 3 + 1]
print(json.encode {
  mode = asked.mode,
  messages_per_second = 50 * share * figure,
  latency_us = { p50 = 1, p99 = 20, p999 = 300, max = 4000 },
  server = {
    messages_per_cpu_second = 100 * share * figure,
    memory_kib = 2048,
    bytes_per_connection = asked.mode == "idle" and figure / share or nil,
  },
})
]]

-- Starts the table; returns the process, and where the generator writes what it was asked.
local function begin(behaviour, arguments, options)
  local log = ("%s/asked-%d"):format(async.directory(), math.random(1 << 40))
  local generator = program.write(GENERATOR:format(log, behaviour))
  local all = { RUN, "--generator", program.binary .. " " .. generator, "--seconds", "0.2", table.unpack(arguments) }
  return program.spawn(all, options), log
end

local function read_log(log)
  local asked = {}
  for line in io.lines(log) do
    table.insert(asked, json.decode(line))
  end
  return asked
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    table.insert(lines, line)
  end
  return lines
end

-- Runs the table; returns how it ended, its lines, and what the generator was asked.
local function run(arguments, behaviour, options)
  local child, log = begin(behaviour or "", arguments, options)
  local result = program.wait(child)
  return result, lines_of(result.stdout), io.open(log) and read_log(log) or {}
end

local server
setup(function()
  server = program.write(SERVER)
end)

local function fake(name)
  return "--peer", ("%s=%s %s %s %%d"):format(name, program.binary, server, name)
end

-- The words of the line that has a server's row of a scenario.
local function row(lines, scenario, name)
  local current
  name = name:gsub("%-", "%%-")
  for _, line in ipairs(lines) do
    current = line:match "^(%S+)" or current
    if current == scenario and line:match("%s" .. name .. "%s") then
      local words = {}
      for word in line:match(name .. "%s+(.*)"):gmatch "%S+" do
        table.insert(words, word)
      end
      return words
    end
  end
  return nil
end

local function named(asked, field)
  local values = {}
  for i, one in ipairs(asked) do
    values[i] = one[field]
  end
  return values
end

-- One whose parent has ended may wait for somebody to ask how it went.
local function is_gone(pid)
  local file <close> = io.open(("/proc/%s/stat"):format(pid))
  return not file or file:read("a"):find "%) Z" ~= nil
end

describe("the table", function()
  local result, lines, asked, figures
  setup(function()
    local file = async.directory() .. "/figures.json"
    local arguments = { "--peers", "none", "--rounds", "3", "--scenario", "echo-64-deep,idle-10000", "--json", file }
    table.move({ fake "one" }, 1, 2, #arguments + 1, arguments)
    table.move({ fake "two" }, 1, 2, #arguments + 1, arguments)
    result, lines, asked = run(arguments)
    figures = json.decode(assert(io.open(file)):read "a")
  end)

  it("ends well", function()
    assert.same({ 0, "" }, { result.code, result.stderr })
  end)

  it("lets the servers take turns, and turns the order round in every other round", function()
    local turns = { "moonwire", "one", "two", "two", "one", "moonwire", "moonwire", "one", "two" }
    table.move(turns, 1, 9, 10)
    assert.same(turns, named(asked, "name"))
    for i, one in ipairs(asked) do
      assert.equal(i <= 9 and "echo" or "idle", one.mode)
    end
  end)

  it("asks the generator for what the scenario says", function()
    local first = asked[1]
    assert.truthy(first.url:find "^ws://127%.0%.0%.1:%d+/$")
    assert.same({ "64", "16", "64", "0.2", "0.1", "--json" },
      { first.connections, first.depth, first.size, first.seconds, first.warmup, first.last })
    assert.same({ "idle", "10000" }, { asked[10].mode, asked[10].connections })
  end)

  it("starts each server once in a scenario, and for each turn where memory is compared", function()
    local seen, count = {}, {}
    for _, one in ipairs(asked) do
      if not seen[one.pid] then
        seen[one.pid] = true
        count[one.mode .. one.name] = (count[one.mode .. one.name] or 0) + 1
      end
    end
    assert.same({ echomoonwire = 1, echoone = 1, echotwo = 1, idlemoonwire = 3, idleone = 3, idletwo = 3 }, count)
  end)

  it("leaves no server behind", function()
    for _, one in ipairs(asked) do
      assert.is_true(is_gone(one.pid))
    end
  end)

  it("pins servers to one core and the generator to another, where there are two", function()
    local cores = asked[1].server_cores .. " " .. asked[1].own_cores
    for _, one in ipairs(asked) do
      assert.equal(cores, one.server_cores .. " " .. one.own_cores)
    end
    if result.stdout:find "servers on core" then
      local servers, load = cores:match "^(%d+) (%d+)$"
      assert.truthy(servers)
      assert.not_equal(servers, load)
      assert.truthy(result.stdout:find(("servers on core %s, load on core %s"):format(servers, load), 1, true))
    end
  end)

  it("shows medians, how far the runs are from them, and ratios to the first peer", function()
    assert.same({ "20,000", "-50..+50", "10,000", "10.00", "2.0" }, row(lines, "echo-64-deep", "moonwire"))
    assert.same({ "2,000", "-50..+50", "1,000", "1.00", "2.0" }, row(lines, "echo-64-deep", "one"))
    assert.same({ "2,000", "-50..+50", "1,000", "1.00", "2.0" }, row(lines, "echo-64-deep", "two"))
  end)

  it("shows what a connection takes, for which a ratio above 1 is less memory", function()
    assert.same({ "-", "-50..+50", "-", "10.00", "2.0", "200" }, row(lines, "idle-10000", "moonwire"))
    assert.same({ "-", "-50..+50", "-", "1.00", "2.0", "2,000" }, row(lines, "idle-10000", "one"))
  end)

  it("keeps the figures of every run", function()
    assert.same({ 3, 0.2, "one" }, { figures.rounds, figures.seconds, figures.reference })
    assert.same({ "moonwire", "one", "two" }, named(figures.servers, "name"))
    assert.equal(moonwire.version, figures.servers[1].version)
    assert.equal(#require("luv").cpu_info(), figures.machine.cores)
    assert.equal(18, #figures.runs)
    local first, last = figures.runs[1], figures.runs[18]
    assert.same({ "echo-64-deep", "moonwire", 1 }, { first.scenario, first.server, first.round })
    assert.same({ "idle-10000", "two", 3 }, { last.scenario, last.server, last.round })
    assert.equal(10000, first.result.server.messages_per_cpu_second)
    assert.equal(6, #figures.rows)
    assert.same({ median = 20000, min = 10000, max = 30000 }, figures.rows[1].per_cpu_second)
    assert.same({ 10, 2048 }, { figures.rows[1].ratio, figures.rows[1].memory_kib })
    assert.same({ {}, {} }, { figures.absent, figures.failures })
  end)
end)

describe("make bench", function()
  it("names a peer that is missing, says where it comes from, and goes on without it", function()
    local result, lines = run({ "--peers", "node-ws", "--rounds", "1", "--scenario", "echo-1" }, "",
      { env = { "PATH=/nonexistent" } })
    assert.equal(0, result.code)
    assert.truthy(result.stdout:find("node-ws is not here and stays out (Debian package nodejs", 1, true))
    assert.is_nil(row(lines, "echo-1", "node-ws"))
    assert.equal("1.00", row(lines, "echo-1", "moonwire")[4])
  end)

  it("takes its options from the environment too, where make puts its variables", function()
    local peers = select(2, fake "one")
    local environment = {
      "PATH=" .. os.getenv "PATH", "SCENARIO=connect", "ROUNDS=2", "PEERS=none", "PEER=" .. peers, "REFERENCE=moonwire",
    }
    local result, lines, asked = run({}, "", { env = environment })
    assert.equal(0, result.code)
    assert.same({ "moonwire", "one", "one", "moonwire" }, named(asked, "name"))
    assert.same({ "1.00", "0.10" }, { row(lines, "connect", "moonwire")[4], row(lines, "connect", "one")[4] })
  end)

  it("tells which server failed and why, measures the others, and ends with 1", function()
    local result, lines, asked = run({ "--peers", "none", "--rounds", "2", "--scenario", "echo-1", fake "one" }, "one")
    assert.equal(1, result.code)
    assert.same({ "moonwire", "one", "moonwire" }, named(asked, "name"))
    assert.same({ "failed" }, row(lines, "echo-1", "one"))
    assert.equal("15,000", row(lines, "echo-1", "moonwire")[1]) -- of two: the middle
    assert.equal("echo-1, one: moonwire bench: expected 64 bytes that begin with e", lines[#lines])
  end)

  it("counts what a server started, and ends that too", function()
    local command = ("one=sh -c '%s %s one %%d; exit'"):format(program.binary, server)
    local result, _, asked = run { "--peers", "none", "--rounds", "1", "--scenario", "echo-1", "--peer", command }
    assert.equal(0, result.code)
    local started = asked[2].pid:match "^%d+,(%d+)$"
    assert.truthy(started)
    async.wait_until(function()
      return is_gone(started)
    end, "the server to be gone")
  end)

  it("tells of a server that does not start", function()
    local result, lines = run { "--peers", "none", "--rounds", "1", "--scenario", "echo-1", "--peer", "gone=/nonexistent %d" }
    assert.equal(1, result.code)
    assert.same({ "failed" }, row(lines, "echo-1", "gone"))
    assert.truthy(lines[#lines]:find "^echo%-1, gone: nobody listens on port %d+$")
  end)

  it("leaves out what the limit of descriptors does not allow", function()
    local child = program.spawn({ "-c", 'ulimit -n 1024; exec "$@"', "sh", program.binary, RUN, "--generator", "false",
      "--peers", "none", "--scenario", "idle-10000" }, { command = "/bin/sh" })
    local result = program.wait(child)
    assert.equal(0, result.code)
    assert.truthy(result.stdout:find "idle%-10000%s+left out: `ulimit %-n` allows 924 connections")
  end)

  it("measures with `moonwire bench` all servers that are there", function()
    local result = program.run { RUN, "--rounds", "1", "--seconds", "0.1", "--scenario", "echo-1,connect" }
    assert.equal(0, result.code, result.stdout .. result.stderr)
    local lines = lines_of(result.stdout)
    for name in lines[1]:gmatch "([%w-]+) %d[^,]*" do
      for _, scenario in ipairs { "echo-1", "connect" } do
        local figures = assert(row(lines, scenario, name), name)
        assert.truthy(figures[1]:find "^[1-9]", name)
        assert.truthy(figures[3]:find "^[1-9]", name)
        assert.truthy(tonumber(figures[5]) > 0, name)
      end
    end
  end)

  for name, case in pairs {
    ["an unknown option"] = { { "--speed", "9" }, "unknown option --speed; --help lists them" },
    ["an unknown scenario"] = { { "--scenario", "echo-1,echo" }, "--scenario: there is no echo; there are echo-1, echo-64," },
    ["a directory that is not there"] = {
      { "--out", "/nonexistent" }, "--out: /nonexistent is not a directory that is there",
    },
    ["an unknown peer"] = { { "--peers", "nonsuch" }, "--peers: there is no nonsuch; there are bun, node-ws," },
    ["a command without a port"] = { { "--peers", "none", "--peer", "a=b" }, "--peer: \"a=b\" is not of the form name=command" },
    ["half a round"] = { { "--rounds", "1.5" }, "--rounds: 1.5 is no positive integer" },
    ["an option without its value"] = { { "--rounds" }, "--rounds: a value is missing" },
  } do
    it("refuses " .. name, function()
      local result = run(case[1])
      assert.same({ 2, "" }, { result.code, result.stdout })
      assert.truthy(result.stderr:find("bench: " .. case[2], 1, true))
    end)
  end

  it("ends its servers when it is interrupted", function()
    local child, log = begin("hangs", { "--peers", "none", "--scenario", "echo-1", fake "one" })
    async.wait_until(function()
      return io.open(log) and read_log(log)[1]
    end, "the generator to be asked")
    local pid = read_log(log)[1].pid
    assert.is_false(is_gone(pid))
    child:kill "sigterm"
    assert.same({ 130, 0 }, { program.wait(child).code, child.exit.signal })
    async.wait_until(function()
      return is_gone(pid)
    end, "the server to be gone")
  end)
end)

describe("curves", function()
  it("are tables, files of figures, and pictures", function()
    local directory = async.directory()
    local file = directory .. "/curves.json"
    local result, lines = run { "growth", "--rounds", "1", "--largest", "30", "--out", directory, "--json", file }
    assert.same({ 0, "" }, { result.code, result.stderr })
    local figures = json.decode(assert(io.open(file)):read "a")
    assert.same({ 10, 30 }, named(figures.latency, "size"))
    assert.same({ "moonwire", 1, 20, 300 },
      { figures.latency[1].server, figures.latency[1].p50, figures.latency[1].p99, figures.latency[1].p999 })
    assert.same({ 1, 3, 10, 30 }, named(figures.publish, "size"))
    assert.same({ 1, 3, 10, 30 }, named(figures.topics, "size"))
    for _, point in ipairs(figures.publish) do
      assert.is_near(point.delivery * point.size, point.publication, 1e-6)
    end
    for _, point in ipairs(figures.topics) do
      assert.is_true(point.publication > 0)
    end
    for _, name in ipairs { "latency", "publish", "topics" } do
      local path = ("%s/growth-%s.svg"):format(directory, name)
      local picture = assert(io.open(path)):read "a"
      assert.truthy(picture:find "^<svg " and picture:find "</svg>\n$")
      assert.truthy(picture:find("prefers-color-scheme: dark", 1, true))
      local curves = select(2, picture:gsub("<polyline", ""))
      assert.equal(({ latency = 3, publish = 2, topics = 1 })[name], curves)
      assert.equal(#figures[name] * curves, select(2, picture:gsub("<circle", "")))
      assert.truthy(result.stdout:find(path, 1, true))
    end
    assert.truthy(#lines > 10)
  end)
end)

describe("the servers", function()
  local peers = require "spec.bench.peers"
  local sockets = {}

  after_each(function()
    for _, ws in ipairs(sockets) do
      ws:terminate()
    end
    require("spec.bench.process").kill_all()
  end)

  -- Two connections to a path of this server, and an inbox for what each of them gets.
  local function connect(one, path)
    local inbox = async.mailbox()
    for i = 1, 2 do
      sockets[i] = assert(moonwire.connect(("ws://127.0.0.1:%d%s"):format(one.port, path), {
        max_payload = 2 << 20,
        message = function(_, data, kind)
          inbox:put(i, data, kind)
        end,
      }))
    end
    return inbox
  end

  local function disconnect()
    for i = 1, 2 do
      sockets[i]:terminate()
    end
  end

  local function check_echo(one)
    local inbox = connect(one, "/")
    for i = 1, 2 do
      for _, message in ipairs { { "P text", "text" }, { "e\0\255", "binary" }, { ("e"):rep(2 << 20), "binary" } } do
        sockets[i]:send(table.unpack(message))
        local data, kind = inbox:take(i)
        assert.same({ true, message[2] }, { data == message[1], kind }, one.name)
      end
    end
    assert.equal(0, inbox:count(), one.name)
    disconnect()
  end

  local function check_fanout(one)
    local inbox = connect(one, "/fanout")
    -- Who gets its own publication belongs to it; the second may have come in time for the first one's, or not.
    for i = 1, 2 do
      sockets[i]:send("P" .. i)
      repeat until inbox:take(i) == "P" .. i
    end
    repeat until inbox:take(1) == "P2"
    for kind, data in pairs { text = "P text", binary = "P\0\255" } do
      sockets[1]:send(data, kind)
      for i = 1, 2 do
        assert.same({ data, kind }, { inbox:take(i) }, one.name)
      end
    end
    assert.equal(0, inbox:count(), one.name)
    disconnect()
  end

  it("all echo on one path, and send to everybody on the other", function()
    local wanted = {}
    for _, name in ipairs(peers.names()) do
      wanted[name] = true
    end
    local servers = peers.look(wanted)
    table.insert(servers, peers.moonwire())
    for _, one in ipairs(servers) do
      assert(peers.start(one))
      check_echo(one)
      check_fanout(one)
      peers.stop(one)
    end
  end)
end)
