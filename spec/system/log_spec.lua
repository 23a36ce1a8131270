-- log_spec.lua - what the program writes on standard error: for people and for programs, what is held back, and that nobody who
-- reads it, or doesn't, can stop the service. What records look like in detail is in spec/native/log_test.c.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local uv = require "luv"
local visitor = require "spec.support.visitor"

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line
  end
  return lines
end

-- Runs a script with options of the log's; its whole standard error, which may be long.
local function log_of(script, ...)
  local file = async.directory() .. "/log"
  local path = program.write('local moonwire = require "moonwire" ' .. script)
  local arguments = { "-c", 'log=$1; shift; exec "$@" 2>"$log"', "sh", file, program.binary, ... }
  table.insert(arguments, path)
  local result = program.run(arguments, { command = "/bin/sh" })
  local handle = assert(io.open(file))
  local text = handle:read "a"
  handle:close()
  return text, result
end

local function records_of(text)
  local records = {}
  for i, line in ipairs(lines_of(text)) do
    records[i] = assert(json.decode(line), line)
  end
  return records
end

local HOSTILE = [["\27[2J\nmoonwire: error: forged \u{202e}\u{2028}\xff\0\u{9b}"]]

describe("a line of the log", function()
  it("can't be forged, and moves no cursor", function()
    assert.equal("moonwire: info: \\x1b[2J\\nmoonwire: error: forged \\u202e\\u2028\\xff\\x00\\u009b\n",
      (log_of('moonwire.log("info", ' .. HOSTILE .. ")")))
  end)

  it("in JSON is read by others as it was meant", function()
    local text = log_of('moonwire.log("warning", ' .. HOSTILE .. [[
        , { user = "\27\n\"\\", n = 3, half = 0.5, yes = true, inf = 1/0 })
      moonwire.log("error", debug.traceback("x\ny"))
      moonwire.log("info", ("é"):rep(5000), { long = ("z"):rep(5000) })
    ]], "--log-format", "json")
    local result = program.run({ "-B", "-c", [[
import sys, json, datetime
lines = sys.stdin.buffer.read().split(b"\n")
assert lines.pop() == b"" and max(map(len, lines)) < 2048
a, b, c = (json.loads(line.decode("utf-8"), object_pairs_hook=list) for line in lines)
assert [name for name, _ in a] == ["time", "level", "message", "half", "inf", "n", "user", "yes"], a
a, b, c = dict(a), dict(b), dict(c)
moment = datetime.datetime.strptime(a["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
assert abs(moment.timestamp() - datetime.datetime.now().timestamp()) < 60
assert a["message"] == "\x1b[2J\nmoonwire: error: forged \u202e\u2028\\xff\0\u009b", a
assert (a["level"], a["half"], a["inf"], a["n"], a["user"], a["yes"]) == ("warning", 0.5, "inf", 3, "\x1b\n\"\\", True)
assert b["message"] == "x\ny" and b["traceback"].startswith("\t") and b["level"] == "error"
assert c["message"].endswith("é…") and len(c["message"]) > 700 and c["long"].endswith("z…")
print("fine")
]] }, { command = "/usr/bin/python3", stdin = text })
    assert.equal("fine", result.stdout, result.stderr)
  end)

  for threshold, expected in pairs { error = "error", warning = "error warning", info = "error warning info" } do
    it("is written from level " .. threshold .. " on", function()
      local text = log_of('for _, level in ipairs { "error", "warning", "info" } do moonwire.log(level, "x") end',
        "--log-level", threshold)
      assert.equal(expected, (text:gsub("moonwire: (%l+): x\n", "%1 "):gsub(" $", "")))
    end)
  end

  for call, complaint in pairs {
    ['log("debug", "x")'] = "bad argument #1 to 'log'",
    ['log("info", "x", 1)'] = "bad argument #3 to 'log' %(table expected, got number%)",
    ['log("info", "x", { 1 })'] = ":1: log: the names of fields must be strings, not a number",
    ['log("info", "x", { level = 1 })'] = ":1: log: field 'level': this name is the log's own",
    ['log("info", "x", { ["a b"] = 1 })'] = ":1: log: field 'a b': a name consists of",
    ['log("info", "x", { a = {} })'] = ":1: log: field 'a' must be a string, a number or a boolean, not a table",
    ['log("info", "x", (function() local t = {} for i = 1, 33 do t["n" .. i] = i end return t end)())'] =
      ":1: log: there are more than 32 fields",
  } do
    it("is refused: " .. call, function()
      local text = log_of("local ok, message = pcall(function() moonwire." .. call .. " end) io.stderr:write(message)")
      assert.truthy(text:find(complaint), text)
    end)
  end
end)

describe("what comes too often", function()
  it("is held back, and told with the right number at the end", function()
    local lines = lines_of((log_of 'for i = 1, 1000 do moonwire.spawn(function() error("number " .. i, 0) end) end'))
    local written, last = 0, nil
    for _, line in ipairs(lines) do
      if line:find "^moonwire" then
        last, written = line, written + 1
      end
    end
    written = written - 1
    assert.is_true(written >= 10 and written < 100, #lines)
    local held = last:match "^moonwire: error: … and (%d+) more like this in the last %d+ s: task: number %d+$"
    assert.equal(1000 - written, tonumber(held), last)
  end)

  it("is told in JSON as a number, with thousands in the text", function()
    local records = records_of((log_of('for i = 1, 9000 do moonwire.log("info", "x") end', "--log-format", "json")))
    local last = records[#records]
    assert.equal(9000, #records - 1 + last.held_back)
    assert.matches("^… and %d,%d%d%d more like this in the last %d+ s: x$", last.message)
  end)

  it("does not hold back another place of the script", function()
    local text = log_of 'for i = 1, 1500 do moonwire.log("info", "often") end\nmoonwire.log("info", "seldom")'
    assert.truthy(text:find("info: seldom\n", 1, true))
  end)

  it("is told while the program goes on, although nothing else happens", function()
    -- The turn of the loop began long before, which must not be taken for the moment of the first line.
    local child = program.start [[
      local began = os.clock()
      repeat until os.clock() > began + 0.3
      for i = 1, 30 do moonwire.spawn(function() error "again" end) end
      next_order()
    ]]
    async.wait_until(function()
      return child.stderr:find "… and [12]%d more like this in the last [56] s: task: [^\n]*again\n"
    end, "what was held back to be told")
    child.stdin:shutdown()
    program.expect_clean_end(child, 1)
  end)
end)

-- A server that logs as much as it is told to, and ends when it is told to.
local SERVER = [[
  local moonwire = require "moonwire"
  local app = moonwire.app()
  app:get("/log/:count", function(req, res)
    for i = 1, req.params.count do moonwire.log("info", ("x"):rep(1000)) end
    res:send "logged"
  end)
  app:get("/error", function() error "as planned" end)
  app:get("/end", function(_, res) res:send "" moonwire.after(0, function() os.exit(0) end) end)
  print(('{"event":"listening","port":%d}'):format(assert(app:listen { host = "127.0.0.1", port = 0 }):address().port))
  io.stdout:flush()
]]

local function get(port, target)
  local client = visitor.connect(port)
  client:request(target)
  local status, body = client:response()
  client:close()
  return status, body
end

describe("the service goes on when standard error", function()
  for what, redirection in pairs { ["is a full disk"] = ">/dev/full", ["is closed"] = ">&-" } do
    it(what, function()
      local path = program.write(SERVER)
      local child = program.spawn({ "-c", 'exec "$@" 2' .. redirection, "sh", program.binary, path },
        { command = "/bin/sh" })
      local port = child:expect("listening").port
      -- A descriptor that is free would be given to a connection, or to the loop, and the log would go there.
      assert.equal(what == "is closed" and "/dev/null" or "/dev/full", uv.fs_readlink(("/proc/%d/fd/2"):format(child.pid)))
      for _ = 1, 5 do
        local client = visitor.connect(port)
        client:request "/log/3"
        local status, body = client:response()
        assert.same({ 200, "logged", "" }, { status, body, client.received })
        client:request "/error"
        assert.equal(500, (client:response()))
        assert.equal("", client.received)
      end
      assert.equal(200, (get(port, "/end")))
      program.expect_clean_end(child)
    end)
  end

  -- What a process writes to and nobody reads yet: the end for it, and a function that makes the other end a stream.
  local function socket_end()
    local stream = uv.new_pipe(false)
    return stream, function()
      return stream
    end
  end

  local function pipe_end()
    local ends = assert(uv.pipe({}, {}))
    return ends.write, function()
      uv.fs_close(ends.write)
      local stream = uv.new_pipe(false)
      stream:open(ends.read)
      return stream
    end
  end

  for what, make_end in pairs { pipe = pipe_end, socket = socket_end } do
    it("is a " .. what .. " whose reader stalls, and what was lost is told when it reads on", function()
      local path = program.write(SERVER)
      local stdout, stderr_end, to_stream = uv.new_pipe(false), make_end()
      local port, text, exit_code, is_over
      local handle
      handle = uv.spawn(program.binary, { args = { path }, stdio = { nil, stdout, stderr_end } }, function(code)
        exit_code = code
        handle:close()
        async.wake()
      end)
      local stderr = to_stream()
      stdout:read_start(function(_, bytes)
        port = port or tonumber(bytes and bytes:match "%d+")
        async.wake()
      end)
      async.wait_until(function()
        return port
      end, "the port")
      assert.same({ 200, "logged" }, { get(port, "/log/500") }) -- more than any pipe holds
      assert.same({ 200, "logged" }, { get(port, "/log/20") })
      text = ""
      stderr:read_start(function(_, bytes)
        text, is_over = text .. (bytes or ""), bytes == nil
        async.wake()
      end)
      async.wait_until(function()
        return #text > 10000
      end, "the first lines")
      assert.same({ 200, "logged" }, { get(port, "/log/1") })
      assert.equal(200, (get(port, "/end")))
      async.wait_until(function()
        return exit_code and is_over
      end, "the end")
      stdout:close()
      stderr:close()
      assert.equal(0, exit_code)
      local whole = select(2, text:gsub("moonwire: info: x+\n", ""))
      local lost = 0
      for count in text:gmatch "moonwire: warning: (%d+) records before this one could not be written\n" do
        lost = lost + tonumber(count)
      end
      assert.is_true(lost > 0)
      assert.equal(521, whole + lost)
      -- What is there are whole lines.
      assert.equal("", (text:gsub("moonwire: info: x+\n", ""):gsub("moonwire: warning: [^\n]*\n", "")))
    end)
  end
end)
