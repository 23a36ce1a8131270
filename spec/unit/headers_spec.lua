local headers = require "moonwire.headers"

local function lines_of(table_of_headers)
  local lines = {}
  headers.append_lines(table_of_headers, lines)
  return lines
end

describe("a table of headers", function()
  it("finds names in any case and keeps order and spelling", function()
    local h = headers.new()
    h["X-One"] = "1"
    h["content-TYPE"] = "text/plain"
    h["x-one"] = "2"
    assert.equal("2", h["X-ONE"])
    assert.equal("text/plain", h["Content-Type"])
    assert.is_nil(h["X-Two"])
    assert.is_nil(h[1])
    assert.same({ "X-One: 2", "content-TYPE: text/plain" }, lines_of(h))
  end)

  it("forgets what is set to nil, and takes it again once", function()
    local h = headers.new()
    h.A = "1"
    h.B = "2"
    h.a = nil
    assert.same({ "B: 2" }, lines_of(h))
    h.A = "3"
    assert.same({ "A: 3", "B: 2" }, lines_of(h))
  end)

  it("repeats a header for a list", function()
    local h = headers.new()
    h["Set-Cookie"] = { "a=1", "b=2" }
    assert.same({ "Set-Cookie: a=1", "Set-Cookie: b=2" }, lines_of(h))
  end)

  it("takes numbers and empty strings", function()
    local h = headers.new()
    h.A = 10
    h.B = ""
    h.C = 1.5
    assert.same({ "A: 10", "B: ", "C: 1.5" }, lines_of(h))
  end)

  it("can be walked", function()
    local h = headers.new()
    h.A = "1"
    h.B = "2"
    h.C = "3"
    h.B = nil
    local seen = {}
    for name, value in pairs(h) do
      seen[#seen + 1] = name .. value
    end
    assert.same({ "A1", "C3" }, seen)
  end)

  for _, name in ipairs { "", "a b", "a:", "a\r\nb", "a\0", "ä", "a(b)", "a\t", '"a"', "a/b" } do
    it("refuses the name " .. ("%q"):format(name), function()
      assert.error_matches(function()
        headers.new()[name] = "x"
      end, "header name .*only letters")
    end)
  end

  for _, case in ipairs {
    { "a\r\nX-Evil: 1", "CR" },
    { "a\nb", "LF" },
    { "a\0b", "NUL" },
    { "\27[0m", "a control character" },
    { "a\127", "a control character" },
    { true, "not a boolean" },
    { function() end, "not a function" },
    { { "fine", "bad\n" }, "LF" },
    { { {} }, "not a table" },
  } do
    it("refuses a value with " .. case[2], function()
      assert.error_matches(function()
        headers.new()["X-Name"] = case[1]
      end, "header 'X%-Name': .*" .. case[2])
    end)
  end

  it("lets tabs and non-ASCII text through", function()
    local h = headers.new()
    h.A = "a\tb 你"
    assert.same({ "A: a\tb 你" }, lines_of(h))
  end)

  it("looks at lists again when they are sent", function()
    local h = headers.new()
    h.A = { "fine" }
    h.A[1] = "bad\r\n"
    assert.error_matches(function()
      lines_of(h)
    end, "header 'A'.*CR")
  end)

  it("copies plain tables, checking them", function()
    assert.same({ "A: 1", "B: 2", "B: 3" }, lines_of(headers.copy { B = { "2", "3" }, A = 1 }))
    assert.same({}, lines_of(headers.copy(nil)))
    assert.error_matches(function()
      headers.copy { ["a b"] = "x" }
    end, "header name")
    assert.error_matches(function()
      headers.copy { [1] = "x" }
    end, "header name a number")
  end)

  it("names the line of the script", function()
    local ok, message = pcall(function()
      headers.new()["X-Name"] = "a\n"
    end)
    assert.is_false(ok)
    assert.matches("headers_spec%.lua:%d+: header 'X%-Name'", message)
  end)
end)
