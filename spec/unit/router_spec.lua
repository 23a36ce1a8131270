local router = require "moonwire.router"
local url = require "moonwire.url"

local function find(routes, method, path)
  local segments = assert(url.split_path(path))
  return routes:find(method, segments)
end

local function with(...)
  local routes = router.new()
  for _, entry in ipairs { ... } do
    local method, pattern = entry:match("^(%S+) (%S+)$")
    routes:add(method, pattern, entry)
  end
  return routes
end

describe("the router", function()
  local routes = with(
    "GET /", "GET /a", "POST /a", "GET /a/", "GET /a/b", "GET /a/:x", "GET /a/:x/c", "GET /a/*rest", "PUT /a/b/c",
    "GET /files/*path", "GET /users/:id/posts/:post", "DELETE /users/:id", "HEAD /only-head", "any /any/:x",
    "GET /café/%3Aliteral", "websocket /live", "GET /live/page", "websocket /a", "POST /wild/*", "HEAD /a/b"
  )

  for _, case in ipairs {
    -- method, path, route, params
    { "GET", "/", "GET /", {} },
    { "GET", "/a", "GET /a", {} },
    { "POST", "/a", "POST /a", {} },
    { "GET", "/a/", "GET /a/", {} },
    { "GET", "/a/b", "GET /a/b", {} },
    { "HEAD", "/a/b", "HEAD /a/b", {} },
    { "GET", "/a/z", "GET /a/:x", { x = "z" } },
    { "GET", "/a/b/c", "GET /a/:x/c", { x = "b" } },
    { "PUT", "/a/b/c", "PUT /a/b/c", {} },
    { "GET", "/a/z/c", "GET /a/:x/c", { x = "z" } },
    { "GET", "/a/z/d", "GET /a/*rest", { rest = "z/d" } },
    { "GET", "/a/b/", "GET /a/*rest", { rest = "b/" } },
    { "GET", "/files/", "GET /files/*path", { path = "" } },
    { "GET", "/files/x/y.txt", "GET /files/*path", { path = "x/y.txt" } },
    { "GET", "/users/7/posts/a%20b", "GET /users/:id/posts/:post", { id = "7", post = "a b" } },
    { "GET", "/users/a%2Fb/posts/c", "GET /users/:id/posts/:post", { id = "a/b", post = "c" } },
    { "DELETE", "/users/%E4%BD%A0", "DELETE /users/:id", { id = "你" } },
    { "HEAD", "/a", "GET /a", {} },
    { "HEAD", "/only-head", "HEAD /only-head", {} },
    { "GET", "/any/1", "any /any/:x", { x = "1" } },
    { "BREW", "/any/1", "any /any/:x", { x = "1" } },
    { "GET", "/caf%C3%A9/:literal", "GET /café/%3Aliteral", {} },
    { "websocket", "/live", "websocket /live", {} },
    { "websocket", "/a", "websocket /a", {} },
    { "POST", "/wild/x/y", "POST /wild/*", { ["*"] = "x/y" } },
  } do
    it(("answers %s %s"):format(case[1], case[2]), function()
      local route, params = find(routes, case[1], case[2])
      assert.is_truthy(route)
      assert.equal(case[3], route.value)
      assert.same(case[4], params)
    end)
  end

  for _, case in ipairs {
    -- method, path, allowed, websocket
    { "GET", "/nothing", {}, false },
    { "GET", "/files", {}, false },
    { "GET", "/users//posts/1", {}, false },
    { "GET", "/A", {}, false },
    { "GET", "//a", {}, false },
    { "PUT", "/a", { "GET", "HEAD", "OPTIONS", "POST" }, true },
    { "GET", "/users/7", { "DELETE", "OPTIONS" }, false },
    { "GET", "/only-head", { "HEAD", "OPTIONS" }, false },
    { "GET", "/live", {}, true },
    { "POST", "/a/b/c", { "GET", "HEAD", "OPTIONS", "PUT" }, false },
    { "websocket", "/live/page", { "GET", "HEAD", "OPTIONS" }, false },
    { "websocket", "/any/1", {}, false },
  } do
    it(("has no route for %s %s"):format(case[1], case[2]), function()
      local route, allowed, websocket = find(routes, case[1], case[2])
      assert.is_nil(route)
      assert.same(case[3], allowed)
      assert.equal(case[4], websocket)
    end)
  end

  it("leaves a parameter again when the rest does not match", function()
    local deep = with("GET /:a/:b/x", "GET /:a/y/*rest", "GET /p/:q/:r")
    local route, params = find(deep, "GET", "/p/y/z")
    assert.equal("GET /p/:q/:r", route.value)
    assert.same({ q = "y", r = "z" }, params)
    route, params = find(deep, "GET", "/o/y/z")
    assert.equal("GET /:a/y/*rest", route.value)
    assert.same({ a = "o", rest = "z" }, params)
  end)

  it("goes on to a parameter when the fixed branch lacks the method", function()
    local routes_with_gap = with("POST /a/new", "GET /a/:id")
    local route, params = find(routes_with_gap, "GET", "/a/new")
    assert.equal("GET /a/:id", route.value)
    assert.same({ id = "new" }, params)
  end)

  it("labels routes for log lines", function()
    assert.equal("GET /a/:x", (find(routes, "GET", "/a/q")).label)
  end)
end)

