local fake = require "support.fake_core"
local core = fake.install()
local fetch = require("moonwire.fetch").fetch
local time = require "moonwire.time"
local url = require "moonwire.url"
local uv = require "luv"

local respond = fake.client_response

before_each(function()
  core.requests, core.answers, core.logged = {}, {}, {}
end)

-- Queue answers, fetch in a task, give back what fetch gave.
local function get(answers, address, options)
  for _, answer in ipairs(answers) do
    core.answers[#core.answers + 1] = type(answer) == "function" and answer or function()
      return answer
    end
  end
  return fake.run(fetch, address or "http://h/", options)
end

-- The request line and the header lines of the n-th request.
local function sent(n)
  local head = core.requests[n or 1].head
  assert.equal("\r\n\r\n", head:sub(-4))
  local lines, headers = {}, {}
  for line in head:gmatch("(.-)\r\n") do
    lines[#lines + 1] = line
    local name, value = line:match("^([^:]+): (.*)$")
    if name then
      headers[name:lower()] = value
    end
  end
  return lines[1], headers
end

describe("moonwire.fetch", function()
  it("asks and collects the answer", function()
    local answer = respond(200, { ["content-type"] = "application/json" }, { '{"a"', ":1}" })
    local response = get({ answer }, "http://user:pa%20ss@Host:8080/a?q=1#x")
    assert.equal(200, response.status)
    assert.equal("Fake", response.reason)
    assert.equal('{"a":1}', response.body)
    assert.same({ a = 1 }, response:json())
    assert.equal("http://host:8080/a?q=1", response.url)
    assert.equal("application/json", response.headers["content-type"])
    assert.is_true(answer.closed)
    local line, headers = sent()
    assert.equal("GET /a?q=1 HTTP/1.1", line)
    assert.same({
      host = "host:8080",
      accept = "*/*",
      connection = "close",
      ["user-agent"] = "moonwire/0.0.0-test",
      authorization = "Basic dXNlcjpwYSBzcw==",
    }, headers)
    local request = core.requests[1]
    assert.equal("host", request.host)
    assert.equal(8080, request.port)
    assert.is_false(request.tls)
    assert.is_true(request.timeout > 29 and request.timeout <= 30)
  end)

  for text, encoded in pairs { ["a:"] = "YTo=", ["a:b"] = "YTpi", ["ab:b"] = "YWI6Yg==", ["\255:\0"] = "/zoA" } do
    it("encodes " .. ("%q"):format(text), function()
      local user, password = text:match("^(.*):(.*)$")
      get({ respond(200) }, ("http://%s:%s@h/"):format(url.encode(user), url.encode(password)))
      assert.equal("Basic " .. encoded, select(2, sent()).authorization)
    end)
  end

  it("verifies https unless told otherwise", function()
    get({ respond(200) }, "https://h/")
    assert.same({ verify = true, server_name = "h" }, core.requests[1].tls)
    assert.equal(443, core.requests[1].port)
    get({ respond(200) }, "https://h/", { tls = { ca = "ca.pem", verify = false } })
    assert.same({ ca = "ca.pem", verify = false, server_name = "h" }, core.requests[2].tls)
  end)

  it("sends bodies", function()
    get({ respond(200) }, nil, { body = "abc" })
    local line, headers = sent()
    assert.equal("POST / HTTP/1.1", line)
    assert.equal("3", headers["content-length"])
    assert.equal("abc", core.requests[1].body)
    get({ respond(200) }, nil, { json = { 1 }, method = "put", headers = { ["X-A"] = { "1", "2" } } })
    line, headers = sent(2)
    assert.equal("PUT / HTTP/1.1", line)
    assert.equal("application/json", headers["content-type"])
    assert.equal("[1]", core.requests[2].body)
    assert.matches("\r\nX%-A: 1\r\nX%-A: 2\r\n", core.requests[2].head)
    get({ respond(200) }, nil, { method = "POST" })
    assert.equal("0", select(2, sent(3))["content-length"])
    get({ respond(200) }, nil, { method = "HEAD" })
    assert.equal("HEAD", core.requests[4].method)
    assert.is_nil(select(2, sent(4))["content-length"])
  end)

  for pattern, case in pairs {
    ["unknown option 'tiemout'; did you mean 'timeout'%?"] = { "http://h", { tiemout = 1 } },
    ["bad argument #1 to 'fetch'"] = { nil },
    ["option 'method' must be an HTTP method"] = { "http://h", { method = "G T" } },
    ["option 'body' must be a string"] = { "http://h", { body = {} } },
    ["option 'json' excludes 'body'"] = { "http://h", { body = "", json = 1 } },
    ["option 'sink' excludes 'file'"] = { "http://h", { sink = print, file = "x" } },
    ["header 'Content%-Length' is chosen by moonwire"] = { "http://h", { headers = { ["content-length"] = 1 } } },
    ["header 'X': the value contains CR"] = { "http://h", { headers = { X = "a\r\nb" } } },
    ["header name \"a b\""] = { "http://h", { headers = { ["a b"] = "x" } } },
    ["option 'proxy' must be an address"] = { "http://h", { proxy = "socks5://x" } },
    ["option 'timeout' must be a number of seconds, or false"] = { "http://h", { timeout = 0 } },
  } do
    it("raises: " .. pattern, function()
      local message = fake.run(function()
        local _, text = pcall(function()
          local result = fetch(table.unpack(case, 1, 2))
          return result
        end)
        return text
      end)
      assert.matches(pattern, message)
      assert.matches("fetch_spec%.lua:%d+: ", message)
      assert.equal(0, #core.requests)
    end)
  end

  for address, pattern in pairs {
    ["h/x"] = "no scheme: h/x",
    ["ws://h"] = "can't speak 'ws'",
    ["http://h:99999"] = "port",
    ["http://h/ x"] = "blank",
  } do
    it("can't fetch " .. address, function()
      local response, message, code = get({}, address)
      assert.is_nil(response)
      assert.matches(pattern, message)
      assert.equal("url", code)
    end)
  end

  it("passes failures on", function()
    assert.same({ nil, "connection refused", "refused" }, { get { function()
      return nil, "connection refused", "refused"
    end } })
  end)

  it("says when the body breaks off", function()
    local answer = respond(200, {}, { "abc", { "the connection was closed", "closed" } })
    assert.same({ nil, "the connection was closed", "closed" }, { get { answer } })
    assert.is_true(answer.closed)
  end)

  it("can only be used where waiting works", function()
    local _, message = fake.where_nothing_waits(function()
      return pcall(fetch, "http://h")
    end)
    assert.matches("can only wait inside a handler or a task", message)
  end)
end)

describe("redirects", function()
  local function to(location, status)
    return respond(status or 302, { location = location })
  end

  for _, case in ipairs {
    -- status, method, method after, body after
    { 301, "POST", "GET" },
    { 302, "POST", "GET" },
    { 303, "POST", "GET" },
    { 303, "PUT", "GET" },
    { 303, "HEAD", "HEAD" },
    { 302, "HEAD", "HEAD" },
    { 307, "POST", "POST", "abc" },
    { 308, "PUT", "PUT", "abc" },
    { 302, "GET", "GET" },
  } do
    it(("%d after %s asks with %s"):format(case[1], case[2], case[3]), function()
      local has_body = case[2] == "POST" or case[2] == "PUT"
      local first = to("/next", case[1])
      local response = get({ first, respond(200, {}, { "ok" }) }, "http://h/a", {
        method = case[2], body = has_body and "abc" or nil, headers = { ["Content-Type"] = "x/y", ["X-A"] = "1" },
      })
      assert.equal(200, response.status)
      assert.equal("http://h/next", response.url)
      assert.is_true(first.closed)
      local line, headers = sent(2)
      assert.equal(case[3] .. " /next HTTP/1.1", line)
      assert.equal(case[4], core.requests[2].body)
      assert.equal(case[4] and "x/y" or case[1] >= 307 and "x/y" or nil, headers["content-type"])
      assert.equal("1", headers["x-a"])
    end)
  end

  for _, case in ipairs {
    { "http://h:81/x", true }, { "https://h/x", true }, { "http://other/x", true }, { "//other/x", true },
    { "/x", false }, { "http://H:80/x", false }, { "x", false },
  } do
    it((case[2] and "keeps secrets from " or "trusts ") .. case[1], function()
      get({ to(case[1]), respond(200) }, "http://h/a", {
        headers = { Authorization = "secret", cookie = "secret", Host = "virtual", ["X-A"] = "1" },
      })
      local _, headers = sent(2)
      assert.equal(not case[2] and "secret" or nil, headers.authorization)
      assert.equal(not case[2] and "secret" or nil, headers.cookie)
      assert.equal("1", headers["x-a"])
      assert.equal(case[2], headers.host ~= "virtual")
    end)
  end

  it("forget the user of the address on another host", function()
    get({ to "http://other/", respond(200) }, "http://user:pw@h/")
    assert.is_nil(select(2, sent(2)).authorization)
  end)

  it("have a limit", function()
    local answers = {}
    for i = 1, 11 do
      answers[i] = to("/" .. i)
    end
    assert.same({ nil, "more than 10 redirects", "redirects" }, { get(answers) })
    assert.equal(11, #core.requests)
    core.requests = {}
    assert.same({ nil, "more than 0 redirects", "redirects" }, { get({ to "/x" }, nil, { redirects = 0 }) })
    assert.equal(1, #core.requests)
  end)

  it("can be left to the script", function()
    local response = get({ to "/x" }, nil, { redirects = false })
    assert.equal(302, response.status)
    assert.equal("/x", response.headers.location)
  end)

  it("without a Location are answers", function()
    assert.equal(302, get({ respond(302) }).status)
    assert.equal(300, get({ respond(300, { location = "/x" }) }).status)
  end)

  it("don't leave HTTP", function()
    local response, message, code = get { to "file:///etc/passwd" }
    assert.is_nil(response)
    assert.matches("'file' is not http", message)
    assert.equal("url", code)
    assert.equal("url", select(3, get { to "ws://h/" }))
  end)
end)

describe("streaming", function()
  local directory

  setup(function()
    directory = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/fetch-XXXXXX"))
  end)

  teardown(function()
    os.execute(("rm -rf '%s'"):format(directory))
  end)

  local function read(path)
    local file = io.open(path, "rb")
    local content = file and file:read "a"
    if file then
      file:close()
    end
    return content
  end

  it("goes to a function, with progress", function()
    local pieces, progress = {}, {}
    local response = get({ respond(200, { ["content-length"] = "5" }, { "ab", "cde" }) }, nil, {
      sink = function(chunk)
        time.sleep(0)
        pieces[#pieces + 1] = chunk
      end,
      progress = function(received, total)
        progress[#progress + 1] = received .. "/" .. total
      end,
    })
    assert.same({ "ab", "cde" }, pieces)
    assert.same({ "2/5", "5/5" }, progress)
    assert.is_nil(response.body)
  end)

  it("goes to a file, which appears when it is whole", function()
    local path = directory .. "/whole"
    local part
    local response = get({ respond(200, {}, { "abc", ("x"):rep(100000) }) }, nil, {
      file = path,
      progress = function()
        part = read(path .. ".part")
        assert.is_nil(read(path))
      end,
    })
    assert.is_nil(response.body)
    assert.equal(100003, #part)
    assert.equal("abc" .. ("x"):rep(100000), read(path))
    assert.is_nil(read(path .. ".part"))
  end)

  it("leaves no part of a file behind", function()
    local path = directory .. "/broken"
    assert.is_nil(get({ respond(200, {}, { "abc", { "gone", "closed" } }) }, nil, { file = path }))
    assert.is_nil(read(path))
    assert.is_nil(read(path .. ".part"))
    local ok, message = pcall(get, { respond(200, {}, { "abc" }) }, nil, {
      file = path,
      progress = function()
        error "stop"
      end,
    })
    assert.is_false(ok)
    assert.matches("stop", message)
    assert.is_nil(read(path .. ".part"))
  end)

  it("says why there is no file", function()
    local answer = respond(200, {}, { "abc" })
    local response, _, code = get({ answer }, nil, { file = directory .. "/no/such/directory" })
    assert.is_nil(response)
    assert.equal("ENOENT", code)
    assert.is_true(answer.closed)
  end)

  it("is for success: the text of an error is in the body", function()
    local path = directory .. "/error"
    local response = get({ respond(404, {}, { "not here" }) }, nil, { file = path })
    assert.equal(404, response.status)
    assert.equal("not here", response.body)
    assert.is_nil(read(path))
  end)

  it("has a limit in bytes", function()
    local answer = respond(200, {}, { "abc", "def" })
    local response, message, code = get({ answer }, nil, { max_bytes = 5 })
    assert.is_nil(response)
    assert.equal("the body is larger than 5 bytes", message)
    assert.equal("too_large", code)
    assert.is_true(answer.closed)
    assert.equal("abcde", get({ respond(200, {}, { "abc", "de" }) }, nil, { max_bytes = 5 }).body)
  end)
end)

describe("the time limit", function()
  it("holds for the body too", function()
    local answer = respond(200)
    local reader
    function answer.read()
      reader = coroutine.running()
      return coroutine.yield()
    end
    function answer:close()
      local waiting = reader
      reader, self.closed = nil, true
      if waiting then
        core.resume(waiting, nil, "the connection is closed", "closed")
      end
    end
    assert.same({ nil, "the request took longer than 0.01 s", "timeout" }, { get({ answer }, nil, { timeout = 0.01 }) })
  end)

  it("holds for all redirects together", function()
    local function slow()
      time.sleep(0.02)
      return respond(302, { location = "/x" })
    end
    local _, message, code = get({ slow, slow }, nil, { timeout = 0.01 })
    assert.equal("the request took longer than 0.01 s", message)
    assert.equal("timeout", code)
    assert.equal(1, #core.requests)
  end)

  it("can be off", function()
    get({ respond(200) }, nil, { timeout = false })
    assert.equal(0, core.requests[1].timeout)
  end)
end)
