local url = require "moonwire.url"

describe("url.decode and url.encode", function()
  for _, case in ipairs {
    { "plain", "plain" },
    { "a%20b", "a b" },
    { "%e4%BD%a0", "你" },
    { "a+b", "a+b" },
    { "%2525", "%25" },
    { "", "" },
  } do
    it("decodes " .. case[1], function()
      assert.equal(case[2], url.decode(case[1]))
    end)
  end

  for _, text in ipairs { "%", "%2", "%zz", "a%", "%%20", "100%25%", "%-1", "% 20" } do
    it("refuses " .. text, function()
      local decoded, message = url.decode(text)
      assert.is_nil(decoded)
      assert.equal("malformed percent-encoding", message)
    end)
  end

  it("encodes all but unreserved characters", function()
    assert.equal("AZaz09-._~%20%2F%3F%26%25%2B%00%E4%BD%A0", url.encode "AZaz09-._~ /?&%+\0你")
  end)

  it("brings every byte back", function()
    local all = {}
    for byte = 0, 255 do
      all[#all + 1] = string.char(byte)
    end
    local text = table.concat(all)
    assert.equal(text, url.decode(url.encode(text)))
  end)
end)

describe("url.parse_query", function()
  for _, case in ipairs {
    { "a=1&b=2", { a = "1", b = "2" } },
    { "a=1&a=2", { a = "2" } },
    { "a+b=c+d", { ["a b"] = "c d" } },
    { "Authorization=Bearer%20abc&EIO=3", { Authorization = "Bearer abc", EIO = "3" } },
    { "flag", { flag = "" } },
    { "flag=", { flag = "" } },
    { "=x", { [""] = "x" } },
    { "a=b=c", { a = "b=c" } },
    { "&&a=1&", { a = "1" } },
    { "a=100%", { a = "100%" } },
    { "%E4%BD%A0=%e5%a5%bd", { ["你"] = "好" } },
    { "", {} },
  } do
    it("reads " .. case[1], function()
      assert.same(case[2], (url.parse_query(case[1])))
    end)
  end

  it("keeps every value of a repeated name", function()
    local _, all = url.parse_query "a=1&b=x&a=2&a="
    assert.same({ a = { "1", "2", "" }, b = { "x" } }, all)
  end)

  it("takes nil for nothing", function()
    assert.same({}, (url.parse_query(nil)))
  end)

  it("reads what format_query writes", function()
    local text = url.format_query { ["a b"] = "c&d", list = { "1", "2" }, n = 3, on = true }
    assert.equal("a%20b=c%26d&list=1&list=2&n=3&on=true", text)
    assert.same({ ["a b"] = { "c&d" }, list = { "1", "2" }, n = { "3" }, on = { "true" } },
      (select(2, url.parse_query(text))))
  end)
end)

describe("url.parse_target", function()
  for _, case in ipairs {
    { "/", "/", { "" }, "" },
    { "/a/b", "/a/b", { "a", "b" }, "" },
    { "/a/b/", "/a/b/", { "a", "b", "" }, "" },
    { "/a?x=1?2", "/a", { "a" }, "x=1?2" },
    { "/a?", "/a", { "a" }, "" },
    { "/a//b", "/a//b", { "a", "", "b" }, "" },
    { "/%61", "/a", { "a" }, "" },
    { "/a%2Fb", "/a/b", { "a/b" }, "" },
    { "/a/./b", "/a/b", { "a", "b" }, "" },
    { "/a/../b", "/b", { "b" }, "" },
    { "/a/%2e%2E/b", "/b", { "b" }, "" },
    { "/a/..", "/", { "" }, "" },
    { "/a/.", "/a/", { "a", "" }, "" },
    { "/a/b/../", "/a/", { "a", "" }, "" },
    { "/...", "/...", { "..." }, "" },
    { "/a..b", "/a..b", { "a..b" }, "" },
    { "http://host/x?y", "/x", { "x" }, "y", "host" },
    { "HTTPS://host:8443", "/", { "" }, "", "host:8443" },
    { "http://host?y", "/", { "" }, "y", "host" },
    { "*", "*", {}, "" },
  } do
    it("reads " .. case[1], function()
      assert.same({ path = case[2], segments = case[3], query = case[4], authority = case[5] },
        url.parse_target(case[1]))
    end)
  end

  for _, case in ipairs {
    { "/%", "malformed percent%-encoding" },
    { "/%zz/a", "malformed percent%-encoding" },
    { "/a%00b", "NUL" },
    { "/..", "leaves the root" },
    { "/a/../../b", "leaves the root" },
    { "/%2e%2e/etc/passwd", "leaves the root" },
    { "/a#b", "fragment" },
    { "/a b", "blank" },
    { "/a\tb", "control" },
    { "host:80", "neither" },
    { "ftp://host/", "neither" },
    { "a/b", "neither" },
    { "", "neither" },
  } do
    it("refuses " .. ("%q"):format(case[1]), function()
      local parts, message = url.parse_target(case[1])
      assert.is_nil(parts)
      assert.matches(case[2], message)
    end)
  end
end)

describe("url.parse", function()
  for _, case in ipairs {
    { "http://h", {
      scheme = "http", host = "h", port = 80, authority = "h", path = "/", target = "/", secure = false,
    } },
    { "WSS://Ex.Com:443/a?b=c#frag", {
      scheme = "wss", host = "ex.com", port = 443, authority = "ex.com", path = "/a", query = "b=c",
      target = "/a?b=c", secure = true,
    } },
    { "ws://h:8080?x", {
      scheme = "ws", host = "h", port = 8080, authority = "h:8080", path = "/", query = "x", target = "/?x",
      secure = false,
    } },
    { "https://[::1]:9/", {
      scheme = "https", host = "::1", port = 9, authority = "[::1]:9", path = "/", target = "/", secure = true,
    } },
    { "http://[2001:db8::1]", {
      scheme = "http", host = "2001:db8::1", port = 80, authority = "[2001:db8::1]", path = "/", target = "/",
      secure = false,
    } },
    { "http://us%40er:p%3Aw@h/", {
      scheme = "http", user = "us@er", password = "p:w", host = "h", port = 80, authority = "h", path = "/",
      target = "/", secure = false,
    } },
    { "http://user@h/", {
      scheme = "http", user = "user", password = "", host = "h", port = 80, authority = "h", path = "/",
      target = "/", secure = false,
    } },
    { "http://h:/x", {
      scheme = "http", host = "h", port = 80, authority = "h", path = "/x", target = "/x", secure = false,
    } },
    { "http://h/你?q=好", {
      scheme = "http", host = "h", port = 80, authority = "h", path = "/%E4%BD%A0", query = "q=%E5%A5%BD",
      target = "/%E4%BD%A0?q=%E5%A5%BD", secure = false,
    } },
    { "http://h/a%20b", {
      scheme = "http", host = "h", port = 80, authority = "h", path = "/a%20b", target = "/a%20b", secure = false,
    } },
    { "http://h/a?", {
      scheme = "http", host = "h", port = 80, authority = "h", path = "/a", query = "", target = "/a?", secure = false,
    } },
  } do
    it("reads " .. case[1], function()
      assert.same(case[2], url.parse(case[1]))
    end)
  end

  for _, case in ipairs {
    { "h/path", "no scheme" },
    { "//h/path", "no scheme" },
    { "ftp://h", "'ftp' is not" },
    { "http://", "host" },
    { "http:///x", "host" },
    { "http://h:0/", "port" },
    { "http://h:65536/", "port" },
    { "http://h:8x/", "port" },
    { "http://h:1:2/", "port" },
    { "http://[::1/", "host" },
    { "http://[abc]/", "host" },
    { "http://[::1]x/", "port" },
    { "http://a b/", "blank" },
    { "http://h/\r\nX: y", "control" },
    { "http://h\0/", "control" },
    { "http://ho$t/", "host" },
    { "http://%zz@h/", "user name" },
  } do
    it("refuses " .. ("%q"):format(case[1]), function()
      local parts, message = url.parse(case[1])
      assert.is_nil(parts)
      assert.matches(case[2], message)
    end)
  end
end)

describe("url.resolve", function()
  local base = assert(url.parse "http://a:8080/b/c/d?q")
  for _, case in ipairs {
    { "https://other/x", "https://other/x" },
    { "//other/x", "http://other/x" },
    { "/x?y", "http://a:8080/x?y" },
    { "g", "http://a:8080/b/c/g" },
    { "./g", "http://a:8080/b/c/g" },
    { "g/", "http://a:8080/b/c/g/" },
    { "../g", "http://a:8080/b/g" },
    { "../..", "http://a:8080/" },
    { "../../../../g", "http://a:8080/g" },
    { "..", "http://a:8080/b/" },
    { "?y", "http://a:8080/b/c/d?y" },
    { "", "http://a:8080/b/c/d?q" },
    { "#frag", "http://a:8080/b/c/d?q" },
    { "g#frag", "http://a:8080/b/c/g" },
    { "/a/%2E%2e/b", "http://a:8080/b" },
  } do
    it("finds " .. case[1], function()
      assert.equal(case[2], url.resolve(base, case[1]))
    end)
  end
end)

describe("url.format_host", function()
  it("puts brackets around IPv6", function()
    assert.equal("[::1]", url.format_host("::1"))
    assert.equal("[::1]:80", url.format_host("::1", 80))
    assert.equal("h:80", url.format_host("h", 80))
  end)
end)
