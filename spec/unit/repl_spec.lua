local fake = require "support.fake_core"
local core = fake.install()
local repl = require "moonwire.repl"
local time = require "moonwire.time"

local function session(is_interactive)
  local written, ended = {}, { count = 0 }
  core.logged = {}
  local it_is = repl.new {
    is_interactive = is_interactive,
    write = function(text)
      written[#written + 1] = text
    end,
    on_end = function()
      ended.count = ended.count + 1
    end,
  }
  return it_is, function()
    local text = table.concat(written)
    written = {}
    return text
  end, ended
end

describe("the REPL", function()
  for input, output in pairs {
    ["1 + 1\n"] = "2\n",
    ["'a', nil, 2\n"] = "a\tnil\t2\n",
    ["nil\n"] = "nil\n",
    ["x_in_repl = 1\n"] = "",
    ["local y = 1; return y\n"] = "1\n",
    ["\n  \n"] = "",
    ["1 +\n1\n"] = "2\n",
    ["for i = 1, 2 do\nend\n"] = "",
    ["return 'a\\\nb'\n"] = "a\nb\n",
    ["[[a\nb]]\n"] = "a\nb\n",
    ["1\r\n2\r\n"] = "1\n2\n",
    ["1\n2\n3\n"] = "1\n2\n3\n",
    ["setmetatable({}, {__tostring = function() error 'x' end})\n"] = "(table)\n",
  } do
    it("answers " .. ("%q"):format(input), function()
      local it_is, written = session()
      fake.run(it_is.feed, it_is, input)
      assert.equal(output, written())
      assert.same({}, core.logged)
    end)
  end

  it("takes lines in any pieces", function()
    local it_is, written = session()
    for char in ("1 + 1\n'x'\n"):gmatch(".") do
      it_is:feed(char)
    end
    assert.equal("2\nx\n", written())
  end)

  it("tells errors with a traceback and goes on", function()
    local it_is, written = session()
    it_is:feed "error 'oops'\n'next'\n"
    assert.equal("next\n", written())
    assert.equal(1, #core.logged)
    assert.matches("stdin:1: oops\nstack traceback:", core.logged[1])
  end)

  it("tells wrong syntax", function()
    local it_is = session()
    it_is:feed "x x\n"
    assert.matches("stdin:1: syntax error", core.logged[1])
  end)

  it("does not take bytecode", function()
    local chunk = repl.compile(string.dump(function() end))
    assert.is_nil(chunk)
  end)

  it("waits, and lets the next lines wait", function()
    _G.sleep_in_repl = time.sleep
    finally(function()
      _G.sleep_in_repl = nil
    end)
    local it_is, written = session()
    fake.run(function()
      it_is:feed "sleep_in_repl(0.005) return 'slept'\n'after'\n"
      assert.equal("", written())
    end)
    assert.equal("slept\nafter\n", written())
  end)

  it("prompts where somebody types", function()
    local it_is, written = session(true)
    it_is:feed "1\n"
    assert.equal("1\n> ", written())
    it_is:feed "1 +\n"
    assert.equal(">> ", written())
    it_is:feed "1\n"
    assert.equal("2\n> ", written())
    it_is:finish()
    assert.equal("\n", written())
  end)

  it("ends once, after the last chunk", function()
    _G.sleep_in_repl = time.sleep
    finally(function()
      _G.sleep_in_repl = nil
    end)
    local it_is, written, ended = session()
    fake.run(function()
      it_is:feed "sleep_in_repl(0.005)\n'last'"
      it_is:finish()
      it_is:finish()
      assert.equal(0, ended.count)
    end)
    assert.equal("last\n", written())
    assert.equal(1, ended.count)
  end)

  it("says when the input ends inside a chunk", function()
    local it_is, _, ended = session()
    it_is:feed "for i = 1, 2 do\n"
    it_is:finish()
    assert.matches("ended inside a chunk", core.logged[1])
    assert.equal(1, ended.count)
  end)
end)
