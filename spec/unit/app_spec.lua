local fake = require "support.fake_core"
local core = fake.install()
local app_module = require "moonwire.app"
local http = require "moonwire.http"
local time = require "moonwire.time"

local function fails(pattern, fn)
  local ok, message = pcall(function()
    local result = fn()
    return result
  end)
  assert.is_false(ok)
  assert.matches(pattern, message)
  assert.matches("app_spec%.lua:%d+: ", message)
end

local function upgrade(app, target, headers, fields)
  fields = fields or {}
  fields.target, fields.headers = target, headers or {}
  fields.headers.upgrade = "websocket"
  fields.headers.host = fields.headers.host or "h:8080"
  local exchange = fake.exchange(fields)
  fake.run(http.serve, app, exchange)
  return exchange
end

before_each(function()
  core.logged, core.listeners, core.exit_handlers = {}, {}, {}
end)

describe("app options", function()
  for pattern, given in pairs {
    ["moonwire%.app: unknown option 'max_bdy'; did you mean 'max_body'%?"] = { max_bdy = 1 },
    ["moonwire%.app: option 'max_body' must be an integer, at least 0"] = { max_body = -1 },
    ["option 'head_timeout' must be a number of seconds"] = { head_timeout = "10" },
  } do
    it("are checked: " .. pattern, function()
      fails(pattern, function()
        return app_module.new(given)
      end)
    end)
  end
end)

