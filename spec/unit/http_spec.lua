local fake = require "support.fake_core"
local core = fake.install()
local app_module = require "moonwire.app"
local http = require "moonwire.http"
local time = require "moonwire.time"

local function serve(app, fields)
  local exchange = fake.exchange(fields)
  fake.run(http.serve, app, exchange)
  return exchange
end

local function ask(app, method, target, fields)
  fields = fields or {}
  fields.method, fields.target = method, target
  local exchange = serve(app, fields)
  return exchange:response(), exchange
end

before_each(function()
  core.logged = {}
end)

describe("a request", function()
  it("reaches its handler with everything about it", function()
    local app = app_module.new()
    local seen
    app:post("/api/:name", function(req, res)
      seen = req
      res:json { name = req.params.name }
    end)
    local got = ask(app, "POST", "/api/a%20b?x=1&x=2&y=%E4%BD%A0", {
      headers = { host = "h", ["content-type"] = "application/json" },
      request_body = '{"n":1}',
      is_secure = true,
    })
    assert.equal(200, got.status)
    assert.equal('{"name":"a b"}', got.body)
    assert.equal("POST", seen.method)
    assert.equal("/api/a b", seen.path)
    assert.equal("/api/a%20b?x=1&x=2&y=%E4%BD%A0", seen.url)
    assert.same({ x = "2", y = "你" }, seen.query)
    assert.same({ "1", "2" }, seen:query_values "x")
    assert.same({}, seen:query_values "z")
    assert.equal("application/json", seen.headers["content-type"])
    assert.equal("application/json", seen:header "Content-Type")
    assert.same({ n = 1 }, seen:json())
    assert.equal("192.0.2.7", seen.remote_address)
    assert.is_true(seen.secure)
    assert.same({}, seen.protocols)
  end)

  it("tells about a body that is no JSON", function()
    local app = app_module.new()
    local result
    app:post("/", function(req, res)
      result = { req:json() }
      res:send()
    end)
    ask(app, "POST", "/", { request_body = "{" })
    assert.is_nil(result[1])
    assert.equal("json", result[3])
  end)

  for method, target in pairs { ["400 a"] = "/%zz", ["400 b"] = "/../x", ["400 c"] = "/a%00" } do
    it("is refused with 400: " .. target, function()
      local got, exchange = ask(app_module.new(), method, target)
      assert.equal(400, got.status)
      assert.is_false(exchange.kept_alive)
    end)
  end

  for code, status in pairs { too_large = 413, timeout = 408, malformed = 400 } do
    it(("is refused with %d when its body is %s"):format(status, code), function()
      local app = app_module.new()
      app:post("/", function()
        error "must not run"
      end)
      local got, exchange = ask(app, "POST", "/", { body_fault = code })
      assert.equal(status, got.status)
      assert.is_false(exchange.kept_alive)
      assert.same({}, core.logged)
    end)
  end

  it("is dropped when the client leaves while its body comes", function()
    local app = app_module.new()
    local exchange = serve(app, { method = "POST", body_fault = "closed" })
    assert.equal("", exchange:text())
    assert.is_true(exchange.is_finished)
    assert.is_nil(next(app.responses))
  end)

  it("has a body as large as the app or the route allows", function()
    local app = app_module.new { max_body = 4 }
    local function echo(req, res)
      res:send(req.body)
    end
    app:post("/small", echo):post("/large", { max_body = 8 }, echo)
    assert.equal("1234", ask(app, "POST", "/small", { request_body = "1234" }).body)
    assert.equal(413, ask(app, "POST", "/small", { request_body = "12345" }).status)
    assert.equal("12345678", ask(app, "POST", "/large", { request_body = "12345678" }).body)
    assert.equal(413, ask(app, "POST", "/large", { request_body = "123456789" }).status)
    assert.equal(1 << 20, app_module.new().settings.max_body)
  end)
end)

