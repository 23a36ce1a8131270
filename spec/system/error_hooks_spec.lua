-- error_hooks_spec.lua - what the log says of a handler that failed, as programs read it, and who hears of it: the hook of a
-- route, of the app, of the whole program.
-- SPDX-License-Identifier: MIT

local json = require "moonwire.json"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local visitor = require "spec.support.visitor"

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

-- Runs a script with a log in JSON that takes orders from standard input.
local function start(script)
  return program.spawn { "--log-format", "json", "--log-level", "error", program.script(script) }
end

-- The records of its log, when it has ended by itself.
local function records_of(child, code)
  local records = {}
  for line in program.expect_clean_end(child, code):gmatch "[^\n]+" do
    records[#records + 1] = assert(json.decode(line), line)
  end
  return records
end

-- Ends it; the records of its log.
local function finish(child, code)
  child:kill "sigterm"
  return records_of(child, code)
end

-- The record without what is different each time, and the rest of it.
local function pick(record)
  local rest = { message = record.message, traceback = record.traceback, port = record.remote_port, time = record.time }
  record.message, record.traceback, record.remote_port, record.time = nil, nil, nil, nil
  return record, rest
end

local function open(port, target, headers)
  local ws = visitor.connect(port)
  ws:upgrade(target, headers)
  return ws
end

describe("the log tells of an error", function()
  for event, provoke in pairs {
    open = function() end,
    message = function(ws)
      ws:send(visitor.TEXT, "x")
    end,
    pong = function(ws)
      ws:send(visitor.PONG, "")
    end,
    close = function(ws)
      ws:send_close(1000)
    end,
  } do
    it("in a WebSocket's " .. event .. ", whose it was", function()
      local child = start(([[serve(moonwire.app():ws("/chat/:room", { %s = function()
        error "as planned"
      end }))]]):format(event))
      local port = child:expect("listening").port
      local ws = open(port, "/chat/lobby?token=secret", "X-Request-ID:  abc 1\r\n")
      provoke(ws)
      ws:expect_close()
      local own_port = ws.socket:getsockname().port
      ws:close()
      local records = finish(child)
      assert.equal(1, #records)
      local record, rest = pick(records[1])
      assert.same({
        level = "error", kind = "websocket", route = "/chat/:room", event = event, id = 1, remote_address = "127.0.0.1",
        request_id = "abc 1",
      }, record)
      assert.equal(own_port, rest.port)
      assert.matches("^[^\n]+%.lua:2: as planned$", rest.message)
      assert.matches("^\t%[C%]: in function 'error'\n\t[^\n]+%.lua:2: in ", rest.traceback)
    end)
  end

  for what, case in pairs {
    ["in an HTTP handler"] = { "GET", "/api/moon?token=secret", { route = "/api/:name", event = "GET", path = "/api/moon" } },
    ["of a handler without a response"] = { "PUT", "/quiet", { route = "/quiet", event = "PUT", path = "/quiet" }, true },
    ["in middleware before no route"] =
      { "POST", "/gate/%1b%0amoonwire:%20error?token=secret", { event = "POST", path = "/gate/\27\nmoonwire: error" } },
    ["in an upgrade"] = { "upgrade", "/live?token=secret", { kind = "upgrade", route = "/live", path = "/live" } },
  } do
    it(what .. ", which request it was", function()
      local child = start [[
        local app = moonwire.app()
        app:use("/gate", function() error "as planned" end)
        app:get("/api/:name", function() moonwire.sleep(0.001) error "as planned" end)
        app:put("/quiet", function() end)
        app:ws("/live", { upgrade = function() error "as planned" end })
        serve(app)
      ]]
      local method, target, expected, is_quiet = table.unpack(case)
      local client = visitor.connect(child:expect("listening").port)
      if method == "upgrade" then
        client:write(visitor.opening(target, "X-Request-Id: abc-1\r\n"))
      else
        client:request(target, "X-Request-Id: abc-1\r\n", method)
      end
      assert.equal(500, (client:response()))
      local own_port = client.socket:getsockname().port
      client:close()
      local records = finish(child)
      assert.equal(1, #records)
      local record, rest = pick(records[1])
      expected.level, expected.kind = "error", expected.kind or "http"
      expected.request_id, expected.remote_address = "abc-1", "127.0.0.1"
      assert.same(expected, record)
      assert.equal(own_port, rest.port)
      assert.matches(is_quiet and "^the handler returned without a response" or "^[^\n]+%.lua:%d: as planned$", rest.message)
      assert.equal(is_quiet, rest.traceback == nil or nil)
    end)
  end

  for what, case in pairs {
    task = { "task", [[moonwire.spawn(function() error "as planned" end)]] },
    ["task that waited"] = { "task", [[moonwire.spawn(function() moonwire.sleep(0) error "as planned" end)]] },
    timer = { "timer", [[moonwire.after(0, function() error "as planned" end)]] },
    ["luv callback"] = { "luv callback", [[uv.fs_stat("/", function() error "as planned" end)]] },
    ["coroutine of the script's own, which had waited"] =
      { "coroutine", [[coroutine.wrap(function() moonwire.sleep(0) error "as planned" end)()]] },
  } do
    it("in a " .. what, function()
      local child = start(case[2])
      local records = records_of(child, 1)
      assert.equal(1, #records)
      local record, rest = pick(records[1])
      assert.same({ level = "error", kind = case[1] }, record)
      assert.matches("%.lua:1: as planned$", rest.message)
      assert.matches("%.lua:1: in function <", rest.traceback)
    end)
  end

  it("that leaves coroutines, with the frames of all of them", function()
    local child = start [[
      local function inner() error "as planned" end
      local function middle() coroutine.wrap(inner)() return 1 end
      local function outer() coroutine.wrap(middle)() return 1 end
      moonwire.spawn(outer)
      serve(moonwire.app():get("/", outer))
    ]]
    local client = visitor.connect(child:expect("listening").port)
    client:request "/"
    client:response()
    client:close()
    local records = finish(child, 1)
    assert.equal(2, #records)
    for _, record in ipairs(records) do
      assert.matches("%.lua:1: as planned$", record.message)
      assert.matches("%.lua:1: in function .*resumed by:.*%.lua:2: in .*resumed by:.*%.lua:3: in ", record.traceback)
    end
  end)

  it("in a client's handler, without what may be secret in its address", function()
    local child = start [[
      local app = moonwire.app():ws("/live", { open = function(ws) ws:send "hello" end })
      local port = serve(app):address().port
      moonwire.connect(("ws://me:password@127.0.0.1:%d/live?token=secret"):format(port), {
        message = function() error "as planned" end,
        close = function(_, code) error(code) end,
      })
      tell "connected"
    ]]
    local port = child:expect("listening").port
    child:expect "connected"
    child.stdin:shutdown()
    local records = finish(child)
    assert.equal(2, #records)
    for i, event in ipairs { "message", "close" } do
      assert.same({ level = "error", kind = "client", event = event, id = records[i].id,
        route = ("ws://127.0.0.1:%d/live"):format(port) }, (pick(records[i])))
    end
  end)

  for what, case in pairs {
    ["a table"] =
      { "{ code = 404, reason = 'gone', list = {} }", "^%(error object is a table: [cr]%l+ = %w+, [cr]%l+ = %w+%)$" },
    ["an empty table"] = { "{}", "^%(error object is a table%)$" },
    ["an object with a text"] = { "setmetatable({}, { __tostring = function() return 'a text' end })", "^a text$" },
    ["an object whose text fails"] =
      { "setmetatable({}, { __tostring = function() error 'twice' end })", "its __tostring failed: [^\n]*twice%)$" },
    ["nil"] = { "nil", "^%(error object is a nil value%)$" },
    ["a function"] = { "print", "^%(error object is a function value%)$" },
  } do
    it("that is " .. what, function()
      local child = start("moonwire.spawn(function() error(" .. case[1] .. ") end) serve(moonwire.app():get('/', function() "
        .. "error(" .. case[1] .. ") end))")
      local client = visitor.connect(child:expect("listening").port)
      client:request "/"
      assert.equal(500, (client:response()))
      client:close()
      for i, record in ipairs(finish(child, 1)) do
        assert.matches(case[2], record.message)
        assert.equal(i == 1 and "task" or "http", record.kind)
        assert.truthy(record.traceback)
      end
    end)
  end
end)

describe("the hook", function()
  -- Each hook tells its name and what it got.
  local HOOKS = [[
    local function hook(name)
      return function(text, context)
        local fields = { name = name, text = text }
        for key, value in pairs(context) do
          fields[key] = type(value) ~= "table" and type(value) ~= "userdata" and value or type(value)
        end
        tell("hook", fields)
      end
    end
  ]]

  local function told(child)
    local fields = child:expect "hook"
    assert.matches("as planned\nstack traceback:\n", fields.text)
    fields.event_name, fields.text = nil, nil
    return fields
  end

  it("of a route is the nearest, then the app's, then the program's", function()
    local child = start(HOOKS .. [[
      moonwire.on_error(hook "program")
      local function fail() error "as planned" end
      local app = moonwire.app { error = hook "app" }
      app:ws("/own", { message = fail, error = function(ws, text, event)
        tell("hook", { name = "route", text = text, id = ws.id, of = event })
      end })
      app:ws("/app", { message = fail })
      app:get("/app", fail)
      serve(app)
      local plain = moonwire.app()
      plain:ws("/program", { message = fail })
      plain:get("/program", fail)
      serve(plain)
      if next_order() then moonwire.spawn(fail) end
    ]])
    local port, plain_port = child:expect("listening").port, child:expect("listening").port
    local function fail(place, target)
      local ws = open(place, target)
      ws:send(visitor.TEXT, "x")
      assert.equal(1011, (ws:expect_close()))
      return told(child)
    end
    local own = fail(port, "/own")
    assert.same({ "route", "message", 1 }, { own.name, own.of, own.id })
    for name, place in pairs { app = port, program = plain_port } do
      local context = fail(place, "/" .. name)
      assert.same({ name, "websocket", "/" .. name, "127.0.0.1", "userdata" },
        { context.name, context.kind, context.route, context.remote_address, context.ws })
      local client = visitor.connect(place)
      client:request("/" .. name, "X-Request-Id: abc\r\n")
      assert.equal(500, (client:response()))
      context = told(child)
      assert.same({ name, "http", "/" .. name, "abc", client.socket:getsockname().port, "table" },
        { context.name, context.kind, context.route, context.request_id, context.remote_port, context.request })
    end
    child.stdin:write "go\n"
    local context = told(child)
    assert.same({ "program", "task" }, { context.name, context.kind })
    visitor.close_all()
    assert.equal(6, #finish(child, 1)) -- what is told is logged all the same
    assert.equal(0, child:count "hook")
  end)

  it("that fails itself is logged, and not told of it", function()
    local child = start [[
      local count = 0
      local function hook() count = count + 1 local n = count moonwire.sleep(0.001) tell "hook" error("hook " .. n) end
      moonwire.on_error(hook)
      moonwire.spawn(error, "first")
      serve(moonwire.app { error = hook }:get("/", function() error "second" end))
    ]]
    local client = visitor.connect(child:expect("listening").port)
    client:request "/"
    assert.equal(500, (client:response()))
    client:close()
    child:expect "hook"
    child:expect "hook"
    local records = finish(child, 1)
    local messages = {}
    for _, record in ipairs(records) do
      messages[record.kind .. ": " .. record.message:match "[^ ]+ ?%d*$"] = true
    end
    assert.same({
      ["task: first"] = true, ["error hook: hook 1"] = true, ["http: second"] = true, ["error hook: hook 2"] = true,
    }, messages)
    assert.equal(4, #records)
  end)

  it("that starts what fails does not hear of that at once", function()
    local child = start [[
      local count = 0
      moonwire.on_error(function() count = count + 1 moonwire.spawn(error, "again") end)
      moonwire.spawn(error, "first")
      tell("over", { count = count })
    ]]
    assert.equal(1, child:expect("over").count)
    assert.equal(2, #records_of(child, 1))
  end)

  it("can be taken away", function()
    local child = start(HOOKS .. [[
      moonwire.on_error(hook "program")
      moonwire.on_error(nil)
      moonwire.spawn(error, "x")
      print(pcall(moonwire.on_error, true))
    ]])
    local result = program.wait(child)
    assert.equal("false\tbad argument #1 to 'on_error' (function expected, got boolean)", result.stdout)
    assert.equal(1, result.code)
  end)
end)
