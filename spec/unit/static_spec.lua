local fake = require "support.fake_core"
local core = fake.install()
local app_module = require "moonwire.app"
local http = require "moonwire.http"
local http_date = require "moonwire.http_date"
local static = require "moonwire.static"
local time = require "moonwire.time"
local uv = require "luv"

local OLD = 784111777 -- Sun, 06 Nov 1994 08:49:37 GMT
local base, app

local function write(name, content)
  local file = assert(io.open(base .. "/" .. name, "wb"))
  file:write(content)
  file:close()
  assert(uv.fs_utime(base .. "/" .. name, OLD, OLD))
end

local LARGE = ("0123456789abcdef"):rep(16384) -- 256 KiB

setup(function()
  base = assert(uv.fs_realpath(assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/static-XXXXXX"))))
  for _, directory in ipairs { "site", "site/sub", "site/sub dir", "site/.git", "site-evil", "site/empty" } do
    assert(uv.fs_mkdir(base .. "/" .. directory, 493))
  end
  write("secret.txt", "secret")
  write("site-evil/x.txt", "secret")
  write("site/index.html", "<h1>home</h1>")
  write("site/hello.txt", "Hello, static world!")
  write("site/large.bin", LARGE)
  write("site/nothing.txt", "")
  write("site/.hidden", "secret")
  write("site/.git/config", "secret")
  write("site/sub/index.html", "sub")
  write("site/sub dir/a b.txt", "spaces")
  write("site/back\\slash.txt", "secret")
  assert(uv.fs_symlink(base .. "/secret.txt", base .. "/site/link-out.txt"))
  assert(uv.fs_symlink(base .. "/site-evil", base .. "/site/evil"))
  assert(uv.fs_symlink("hello.txt", base .. "/site/link-in.txt"))
  assert(uv.fs_symlink("loop", base .. "/site/loop"))
  os.execute(("mkfifo '%s/site/fifo'"):format(base))
  app = app_module.new():static("/", base .. "/site"):static("/assets", base .. "/site", { max_age = 3600.5 })
end)

teardown(function()
  os.execute(("rm -rf '%s'"):format(base))
end)

before_each(function()
  core.logged = {}
end)

local function ask(target, headers, fields)
  fields = fields or {}
  fields.target, fields.headers = target, headers or {}
  local exchange = fake.exchange(fields)
  fake.run(http.serve, fields.app or app, exchange)
  return exchange:response(), exchange
end

describe("a static file", function()
  it("is sent whole, with everything that describes it", function()
    local got, exchange = ask "/hello.txt"
    assert.equal(200, got.status)
    assert.equal("Hello, static world!", got.body)
    assert.equal("text/plain; charset=utf-8", got.headers["content-type"])
    assert.equal("20", got.headers["content-length"])
    assert.equal("nosniff", got.headers["x-content-type-options"])
    assert.equal("bytes", got.headers["accept-ranges"])
    assert.equal("no-cache", got.headers["cache-control"])
    assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", got.headers["last-modified"])
    assert.matches('^"%x+%-%x+%-%x+"$', got.headers.etag)
    assert.is_true(exchange.kept_alive)
  end)

  it("may be kept for as long as the mount says", function()
    assert.equal("public, max-age=3600", ask("/assets/hello.txt").headers["cache-control"])
  end)

  it("has only a head for HEAD", function()
    local got = ask("/hello.txt", {}, { method = "HEAD" })
    assert.equal("20", got.headers["content-length"])
    assert.equal("", got.raw_body)
  end)

  it("comes in pieces, as fast as the client takes them", function()
    local got, exchange = ask("/large.bin", {}, { is_slow = true })
    assert.equal(#LARGE, #got.body)
    assert.is_true(got.body == LARGE)
    assert.equal(4, exchange.drained)
    for _, piece in ipairs(exchange.out) do
      assert.is_true(#piece <= 65536 + 1024)
    end
  end)

  it("may be empty", function()
    local got = ask "/nothing.txt"
    assert.equal(200, got.status)
    assert.equal("0", got.headers["content-length"])
  end)

  it("is found behind escapes and inner links", function()
    assert.equal("spaces", ask("/sub%20dir/a%20b.txt").body)
    assert.equal("Hello, static world!", ask("/link-in.txt").body)
    assert.equal("Hello, static world!", ask("/sub/../hello.txt").body)
  end)

  it("gives way to routes", function()
    local mixed = app_module.new():static("/", base .. "/site"):get("/hello.txt", function(_, res)
      res:send "route"
    end):ws("/", {})
    assert.equal("route", ask("/hello.txt", {}, { app = mixed }).body)
    assert.equal("<h1>home</h1>", ask("/", {}, { app = mixed }).body)
  end)

  for method, status in pairs { POST = 405, DELETE = 405, OPTIONS = 204 } do
    it("answers " .. method .. " with " .. status, function()
      local got = ask("/hello.txt", {}, { method = method })
      assert.equal(status, got.status)
      assert.equal("GET, HEAD, OPTIONS", got.headers.allow)
    end)
  end

  it("changes its tag with its content", function()
    write("site/changing.txt", "a")
    local first = ask("/changing.txt").headers.etag
    write("site/changing.txt", "ab")
    assert.are_not.equal(first, ask("/changing.txt").headers.etag)
  end)

  it("that becomes shorter while it is sent ends the connection", function()
    write("site/short.bin", LARGE)
    local got, exchange = ask("/short.bin", {}, {
      is_slow = true,
      drain = function()
        os.execute(("truncate -s 70000 '%s/site/short.bin'"):format(base))
        return true
      end,
    })
    assert.equal(tostring(#LARGE), got.headers["content-length"])
    assert.equal(70000, #got.body)
    assert.is_false(exchange.kept_alive)
  end)

  it("is let go when the client leaves", function()
    local exchange = fake.exchange {
      target = "/large.bin",
      is_slow = true,
      drain = function()
        return nil, "the connection is closed", "closed"
      end,
    }
    fake.run(http.serve, app, exchange)
    assert.equal(1, #exchange.out)
    assert.is_nil(next(app.responses))
    assert.same({}, core.logged)
  end)
end)

describe("a static directory", function()
  it("shows its index", function()
    assert.equal("<h1>home</h1>", ask("/").body)
    assert.equal("text/html; charset=utf-8", ask("/sub/").headers["content-type"])
    assert.equal("<h1>home</h1>", ask("/assets/").body)
  end)

  for target, location in pairs {
    ["/sub"] = "/sub/",
    ["/sub?a=b&c"] = "/sub/?a=b&c",
    ["/sub%20dir"] = "/sub%20dir/",
    ["/assets"] = "/assets/",
    ["/./sub"] = "/sub/",
  } do
    it(("redirects %s to %s"):format(target, location), function()
      local got = ask(target)
      assert.equal(301, got.status)
      assert.equal(location, got.headers.location)
    end)
  end

  for _, target in ipairs { "/empty/", "/hello.txt/", "//sub", "/sub//", "/index.html/", "/evil//x" } do
    it("is not there: " .. target, function()
      assert.equal(404, ask(target).status)
    end)
  end

  it("may have another index, or none", function()
    local other = app_module.new():static("/", base .. "/site", { index = "hello.txt" })
    assert.equal("Hello, static world!", ask("/", {}, { app = other }).body)
    local none = app_module.new():static("/", base .. "/site", { index = false })
    assert.equal(404, ask("/", {}, { app = none }).status)
    assert.equal(404, ask("/sub", {}, { app = none }).status)
  end)

  it("shows hidden files only when asked to", function()
    local open = app_module.new():static("/", base .. "/site", { dotfiles = true })
    assert.equal("secret", ask("/.hidden", {}, { app = open }).body)
    assert.equal(404, ask("/..%2fsecret.txt", {}, { app = open }).status)
  end)
end)

describe("nothing outside leaves", function()
  for _, case in ipairs {
    { "/../secret.txt", 400 },
    { "/%2e%2e/secret.txt", 400 },
    { "/%2e%2e%2fsecret.txt", 404 },
    { "/..%2fsecret.txt", 404 },
    { "/..%5csecret.txt", 404 },
    { "/sub/%2e%2e/%2e%2e/secret.txt", 400 },
    { "/sub/..%2f..%2fsecret.txt", 404 },
    { "/%252e%252e/secret.txt", 404 },
    { "/....//secret.txt", 404 },
    { "/../site-evil/x.txt", 400 },
    { "/assets/../../secret.txt", 400 },
    { "/assets/..%2f..%2fsecret.txt", 404 },
    { "/hello.txt%00.html", 400 },
    { "/back%5cslash.txt", 404 },
    { "/.hidden", 404 },
    { "/%2ehidden", 404 },
    { "/.git/config", 404 },
    { "/sub/.", 200 },
    { "/link-out.txt", 404 },
    { "/evil/x.txt", 404 },
    { "/loop", 404 },
    { "/fifo", 404 },
    { "/" .. ("x"):rep(5000), 404 },
    { "//etc/passwd", 404 },
    { "/%2fetc%2fpasswd", 404 },
    { "/site/../secret.txt", 404 },
    { "/hello.txt%20", 404 },
  } do
    it(("gets %d: %s"):format(case[2], case[1]:sub(1, 40)), function()
      local got = ask(case[1])
      assert.equal(case[2], got.status)
      assert.not_matches("secret", got.body)
      assert.same({}, core.logged)
    end)
  end

  it("not even from a root that is a link", function()
    uv.fs_symlink(base .. "/site", base .. "/linked")
    local linked = app_module.new():static("/", base .. "/linked")
    assert.equal(200, ask("/hello.txt", {}, { app = linked }).status)
    assert.equal(404, ask("/link-out.txt", {}, { app = linked }).status)
  end)
end)

describe("conditions", function()
  local date, later, earlier = http_date.format(OLD), http_date.format(OLD + 1), http_date.format(OLD - 1)
  for _, case in ipairs {
    -- headers ($ stands for the tag), status
    { { ["if-none-match"] = "$" }, 304 },
    { { ["if-none-match"] = 'W/$' }, 304 },
    { { ["if-none-match"] = '"a", $, "b"' }, 304 },
    { { ["if-none-match"] = "*" }, 304 },
    { { ["if-none-match"] = '"other"' }, 200 },
    { { ["if-none-match"] = "nonsense" }, 200 },
    { { ["if-none-match"] = '"other"', ["if-modified-since"] = later }, 200 },
    { { ["if-modified-since"] = date }, 304 },
    { { ["if-modified-since"] = later }, 304 },
    { { ["if-modified-since"] = earlier }, 200 },
    { { ["if-modified-since"] = "yesterday" }, 200 },
    { { ["if-match"] = "$" }, 200 },
    { { ["if-match"] = "*" }, 200 },
    { { ["if-match"] = "W/$" }, 412 },
    { { ["if-match"] = '"other"' }, 412 },
    { { ["if-unmodified-since"] = date }, 200 },
    { { ["if-unmodified-since"] = earlier }, 412 },
    { { ["if-match"] = "$", ["if-unmodified-since"] = earlier }, 200 },
    { { ["if-none-match"] = "$", range = "bytes=0-1" }, 304 },
  } do
    local shown = {}
    for name, value in pairs(case[1]) do
      shown[#shown + 1] = name .. ": " .. value
    end
    table.sort(shown)
    it(("give %d for %s"):format(case[2], table.concat(shown, "; ")), function()
      local etag = ask("/hello.txt").headers.etag
      local headers = {}
      for name, value in pairs(case[1]) do
        headers[name] = value:gsub("%$", function()
          return etag
        end)
      end
      local got = ask("/hello.txt", headers)
      assert.equal(case[2], got.status)
      assert.equal(case[2] == 200 and "Hello, static world!" or "", got.body)
      assert.equal(etag, got.headers.etag)
      if case[2] == 304 then
        assert.is_nil(got.headers["content-length"])
        assert.is_nil(got.headers["content-type"])
        assert.is_string(got.headers["cache-control"])
      end
    end)
  end
end)

describe("ranges", function()
  for _, case in ipairs {
    -- Range, status, Content-Range, body
    { "bytes=0-4", 206, "bytes 0-4/20", "Hello" },
    { "bytes=7-", 206, "bytes 7-19/20", "static world!" },
    { "bytes=-6", 206, "bytes 14-19/20", "world!" },
    { "bytes=-100", 206, "bytes 0-19/20", "Hello, static world!" },
    { "bytes=0-0", 206, "bytes 0-0/20", "H" },
    { "bytes=19-19", 206, "bytes 19-19/20", "!" },
    { "bytes=15-99999999999999999999999", 206, "bytes 15-19/20", "orld!" },
    { "BYTES = 0 - 4", 206, "bytes 0-4/20", "Hello" },
    { "bytes=20-", 416, "bytes */20" },
    { "bytes=99999999999999999999-", 416, "bytes */20" },
    { "bytes=-0", 416, "bytes */20" },
    { "bytes=5-4", 200 },
    { "bytes=-", 200 },
    { "bytes=a-b", 200 },
    { "bytes=0-1,3-4", 200 },
    { "items=0-4", 200 },
    { "bytes 0-4", 200 },
    { "", 200 },
  } do
    it(("%s gives %d"):format(case[1], case[2]), function()
      local got = ask("/hello.txt", { range = case[1] })
      assert.equal(case[2], got.status)
      assert.equal(case[3], got.headers["content-range"])
      local body = case[4] or case[2] == 200 and "Hello, static world!" or ""
      assert.equal(body, got.body)
      assert.equal(tostring(#body), got.headers["content-length"])
    end)
  end

  it("crosses pieces", function()
    local got = ask("/large.bin", { range = "bytes=65530-131100" })
    assert.equal(206, got.status)
    assert.is_true(got.body == LARGE:sub(65531, 131101))
  end)

  it("mean nothing to HEAD and to an empty file", function()
    assert.equal(200, ask("/hello.txt", { range = "bytes=0-4" }, { method = "HEAD" }).status)
    assert.equal(200, ask("/nothing.txt", { range = "bytes=-4" }).status)
    assert.equal(416, ask("/nothing.txt", { range = "bytes=0-4" }).status)
  end)

  it("depend on If-Range", function()
    local etag = ask("/hello.txt").headers.etag
    for value, status in pairs {
      [etag] = 206,
      ["W/" .. etag] = 200,
      ['"other"'] = 200,
      [http_date.format(OLD)] = 206,
      [http_date.format(OLD + 1)] = 200,
    } do
      assert.equal(status, ask("/hello.txt", { range = "bytes=0-4", ["if-range"] = value }).status)
    end
  end)
end)

describe("res:file", function()
  local function respond(fields, fn)
    local own = app_module.new():any("/*", fn)
    fields.app = own
    return ask("/x", fields.headers, fields)
  end

  it("sends any file, with what the handler set", function()
    local got = respond({}, function(_, res)
      res.headers["Cache-Control"] = "no-store"
      assert(res:file(base .. "/secret.txt", { type = "text/x-own" }))
    end)
    assert.equal("secret", got.body)
    assert.equal("no-store", got.headers["cache-control"])
    assert.equal("text/x-own", got.headers["content-type"])
  end)

  it("does ranges and conditions only for 200", function()
    local got = respond({ headers = { range = "bytes=0-1" } }, function(_, res)
      res:file(base .. "/secret.txt")
    end)
    assert.equal("se", got.body)
    got = respond({ headers = { range = "bytes=0-1", ["if-none-match"] = "*" } }, function(_, res)
      res.status = 404
      res:file(base .. "/secret.txt")
    end)
    assert.equal(404, got.status)
    assert.equal("secret", got.body)
  end)

  it("says why it can't", function()
    local results = {}
    respond({}, function(_, res)
      results.missing = { res:file(base .. "/missing") }
      results.directory = { res:file(base) }
      res:send()
    end)
    assert.equal("ENOENT", results.missing[3])
    assert.equal("EISDIR", results.directory[3])
  end)

  it("checks its arguments", function()
    for pattern, arguments in pairs {
      ["bad argument #1 to 'file'"] = {},
      ["res:file: unknown option 'tpye'; did you mean 'type'%?"] = { "x", { tpye = "y" } },
    } do
      core.logged = {}
      respond({}, function(_, res)
        res:file(table.unpack(arguments))
      end)
      assert.matches("static_spec%.lua:%d+: " .. pattern, core.logged[1])
    end
  end)
end)

describe("descriptors", function()
  it("are all closed", function()
    local function count()
      local n = 0
      for _ in uv.fs_scandir_next, assert(uv.fs_scandir "/proc/self/fd") do
        n = n + 1
      end
      return n
    end
    ask "/hello.txt"
    local before = count()
    for _, target in ipairs { "/hello.txt", "/sub", "/sub/", "/fifo", "/large.bin", "/link-out.txt", "/empty/" } do
      ask(target)
      ask(target, { ["if-none-match"] = "*" })
    end
    for _ = 1, 200 do
      if count() <= before then
        break
      end
      fake.run(time.sleep, 0.01)
    end
    assert.equal(before, count())
  end)
end)

describe("static.local_path", function()
  local mount = { prefix = { "a" }, root = "/srv", dotfiles = false }
  for _, case in ipairs {
    { { "a" }, "/srv", false },
    { { "a", "" }, "/srv", true },
    { { "a", "b", "c" }, "/srv/b/c", false },
    { { "a", "b", "" }, "/srv/b", true },
    { { "ab" }, nil },
    { { "a", "", "b" }, nil },
    { { "a", ".." }, nil },
    { { "a", "b/c" }, nil },
    { { "a", "b\\c" }, nil },
    { { "a", "b\0c" }, nil },
    { { "a", ".b" }, nil },
  } do
    it(("%q"):format(table.concat(case[1], " | ")), function()
      local path, wants_directory = static.local_path(mount, case[1])
      assert.equal(case[2], path)
      if path then
        assert.equal(case[3], wants_directory)
      end
    end)
  end
end)