describe("a request without a route", function()
  local app = app_module.new()
  local function handler(_, res)
    res:send "x"
  end
  app:get("/get", handler):put("/get", handler):post("/post", handler):ws("/live", {}):any("/any", handler)
  app:options("/own", function(_, res)
    res.headers.Allow = "MINE"
    res:send "own"
  end)

  for _, case in ipairs {
    -- method, target, status, Allow
    { "GET", "/nothing", 404 },
    { "GET", "/get/", 404 },
    { "DELETE", "/get", 405, "GET, HEAD, OPTIONS, PUT" },
    { "GET", "/post", 405, "OPTIONS, POST" },
    { "OPTIONS", "/get", 204, "GET, HEAD, OPTIONS, PUT" },
    { "OPTIONS", "/nothing", 404 },
    { "OPTIONS", "/own", 200, "MINE" },
    { "OPTIONS", "*", 204 },
    { "GET", "/live", 426 },
    { "BREW", "/any", 200 },
  } do
    it(("gets %d for %s %s"):format(case[3], case[1], case[2]), function()
      local got, exchange = ask(app, case[1], case[2])
      assert.equal(case[3], got.status)
      assert.equal(case[4], got.headers.allow)
      assert.is_true(exchange.kept_alive)
    end)
  end

  it("is told what to upgrade to", function()
    local got = ask(app, "GET", "/live")
    assert.equal("websocket", got.headers.upgrade)
    assert.equal("upgrade", got.headers.connection)
  end)

  it("answers HEAD with GET's head", function()
    local got = ask(app, "HEAD", "/get")
    assert.equal("1", got.headers["content-length"])
    assert.equal("", got.raw_body)
  end)
end)

