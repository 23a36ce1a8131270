local json = require "moonwire.json"

describe("json.encode", function()
  for _, case in ipairs {
    { { 1, 2, 3 }, "[1,2,3]" },
    { {}, "{}" },
    { json.empty_array, "[]" },
    { { list = json.array() }, '{"list":[]}' },
    { json.array { 1 }, "[1]" },
    { { { json.empty_array } }, "[[[]]]" },
    { { json.empty_array, { a = 1 }, "x", true, json.null, 1.5 }, '[[],{"a":1},"x",true,null,1.5]' },
    { json.null, "null" },
    { "a\"b\\\n你/", '"a\\"b\\\\\\n你\\/"' },
    { true, "true" },
    { 12, "12" },
    { 12.0, "12" },
    { -0.5, "-0.5" },
    { 123456789012345, "123456789012345" },
    { { 1 << 53 }, "[9007199254740992]" },
    { math.maxinteger, "9223372036854775807" },
    { { id = -(1 << 60) }, '{"id":-1152921504606846976}' },
    { { [1] = 1, [3] = 3 }, "[1,null,3]" },
    { { json.empty_array, nil, 3 }, "[[],null,3]" },
    { { [1] = json.empty_array, [3] = 3 }, "[[],null,3]" },
  } do
    it("writes " .. case[2], function()
      assert.equal(case[2], json.encode(case[1]))
    end)
  end

  local loop = {}
  loop[1] = loop
  local loop_with_array = { json.array() }
  loop_with_array[2] = loop_with_array
  for name, case in pairs {
    NaN = { { 0 / 0 }, "NaN" },
    infinity = { 1 / 0, "NaN or Inf" },
    ["a function"] = { { print }, "function" },
    ["a function beside an empty array"] = { { json.empty_array, print }, "function" },
    ["a key that is a table"] = { { [{}] = 1 }, "key must be" },
    ["a key that is a table, beside an empty array"] = { { [{}] = 1, a = json.empty_array }, "key must be" },
    ["a loop"] = { loop, "contains itself" },
    ["a loop beside an empty array"] = { loop_with_array, "contains itself" },
    holes = { { [1] = 1, [100] = 2 }, "sparse" },
    ["holes beside an empty array"] = { { [1] = json.empty_array, [100] = 2 }, "sparse" },
  } do
    it("refuses " .. name, function()
      local ok, message = pcall(json.encode, case[1])
      assert.is_false(ok)
      assert.matches("json%.encode: .*" .. case[2], message)
    end)
  end
end)

describe("json.decode", function()
  for _, case in ipairs {
    { "[1,2]", { 1, 2 } },
    { '{"a":{"b":[true,false]}}', { a = { b = { true, false } } } },
    { '"x"', "x" },
    { "1.5", 1.5 },
    { "[]", {} },
    { '{"\\u4f60":"\\ud83d\\ude00"}', { ["你"] = "😀" } },
    { '\t{\r\n"a\\n\\"" :\n\t[ 1,\n"\\\\" ]\n}\n', { ['a\n"'] = { 1, "\\" } } },
  } do
    it("reads " .. case[1], function()
      assert.same(case[2], json.decode(case[1]))
    end)
  end

  it("gives integers back as integers", function()
    assert.equal("integer", math.type(json.decode "12"))
    local t = json.decode '{"n":3,"list":[4.0,5.5]}'
    assert.equal("3 4 5.5", ("%s %s %s"):format(t.n, t.list[1], t.list[2]))
  end)

  it("keeps null", function()
    assert.equal(json.null, json.decode "null")
    assert.equal(json.null, json.decode("[null]")[1])
  end)

  for _, text in ipairs {
    "", "{", "[1,]", "nope", "[NaN]", "[0x10]", "[Infinity]", "{} {}", '"\\ud800"', "[01x]", "{'a':1}",
    ("["):rep(129) .. ("]"):rep(129), '{"a":1}\0more', '"a\1b"', '"a\nb"', '["\\"\t"]', '{"a\tb":1}', "[\0]", "[1]\27",
  } do
    it("refuses " .. text:sub(1, 20), function()
      local value, message, code = json.decode(text)
      assert.is_nil(value)
      assert.is_string(message)
      assert.equal("json", code)
    end)
  end

  it("takes a nesting of 128", function()
    assert.is_table(json.decode(("["):rep(128) .. ("]"):rep(128)))
  end)

  it("raises for what is no text", function()
    assert.error_matches(function()
      json.decode(nil)
    end, "string expected, got nil")
  end)

  it("reads what encode writes", function()
    local value = { a = { 1, 2, { b = "c" } }, d = false, e = 1.25, f = json.null, g = "" }
    assert.same(value, json.decode(json.encode(value)))
  end)
end)

describe("json and lua-cjson", function()
  it("keep their settings apart", function()
    local cjson = require "cjson"
    cjson.encode_invalid_numbers(true)
    finally(function()
      cjson.encode_invalid_numbers(false)
    end)
    assert.has_error(function()
      json.encode(0 / 0)
    end)
  end)
end)
