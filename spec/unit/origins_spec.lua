-- origins_spec.lua - which pages may connect, and what the log says of those that may not: once in a while, and with what to
-- write to allow them.
-- SPDX-License-Identifier: MIT

local fake = require "support.fake_core"
local core = fake.install()
local origins = require "moonwire.origins"
local virtual_clock = require "support.virtual_clock"

describe("a page", function()
  for _, case in ipairs {
    -- allowed, Origin, Host, answer
    { "same-host", nil, "h", true },
    { "same-host", "http://h", "h", true },
    { "same-host", "http://h:80", "h", true },
    { "same-host", "https://h", "h:443", true },
    { "same-host", "https://h", "h", true },
    { "same-host", "http://H:8080", "h:8080", true },
    { "same-host", "http://[::1]:8080", "[::1]:8080", true },
    { "same-host", "http://h:8080", "h", false },
    { "same-host", "http://h", "h:8080", false },
    { "same-host", "http://evil", "h", false },
    { "same-host", "http://h.evil", "h", false },
    { "same-host", "null", "h", false },
    { "same-host", "http://h, http://evil", "h", false },
    { "same-host", "http://h@evil", "h", false },
    { "same-host", "http://h/", "h", false },
    { "same-host", "chrome-extension://h", "h", false },
    { "same-host", "http://h", nil, false },
    { "same-host", "", "h", false },
    { "same-host", "http://h:99999999999999999999", "h", false },
    { { "http://h" }, "http://h:99999999999999999999", "x", false },
    { { "http://[::1]:81" }, "http://[::1]81", "x", false },
    { "same-host", "http://[::1]81", "[::1]:81", false },
    { "*", "http://evil", "h", true },
    { { "https://a.b" }, "https://A.b:443", "h", true },
    { { "https://a.b" }, "http://a.b", "h", false },
    { { "https://a.b" }, "https://a.b:8443", "h", false },
    { { "https://x", "http://y:1" }, "http://y:1", "h", true },
    { { "https://a.b" }, nil, "h", true },
    { { "https://a.b" }, "null", "h", false },
    { { "null" }, "null", "h", true },
    { {}, "http://h", "h", false },
    -- default ports, said or not, and IPv6
    { "same-host", "https://example.com:443", "example.com", true },
    { "same-host", "https://example.com", "example.com:443", true },
    { "same-host", "http://example.com:443", "example.com:443", true },
    { "same-host", "https://example.com", "example.com:80", false },
    { "same-host", "HTTPS://EXAMPLE.COM", "Example.com", true },
    { "same-host", "https://[2001:DB8::1]", "[2001:db8::1]:443", true },
    { "same-host", "http://[::1]:8080", "[::1]:8081", false },
    { "same-host", "http://[::1]", "[::2]", false },
    { "same-host", "http://h:", "h", true },
    { "same-host", "http://h", "", false },
    { "same-host", "null", "null", false },
    { { "https://[::1]:443" }, "https://[::1]", "h", true },
    { { "HTTPS://A.B" }, "https://a.b", "h", true },
    { { "https://a.b" }, "https://a.b.evil", "h", false },
    { { "https://a.b" }, "https://xa.b", "h", false },
    { { "https://a.b" }, "https://axb", "h", false },
    { { "https://a.b" }, "NULL", "h", false },
    { { "https://a.b" }, "", "h", false },
    { "*", "null", "h", true },
    { "*", "", nil, true },
  } do
    local allowed = type(case[1]) == "table" and table.concat(case[1], " ") or case[1]
    it(("from %s to %s is %s (%s)"):format(case[2], case[3], case[4] and "allowed" or "refused", allowed), function()
      assert.equal(case[4], origins.is_allowed(case[1], case[2], case[3]))
    end)
  end
end)

it("the option has to be what can be compared", function()
  for _, good in ipairs { "same-host", "*", {}, { "null" }, { "https://a.b", "http://[::1]:8080" } } do
    assert.is_nil(origins.fault(good))
  end
  for _, wrong in ipairs { "https://a.b", 1, { "a.b" }, { "https://a.b/" }, { "https://a.b/x" }, { "https://*.b" }, { "*" } } do
    assert.is_string(origins.fault(wrong))
  end
end)

describe("the log", function()
  local clock, told
  before_each(function()
    core.logged = {}
    clock, told = virtual_clock.take(), origins.account()
  end)
  after_each(function()
    clock:release()
  end)

  local function refuse(from, allowed, headers)
    headers = headers or {}
    headers.origin, headers.host = from, headers.host or "h:8080"
    origins.tell_refused(told, "websocket /x", allowed or "same-host", headers)
    return table.remove(core.logged)
  end

  it("names the route, the origin and the host, and says what would allow it", function()
    assert.equal('warning: websocket /x: refused a page: its Origin "https://a.b" is not of the Host it asked, "h:8080"; '
      .. 'origins = { "https://a.b" } would allow it', refuse "https://a.b")
    assert.equal('warning: websocket /x: refused a page: its Origin "https://c" is not among the route\'s origins '
      .. '(Host "h:8080"); origins = { …, "https://c" } would allow it', refuse("https://c", { "https://a.b" }))
    assert.matches('origins = { "https://d" } would allow it$', refuse("https://d", {}))
  end)

  it("says of pages without an origin of their own whom else that would allow", function()
    assert.matches('origins = { "null" } would allow it, and every other page', refuse "null")
  end)

  it("advises nothing that would not work", function()
    for _, bad in ipairs { "http://a, http://b", "", "file:///etc/passwd", "https://" .. ("x"):rep(300) } do
      local line = refuse(bad)
      assert.matches('only origins = "%*" would allow it$', line)
      assert.is_true(#line < 400)
    end
  end)

  it("has nothing in it that a terminal obeys, and no quotation that ends early", function()
    local line = refuse('https://\27[2J\xc2\x9b\127"\\\n', nil, { host = "h\7" })
    assert.is_nil(line:find "[%c\127-\255]")
    assert.truthy(line:find([["https://\x1b[2J\xc2\x9b\x7f\x22\x5c\x0a" is not of the Host it asked, "h\x07"]], 1, true))
  end)

  it("says that X-Forwarded-Host does not count", function()
    local line = refuse("https://a.b", nil, { ["x-forwarded-host"] = "a.b" })
    assert.matches("; X%-Forwarded%-Host is not looked at, so the proxy has to pass Host on$", line)
  end)

  it("tells of each origin once a minute, with how many there were meanwhile", function()
    assert.is_string(refuse "https://a.b")
    for _ = 1, 41 do
      assert.is_nil(refuse "https://a.b")
    end
    assert.is_string(refuse "https://c.d")
    clock:advance(59)
    assert.is_nil(refuse "https://a.b")
    clock:advance(1.5)
    assert.matches("%(42 more of it since the last line%)$", refuse "https://a.b")
    assert.is_nil(refuse "https://a.b")
  end)

  it("doesn't let somebody who makes up origins fill it, nor the memory", function()
    local lines = 0
    for i = 1, 1000 do
      lines = lines + (refuse("https://made-up-" .. i) and 1 or 0)
    end
    assert.equal(32, lines)
    assert.equal(32, told.size)
    clock:advance(61)
    assert.matches("%(968 from other origins were not told of%)$", refuse "https://a.b")
    assert.equal(1, told.size)
  end)
end)
