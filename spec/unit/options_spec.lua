local options = require "moonwire.options"

local SCHEMA = {
  port = options.integer(0, 65535),
  host = options.string,
  tls = options.group { cert = options.string, key = options.string },
  timeout = options.seconds(0.001),
  slow = options.one_of("close", "drop", "latest"),
  names = options.list_of(options.string, 1),
  pairs = options.list_of(options.group { cert = options.string }),
  on = options.boolean,
  open = options.func,
  maybe = options.either("a string, or false", options.string, options.off),
}

describe("options.check", function()
  for name, case in pairs {
    ["a typing error"] = { { prot = 80 }, "unknown option 'prot'; did you mean 'port'%?" },
    ["another one"] = { { timout = 1 }, "unknown option 'timout'; did you mean 'timeout'%?" },
    ["a dash for an underscore"] = { { ["Host"] = "x" }, "did you mean 'host'%?" },
    ["a stranger"] = { { completely_other = 1 }, "unknown option 'completely_other'$" },
    ["a number for a name"] = { { "x" }, "unknown option '1'$" },
    ["a string for an integer"] = { { port = "80" }, 'option \'port\' must be an integer from 0 to 65535, not "80"' },
    ["a fraction"] = { { port = 1.5 }, "'port' must be an integer from 0 to 65535, not 1.5" },
    ["too much"] = { { port = 65536 }, "not 65536" },
    ["too little"] = { { port = -1 }, "not %-1" },
    ["an empty string"] = { { host = "" }, 'a string that is not empty, not ""' },
    ["a NUL"] = { { host = "a\0b" }, "a string that is not empty" },
    ["a nested typing error"] = { { tls = { crt = "x" } }, "unknown option 'tls%.crt'; did you mean 'cert'%?" },
    ["a nested wrong type"] = { { tls = { cert = 1 } }, "option 'tls%.cert' must be a string that is not empty" },
    ["no table where one belongs"] = { { tls = true }, "option 'tls' must be a table, not true" },
    ["no time"] = { { timeout = 0 }, "a number of seconds from 0.001 to" },
    ["NaN"] = { { timeout = 0 / 0 }, "a number of seconds" },
    ["infinity"] = { { timeout = 1 / 0 }, "a number of seconds" },
    ["an unknown value"] = { { slow = "drp" }, '"close", "drop" or "latest", not "drp"' },
    ["a function for a value"] = { { slow = print }, "not a function" },
    ["a wrong item"] = { { names = { "a", 2 } }, "option 'names%[2%]' must be a string that is not empty, not 2" },
    ["a typing error inside an item"] = { { pairs = { { crt = "x" } } },
      "unknown option 'pairs%[1%]%.crt'; did you mean 'cert'%?" },
    ["a wrong type inside an item"] = { { pairs = { {}, { cert = 1 } } }, "option 'pairs%[2%]%.cert' must be a string" },
    ["an empty list"] = { { names = {} }, "must not be an empty list" },
    ["a list with names"] = { { names = { "a", b = "c" } }, "without holes or names" },
    ["a string for a list"] = { { names = "a" }, "must be a list" },
    ["a number for a boolean"] = { { on = 1 }, "must be true or false, not 1" },
    ["true where false is special"] = { { maybe = true }, "a string, or false, not true" },
  } do
    it("tells " .. name, function()
      local ok, message = pcall(function()
        local copy = options.check("listen", SCHEMA, case[1], 1)
        return copy
      end)
      assert.is_false(ok)
      assert.matches("options_spec%.lua:%d+: listen: ", message)
      assert.matches(case[2], message)
    end)
  end

  it("copies what is fine", function()
    local given = { port = 0, host = "::1", tls = { cert = "a", key = "b" }, timeout = 0.5, slow = "drop",
      names = { "a", "b" }, on = false, open = print, maybe = false }
    local copy = options.check("listen", SCHEMA, given)
    assert.same(given, copy)
    assert.are_not.equal(given, copy)
  end)

  it("takes nothing for an empty table", function()
    assert.same({}, options.check("listen", SCHEMA, nil))
  end)

  it("wants a table", function()
    assert.error_matches(function()
      options.check("listen", SCHEMA, "8080")
    end, 'listen: the options must be a table, not "8080"')
  end)

  it("takes a float that is whole for an integer", function()
    assert.equal(80.0, options.check("listen", SCHEMA, { port = 80.0 }).port)
  end)
end)
