local http_date = require "moonwire.http_date"

describe("http_date.format", function()
  for _, case in ipairs {
    { 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
    { 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
    { 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
    { 1709251199, "Thu, 29 Feb 2024 23:59:59 GMT" },
    { 4107542400, "Mon, 01 Mar 2100 00:00:00 GMT" },
    { -1, "Wed, 31 Dec 1969 23:59:59 GMT" },
    { 1.9, "Thu, 01 Jan 1970 00:00:01 GMT" },
  } do
    it("writes " .. case[2], function()
      assert.equal(case[2], http_date.format(case[1]))
    end)
  end

  it("agrees with the C library over three centuries", function()
    for time = -2208988800, 7258118400, 86400 * 13 + 3607 do
      local expected = os.date("!%Y-%m-%d %H:%M:%S", time)
      local day, month, year, clock = http_date.format(time):match("^%a+, (%d+) (%a+) (%d+) (%S+) GMT$")
      local number = ("JanFebMarAprMayJunJulAugSepOctNovDec"):find(month, 1, true) // 3 + 1
      assert.equal(expected, ("%s-%02d-%s %s"):format(year, number, day, clock))
    end
  end)

  it("says now", function()
    local before = os.time()
    local now = http_date.parse(http_date.now())
    assert.is_true(now >= before - 1 and now <= os.time())
  end)
end)

describe("http_date.parse", function()
  for _, case in ipairs {
    { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
    { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
    { "Sun Nov  6 08:49:37 1994", 784111777 },
    { "Sun Nov 16 08:49:37 1994", 784975777 },
    { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
    { "Tue, 29 Feb 2000 12:00:00 GMT", 951825600 },
    { "Thu, 31 Dec 1998 23:59:60 GMT", 915148800 },
  } do
    it("reads " .. case[1], function()
      assert.equal(case[2], http_date.parse(case[1]))
    end)
  end

  for _, text in ipairs {
    "", "yesterday", "784111777", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 6 Nov 1994 08:49:37 GMT", "Xxx, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Thu, 29 Feb 1900 00:00:00 GMT",
    "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06-Nov-94 08:49:37 GMT", "Someday, 06-Nov-94 08:49:37 GMT",
    "1994-11-06T08:49:37Z", "Sun Nov 6 08:49:37 1994",
  } do
    it("refuses " .. ("%q"):format(text), function()
      assert.is_nil(http_date.parse(text))
    end)
  end

  it("puts years of two digits near now", function()
    local year = tonumber(os.date("!%Y"))
    local function read(full_year)
      local text = ("Monday, 01-Jan-%02d 00:00:00 GMT"):format(full_year % 100)
      return tonumber(os.date("!%Y", http_date.parse(text)))
    end
    assert.equal(year + 1, read(year + 1))
    assert.equal(year + 50, read(year + 50))
    assert.equal(year - 49, read(year - 49))
  end)

  it("reads what format writes", function()
    for time = 0, 4e9, 123456789 do
      assert.equal(time, http_date.parse(http_date.format(time)))
    end
  end)
end)