describe("what the router knows of a path beforehand", function()
  it("is the route whose pattern it is, if that has no parameters", function()
    local routes = router.new()
    local fixed = routes:add("websocket", "/a/b", 1)
    routes:add("websocket", "/:x/b", 2)
    routes:add("websocket", "/a%20c", 3)
    assert.equal(fixed, routes:literal("websocket", "/a/b"))
    for _, target in ipairs { "/:x/b", "/a%20c", "/a/b/", "/a/b?x=1", "/a/./b", "", "*" } do
      assert.is_nil(routes:literal("websocket", target), target)
    end
    assert.is_nil(routes:literal("GET", "/a/b"))
  end)

  it("is what its parameters are, given the pattern", function()
    for pattern, params in pairs {
      ["/a/b/c"] = {},
      ["/:x/b/:y"] = { x = "a", y = "c" },
      ["/a/*rest"] = { rest = "b/c" },
      ["/:x/*"] = { x = "a", ["*"] = "b/c" },
    } do
      assert.same(params, router.params(pattern, { "a", "b", "c" }), pattern)
    end
  end)
end)

describe("router patterns", function()
  for _, case in ipairs {
    { "a", "must start with '/'" },
    { "", "must start with '/'" },
    { "/a?b", "query" },
    { "/a#b", "fragment" },
    { "/*rest/more", "last segment" },
    { "/:a/:a", "'a' is there twice" },
    { "/:a/*a", "'a' is there twice" },
    { "/:", "no parameter name" },
    { "/:1a", "no parameter name" },
    { "/:a-b", "no parameter name" },
    { "/*a b", "no parameter name" },
    { "/a/../b", "are resolved" },
    { "/%zz", "malformed" },
  } do
    it("refuses " .. case[1], function()
      assert.error_matches(function()
        router.new():add("GET", case[1], true)
      end, case[2])
    end)
  end

  it("tells about a route that is there already, whatever its parameters are called", function()
    local routes = with("GET /a/:x")
    assert.error_matches(function()
      routes:add("GET", "/a/:y", true)
    end, "GET /a/:y is there already, as '/a/:x'")
    assert.has_no_error(function()
      routes:add("POST", "/a/:y", true)
    end)
  end)

  it("names the caller's line", function()
    local ok, message = pcall(function()
      router.new():add("GET", "oops", true, 1)
    end)
    assert.is_false(ok)
    assert.matches("router_spec%.lua:%d+: route pattern 'oops'", message)
  end)
end)

describe("mount points", function()
  for _, case in ipairs {
    { "/", {} },
    { "/a", { "a" } },
    { "/a/", { "a" } },
    { "/a/b%20c", { "a", "b c" } },
  } do
    it("reads " .. case[1], function()
      assert.same(case[2], router.parse_prefix(case[1]))
    end)
  end

  it("matches whole segments only", function()
    assert.is_true(router.has_prefix({ "a" }, { "a", "b" }))
    assert.is_true(router.has_prefix({}, { "" }))
    assert.is_true(router.has_prefix({ "a" }, { "a" }))
    assert.is_false(router.has_prefix({ "a" }, { "ab" }))
    assert.is_false(router.has_prefix({ "a", "b" }, { "a" }))
  end)

  it("has no parameters", function()
    assert.error_matches(function()
      router.parse_prefix "/:x"
    end, "must not have parameters")
  end)
end)