describe("app:listen", function()
  for pattern, given in pairs {
    ["listen: unknown option 'prot'; did you mean 'port'%?"] = { prot = 1 },
    ["listen: option 'port' must be an integer from 0 to 65535, not 70000"] = { port = 70000 },
    ["listen: option 'port' must be an integer from 0 to 65535, not 70001"] = { port = "70001" },
    ['listen: option \'port\' must be an integer from 0 to 65535, not "80 "'] = { port = "80 " },
    ["listen: option 'port' is missing"] = { host = "::1" },
    ["listen: option 'path' %(a Unix socket%) excludes"] = { path = "/tmp/x", port = 1 },
    ["listen: option 'tls' needs both"] = { port = 1, tls = { cert = "x" } },
    ["unknown option 'tls.crt'; did you mean 'cert'%?"] = { port = 1, tls = { crt = "x" } },
    ["option 'host' must be a string"] = { port = 1, host = 127 },
    ["option 'max_headers' must be an integer from 1 to 256"] = { port = 1, max_headers = 1000 },
  } do
    it("refuses: " .. pattern, function()
      fails(pattern, function()
        return app_module.new():listen(given)
      end)
      assert.equal(0, #core.listeners)
    end)
  end

  it("wants options", function()
    fails("listen: the options must be a table", function()
      return app_module.new():listen()
    end)
    fails("listen: the options must be a table, not 8080", function()
      return app_module.new():listen(8080)
    end)
  end)

  it("passes limits of the app on, unless the port has its own", function()
    local app = app_module.new { max_headers = 10, head_timeout = 3 }
    local listener = app:listen { port = 0, max_headers = 20 }
    assert.same({ port = 0, max_headers = 20, head_timeout = 3 }, listener.settings)
    assert.is_nil(app.settings.port)
  end)

  it("opens several and gives each back", function()
    local app = app_module.new()
    assert.equal(1, app:listen({ port = 1 }):address().port)
    assert.equal(8080, app:listen({ port = "8080" }):address().port)
    assert.equal("/run/x", app:listen({ path = "/run/x" }).settings.path)
    assert.equal(3, #core.listeners)
    assert.equal(1, #core.exit_handlers)
  end)

  it("says why a port could not be opened", function()
    local listen = core.listen
    finally(function()
      core.listen = listen
    end)
    core.listen = function()
      return nil, "address already in use", "EADDRINUSE"
    end
    local app = app_module.new()
    assert.same({ nil, "address already in use", "EADDRINUSE" }, { app:listen { port = 1 } })
  end)
end)

describe("app routes", function()
  for pattern, add in pairs {
    ["bad argument #1 to 'get' %(string expected, got function%)"] = function(app)
      return app:get(print)
    end,
    ["app:post '/x': the handler must be a function, not a nil"] = function(app)
      return app:post "/x"
    end,
    ["app:get '/x': unknown option 'max_bod'; did you mean 'max_body'%?"] = function(app)
      return app:get("/x", { max_bod = 1 }, print)
    end,
    ["route pattern 'x': must start with '/'"] = function(app)
      return app:get("x", print)
    end,
    ["route GET /y is there already"] = function(app)
      app:get("/y", print)
      return app:get("/y", print)
    end,
    ["app:use: the middleware must be a function"] = function(app)
      return app:use("/x", "y")
    end,
    ["bad argument #1 to 'use' %(string expected, got nil%)"] = function(app)
      return app:use(nil, print)
    end,
    ["route pattern 'x': must start"] = function(app)
      return app:use("x", print)
    end,
    ["static: .*nowhere"] = function(app)
      return app:static("/", "/nowhere/at/all")
    end,
    ["static: unknown option 'idx'"] = function(app)
      return app:static("/", "lua", { idx = "x" })
    end,
    ["bad argument #2 to 'static'"] = function(app)
      return app:static "/"
    end,
    ["bad argument #1 to 'ws' %(string expected, got table%)"] = function(app)
      return app:ws {}
    end,
    ["route pattern 'chat': must start"] = function(app)
      return app:ws("chat", {})
    end,
    ["app:ws: the second argument must be a table of handlers"] = function(app)
      return app:ws "/x"
    end,
  } do
    it("refuse: " .. pattern, function()
      fails(pattern, function()
        return add(app_module.new())
      end)
    end)
  end

  it("can be chained", function()
    local app = app_module.new()
    assert.equal(app, app:get("/", print):post("/", print):put("/", print):patch("/", print):delete("/", print)
      :options("/", print):head("/", print):any("/", print):use(print):ws("/", {}):static("/lua", "lua"))
  end)
end)

describe("app:ws", function()
  for pattern, behaviour in pairs {
    ["unknown option 'mesage'; did you mean 'message'%?"] = { mesage = print },
    ["option 'message' must be a function, not a table"] = { message = {} },
    ["option 'max_payload' must be an integer from 1"] = { max_payload = 0 },
    ["option 'slow' must be \"close\", \"drop\" or \"latest\""] = { slow = "wait" },
    ["option 'idle_timeout' must be a number of seconds, or false"] = { idle_timeout = 0 },
    ["option 'ping_interval' must be"] = { ping_interval = true },
    ["option 'compress' must be true, false or a table"] = { compress = "yes" },
    ["unknown option 'compress%.levl'; did you mean 'level'%?"] = { compress = { levl = 1 } },
    ["option 'compress%.server_max_window_bits' must be an integer from 9 to 15"] =
      { compress = { server_max_window_bits = 8 } },
    ["option 'protocols%[2%]' must be a token"] = { protocols = { "a", "b c" } },
    ["option 'protocols' must not be an empty list"] = { protocols = {} },
    ["option 'origins' must be \"same%-host\", \"%*\" or a list"] = { origins = "https://a" },
    ["option 'origins%[1%]' must be an origin"] = { origins = { "example.com" } },
    ["option 'high_water' must not be above 'max_backpressure'"] = { high_water = 2, max_backpressure = 1 },
    ["option 'upgrade' must be a function"] = { upgrade = true },
  } do
    it("refuses: " .. pattern, function()
      fails("app:ws '/x': " .. pattern, function()
        return app_module.new():ws("/x", behaviour)
      end)
    end)
  end

  it("hands core what core decides", function()
    local app = app_module.new()
    core.routes = {}
    app:ws("/x", {
      protocols = { "a" }, origins = "*", upgrade = print, max_payload = 10, idle_timeout = false, ping_interval = 5,
      slow = "latest", compress = { level = 3 }, message = print, max_fragments = 4, close_timeout = 1,
      write_timeout = 2, high_water = 1, max_backpressure = 2, pong_timeout = 3,
    })
    local behaviour = core.routes[1]
    assert.equal("function", type(behaviour.error)) -- which finds somebody who wants to hear of it
    behaviour.error = nil
    assert.same({
      hub = app.hub, name = "/x", max_payload = 10, idle_timeout = 0, ping_interval = 5,
      slow = "latest", compress = { level = 3 },
      message = print, max_fragments = 4, close_timeout = 1, write_timeout = 2, high_water = 1, max_backpressure = 2,
      pong_timeout = 3,
    }, behaviour)
  end)
end)

describe("an upgrade", function()
  it("is accepted with the data that upgrade gives", function()
    local app = app_module.new()
    local opened
    app:ws("/chat/:room", {
      upgrade = function(req)
        time.sleep(0.001)
        return { user = req.query.user }
      end,
      open = function(ws)
        opened = ws
      end,
    })
    local exchange = upgrade(app, "/chat/a%20b?user=x")
    assert.same({ user = "x" }, exchange.accepted.data)
    assert.is_nil(exchange.accepted.protocol)
    assert.equal(exchange.ws, opened)
    assert.equal("", exchange:text())
    assert.equal(1, app:count())
    assert.is_nil(next(app.responses))
    exchange.ws:close(1000, "bye")
    assert.equal(0, app:count())
  end)

  for _, case in ipairs {
    -- spoken, offered, answered
    { { "a", "b" }, "b, a", "b" },
    { { "a" }, "x, a", "a" },
    { { "a" }, "x", nil },
    { { "a" }, nil, nil },
    { nil, "a", nil },
    { { "a" }, "A", nil },
  } do
    it(("answers the subprotocol %s of %s"):format(case[3] or "none", case[2] or "none"), function()
      local app = app_module.new()
      app:ws("/", { protocols = case[1] })
      assert.equal(case[3], upgrade(app, "/", { ["sec-websocket-protocol"] = case[2] }).accepted.protocol)
    end)
  end

  it("lets upgrade choose the subprotocol, such as a token", function()
    local app = app_module.new()
    local token = "Bearer" .. ("x"):rep(2000)
    app:ws("/", {
      upgrade = function(req)
        return nil, req.protocols[1], { ["X-Extra"] = "1" }
      end,
    })
    local exchange = upgrade(app, "/", { ["sec-websocket-protocol"] = token .. ", other" })
    assert.equal(token, exchange.accepted.protocol)
    assert.same({ ["X-Extra"] = "1" }, exchange.accepted.headers)
  end)

  for name, case in pairs {
    ["an error"] = { function()
      error "no idea"
    end, "no idea" },
    ["a late error"] = { function()
      time.sleep(0.001)
      error "no idea later"
    end, "no idea later" },
    ["false"] = { function()
      return false
    end, "not a boolean" },
    ["a string"] = { function()
      return "no"
    end, "not a string" },
    ["a subprotocol that was not offered"] = { function()
      return nil, "other"
    end, '"other", which the client did not offer' },
    ["a header with a line end"] = { function()
      return nil, nil, { ["X-A"] = "a\r\nb" }
    end, "header 'X%-A'" },
  } do
    it("is answered with 500 when upgrade ends in " .. name, function()
      local app = app_module.new()
      app:ws("/x", { upgrade = case[1] })
      local exchange = upgrade(app, "/x", { ["sec-websocket-protocol"] = "a" })
      assert.equal(500, exchange:response().status)
      assert.is_nil(exchange.accepted)
      assert.is_false(exchange.kept_alive)
      assert.matches("upgrade on /x: .*" .. case[2], core.logged[1])
    end)
  end

  it("is refused as upgrade says", function()
    local app = app_module.new()
    local reject = require("moonwire.upgrade").reject
    app:ws("/", {
      upgrade = function()
        return reject(401, '{"who":"are you?"}', {
          ["WWW-Authenticate"] = "Bearer", ["Content-Type"] = "application/json",
        })
      end,
    })
    local exchange = upgrade(app, "/")
    local got = exchange:response()
    assert.equal(401, got.status)
    assert.equal('{"who":"are you?"}', got.body)
    assert.equal("Bearer", got.headers["www-authenticate"])
    assert.equal("application/json", got.headers["content-type"])
    assert.equal("close", got.headers.connection)
    assert.is_false(exchange.kept_alive)
    assert.same({}, core.logged)
  end)

  for _, case in ipairs { { 400 }, { 405, "allow", "GET" }, { 426, "upgrade", "websocket" } } do
    it("that is malformed gets " .. case[1], function()
      local app = app_module.new()
      app:ws("/", {
        upgrade = function()
          error "must not run"
        end,
      })
      local got = upgrade(app, "/", {}, { handshake_fault = case[1] }):response()
      assert.equal(case[1], got.status)
      assert.equal("13", got.headers["sec-websocket-version"])
      assert.equal(case[3], case[2] and got.headers[case[2]])
      assert.same({}, core.logged)
    end)
  end

  it("finds no route", function()
    local app = app_module.new():get("/page", print)
    assert.equal(404, upgrade(app, "/page"):response().status)
    assert.equal(404, upgrade(app, "/other"):response().status)
  end)

  it("is not accepted once the app closes", function()
    local app = app_module.new()
    app:ws("/", {
      upgrade = function()
        time.sleep(0.005)
      end,
    })
    local exchange = fake.exchange { headers = { upgrade = "websocket", host = "h" } }
    fake.run(function()
      core.task(http.serve, app, exchange)
      assert.is_true(app:close())
    end)
    assert.equal(503, exchange:response().status)
    assert.equal(503, upgrade(app, "/"):response().status)
  end)
end)

describe("moonwire.reject", function()
  local reject = require("moonwire.upgrade").reject
  for pattern, arguments in pairs {
    ["bad argument #1 to 'reject' %(must be an integer from 300 to 599"] = { 200 },
    ["bad argument #1"] = { "401" },
    ["bad argument #2 to 'reject' %(string expected, got table%)"] = { 401, {} },
    ["header 'X': the value contains LF"] = { 401, "x", { X = "a\n" } },
  } do
    it("refuses: " .. pattern, function()
      fails(pattern, function()
        local rejection = reject(table.unpack(arguments))
        return rejection
      end)
    end)
  end
end)

describe("app topics", function()
  it("go through the hub", function()
    local app = app_module.new()
    app:publish("room", "data", "binary")
    app:publish_json("room", { a = 1 })
    assert.same({ { "room", "data", "binary" }, { "room", '{"a":1}' } }, app.hub.published)
    assert.equal(7, app:subscribers "room")
  end)
end)

describe("app:close", function()
  for pattern, given in pairs {
    ["app:close: unknown option 'resaon'; did you mean 'reason'%?"] = { resaon = "x" },
    ["option 'code' must be a close code"] = { code = 1005 },
    ["option 'reason' must be a string of at most 123 bytes"] = { reason = ("x"):rep(124) },
    ["option 'timeout' must be a number of seconds"] = { timeout = -1 },
  } do
    it("refuses: " .. pattern, function()
      fails(pattern, function()
        return app_module.new():close(given)
      end)
    end)
  end

  it("closes ports and WebSockets and waits for requests", function()
    local app = app_module.new()
    local listener = app:listen { port = 1 }
    local exchange = fake.exchange { target = "/slow" }
    app:get("/slow", function(_, res)
      time.sleep(0.01)
      res:send "done"
    end)
    app:ws("/", {})
    local socket = upgrade(app, "/").ws
    fake.run(function()
      core.task(http.serve, app, exchange)
      assert.is_true(app:close { code = 1012, reason = "restart" })
      assert.equal("done", exchange:response().body)
    end)
    assert.is_true(listener.closed)
    assert.equal(1012, socket.close_code)
    assert.equal("restart", socket.close_reason)
    assert.equal(0, app:count())
    assert.is_false(exchange.kept_alive)
  end)

  it("ends event streams and cuts off what takes too long", function()
    local app = app_module.new()
    app:get("/events", function(_, res)
      res:defer()
      res:write "data: 1\n\n"
    end)
    app:get("/stuck", function(_, res)
      res:defer()
    end)
    local events, stuck = fake.exchange { target = "/events" }, fake.exchange { target = "/stuck" }
    app:ws("/", {})
    local socket = upgrade(app, "/").ws
    socket.close = function() end
    local terminated = false
    socket.terminate = function()
      terminated = true
    end
    fake.run(function()
      core.task(http.serve, app, events)
      core.task(http.serve, app, stuck)
      local ok, message, code = app:close { timeout = 0.01 }
      assert.same({ nil, "not everything closed in time", "timeout" }, { ok, message, code })
    end)
    assert.is_true(events.is_finished)
    assert.is_true(stuck.is_finished)
    assert.is_true(terminated)
  end)

  it("wakes everybody who waits for it", function()
    local app = app_module.new()
    app:get("/", function(_, res)
      time.sleep(0.01)
      res:send "x"
    end)
    local count = 0
    fake.run(function()
      core.task(http.serve, app, fake.exchange {})
      for _ = 1, 2 do
        core.task(function()
          assert(app:close())
          count = count + 1
        end)
      end
    end)
    assert.equal(2, count)
  end)

  it("can be called where nothing can wait", function()
    local app = app_module.new()
    local listener = app:listen { port = 1 }
    assert.is_true(fake.where_nothing_waits(function()
      return app:close()
    end))
    assert.is_true(listener.closed)
  end)
end)