describe("a handler", function()
  it("that fails costs a 500 and a log line with route and traceback", function()
    local app = app_module.new()
    app:get("/x/:id", function()
      error "broken"
    end)
    local got, exchange = ask(app, "GET", "/x/1")
    assert.equal(500, got.status)
    assert.not_matches("broken", got.body)
    assert.is_true(exchange.kept_alive)
    assert.equal(1, #core.logged)
    assert.matches("^error: GET /x/:id: .*http_spec%.lua:%d+: broken\nstack traceback:", core.logged[1])
  end)

  it("that fails with something else than text does so too", function()
    local app = app_module.new()
    app:get("/", function()
      error { code = 1 }
    end)
    assert.equal(500, ask(app, "GET", "/").status)
    assert.matches("GET /: table:", core.logged[1])
  end)

  it("that fails in the middle of a stream cuts it", function()
    local app = app_module.new()
    app:get("/", function(_, res)
      res:write "begin"
      error "broken"
    end)
    local got, exchange = ask(app, "GET", "/")
    assert.equal("begin", got.body)
    assert.is_nil(got.is_complete)
    assert.is_false(exchange.kept_alive)
  end)

  it("that returns without answering costs a 500 that says so", function()
    local app = app_module.new()
    app:get("/quiet", function() end)
    assert.equal(500, ask(app, "GET", "/quiet").status)
    assert.matches("GET /quiet: the handler returned without a response", core.logged[1])
  end)

  it("may wait before it answers", function()
    local app = app_module.new()
    app:get("/", function(_, res)
      time.sleep(0.001)
      res:send "later"
    end)
    assert.equal("later", ask(app, "GET", "/").body)
    assert.same({}, core.logged)
  end)

  it("may fail after waiting", function()
    local app = app_module.new()
    app:get("/", function()
      time.sleep(0.001)
      error "late"
    end)
    assert.equal(500, ask(app, "GET", "/").status)
  end)

  it("may defer the answer", function()
    local app = app_module.new()
    app:get("/", function(_, res)
      res:defer()
      time.after(0.001, function()
        res:send "deferred"
      end)
    end)
    assert.equal("deferred", ask(app, "GET", "/").body)
    assert.same({}, core.logged)
    assert.is_nil(next(app.responses))
  end)

  it("that started a stream ends it by returning, unless deferred", function()
    local app = app_module.new()
    app:get("/now", function(_, res)
      res:write "a"
    end)
    app:get("/later", function(_, res)
      res:defer()
      res:write "a"
    end)
    assert.is_true(ask(app, "GET", "/now").is_complete)
    local got, exchange = ask(app, "GET", "/later")
    assert.is_nil(got.is_complete)
    assert.is_nil(exchange.is_finished)
    assert.is_function(exchange.abort_handler)
    exchange.abort_handler()
    assert.is_nil(next(app.responses))
  end)

  it("whose file is missing answers 404, unless it answers itself", function()
    local app = app_module.new()
    app:get("/file", function(_, res)
      res:file "/nowhere/at/all"
    end)
    app:get("/own", function(_, res)
      local ok, _, code = res:file "/nowhere/at/all"
      if not ok then
        res:json { status = 404, code = code }
      end
    end)
    assert.equal(404, ask(app, "GET", "/file").status)
    assert.equal('{"', ask(app, "GET", "/own").body:sub(1, 2))
    assert.same({}, core.logged)
  end)

  it("needs not answer a client that is gone", function()
    local app = app_module.new()
    app:get("/", function(_, res)
      assert.is_nil(res:write "x")
    end)
    serve(app, { is_gone = true })
    assert.same({}, core.logged)
    assert.is_nil(next(app.responses))
  end)
end)

describe("middleware", function()
  it("runs in order, around the handler, where its path matches", function()
    local app = app_module.new()
    local trail = {}
    local function note(name)
      return function(_, _, next)
        trail[#trail + 1] = name .. ">"
        time.sleep(0)
        next()
        trail[#trail + 1] = "<" .. name
      end
    end
    app:use(note "all"):use("/api", note "api"):use("/other", note "other")
    app:get("/api/x", function(_, res)
      trail[#trail + 1] = "handler"
      res:send "x"
    end)
    assert.equal("x", ask(app, "GET", "/api/x").body)
    assert.same({ "all>", "api>", "handler", "<api", "<all" }, trail)
    trail = {}
    ask(app, "GET", "/apix")
    assert.same({ "all>", "<all" }, trail)
  end)

  it("sees every spelling of its path", function()
    local app = app_module.new()
    app:use("/admin", function(_, res)
      res.status = 403
      res:send "no"
    end)
    app:get("/admin/x", function(_, res)
      res:send "secret"
    end)
    for _, target in ipairs { "/admin/x", "/%61dmin/x", "/a/../admin/x", "/./admin/x", "/a/%2e%2e/admin/%78" } do
      assert.equal(403, ask(app, "GET", target).status)
    end
    assert.equal(404, ask(app, "GET", "/admin%2Fx").status)
    assert.equal(404, ask(app, "GET", "//admin/x").status)
  end)

  it("may answer itself", function()
    local app = app_module.new()
    app:use(function(req, res, next)
      if req.query.token ~= "good" then
        res.status = 401
        return res:send "who are you?"
      end
      next()
    end)
    app:get("/", function(_, res)
      res:send "in"
    end)
    assert.equal(401, ask(app, "GET", "/").status)
    assert.equal("in", ask(app, "GET", "/?token=good").body)
  end)

  it("runs for answers that no route gives", function()
    local app = app_module.new()
    app:use(function(_, res, next)
      res.headers["Access-Control-Allow-Origin"] = "*"
      next()
    end)
    app:post("/x", print)
    app:get("/fail", function()
      error "x"
    end)
    for target, status in pairs { ["/x"] = 405, ["/y"] = 404, ["/fail"] = 500 } do
      local got = ask(app, "GET", target)
      assert.equal(status, got.status)
      assert.equal("*", got.headers["access-control-allow-origin"])
    end
  end)

  it("can time answers with a hook", function()
    local app = app_module.new()
    app:use(function(_, res, next)
      res:before_send(function()
        res.headers["X-Response-Time"] = "1ms"
      end)
      next()
    end)
    app:get("/", function(_, res)
      res:send "x"
    end)
    assert.equal("1ms", ask(app, "GET", "/").headers["x-response-time"])
  end)

  it("can catch what fails behind it", function()
    local app = app_module.new()
    app:use(function(_, res, next)
      if not pcall(next) then
        res.status = 503
        res:send "caught"
      end
    end)
    app:get("/", function()
      error "x"
    end)
    assert.equal("caught", ask(app, "GET", "/").body)
    assert.same({}, core.logged)
  end)

  it("must not call next() twice", function()
    local app = app_module.new()
    app:use(function(_, _, next)
      next()
      next()
    end)
    app:get("/", function(_, res)
      res:send "x"
    end)
    assert.equal("x", ask(app, "GET", "/").body)
    assert.matches("http_spec%.lua:%d+: next%(%) was called twice", core.logged[1])
  end)

  it("that swallows the request costs a 500", function()
    local app = app_module.new()
    app:use(function() end)
    assert.equal(500, ask(app, "GET", "/").status)
  end)
end)
