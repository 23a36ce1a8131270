-- process_spec.lua - the program as its user meets it: options, arguments, exit codes, tracebacks, the prompt.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local uv = require "luv"

after_each(peer.stop_all)

describe("options", function()
  for _, name in ipairs { "--help", "-h" } do
    it("shows its usage for " .. name, function()
      local result = program.run { name }
      assert.same({ 0, "" }, { result.code, result.stderr })
      assert.truthy(result.stdout:find("usage: moonwire", 1, true))
      assert.truthy(result.stdout:find("--version", 1, true))
    end)
  end

  for _, name in ipairs { "--version", "-v" } do
    it("shows what it is and stands on for " .. name, function()
      local result = program.run { name }
      assert.same({ 0, "" }, { result.code, result.stderr })
      assert.truthy(result.stdout:find "^moonwire %d+%.%d+%.%d+ %(Lua 5%.4%.%d+, libuv 1%.%d+.*, libwebsockets 4%.%d")
    end)
  end

  for _, name in ipairs { "--nonsense", "-x", "--help=1" } do
    it("refuses " .. name, function()
      local result = program.run { name, "script.lua" }
      assert.same({ 2, "" }, { result.code, result.stdout })
      assert.truthy(result.stderr:find("unknown option " .. name, 1, true))
      assert.truthy(result.stderr:find("usage:", 1, true))
    end)
  end

  -- What is taken, and what is refused with the words that follow.
  local VALUES = {
    { "--log-level", { "error", "warning", "info" }, { "debug", "", "INFO" }, "error, warning or info" },
    { "--log-format", { "text", "json" }, { "xml" }, "text or json" },
    { "--handler-warning", { "0", "0.5", "1e3" }, { "-1", "x", "1s", "2000001", "nan" },
      "a number of seconds from 0 to 2000000" },
    { "--handler-limit", { "0", "10" }, { "ten", "inf" }, "a number of seconds from 0 to 2000000" },
    { "--drain", { "0", "30" }, { "" }, "a number of seconds from 0 to 2000000" },
    { "--memory-limit", { "0", "64M", "67108864", "2G", "65536K" }, { "1048575", "1023K", "1T", "1MB", "-1", "99999999999G" },
      "bytes, with K, M or G behind the number" },
    { "--metrics", {}, { "" }, "[HOST:]PORT, or the path of a Unix socket" },
  }
  for _, row in ipairs(VALUES) do
    local name, taken, refused, words = table.unpack(row)

    it("takes and refuses values of " .. name, function()
      local script = program.write "print 'ran'"
      for i, value in ipairs(taken) do
        local arguments = i % 2 == 1 and { name, value, script } or { name .. "=" .. value, script }
        assert.same({ 0, "ran" }, { program.run(arguments).code, program.run(arguments).stdout }, value)
      end
      for _, value in ipairs(refused) do
        local result = program.run { name .. "=" .. value, script }
        assert.same({ 2, "" }, { result.code, result.stdout }, value)
        assert.truthy(result.stderr:find(("option %s must be %s"):format(name, words), 1, true), result.stderr)
        assert.truthy(result.stderr:find(('not "%s"'):format(value), 1, true))
      end
    end)
  end

  it("takes what follows -- for a script", function()
    local path = program.write("print(arg[0], ...)", "--version")
    local result = program.run({ "--", "--version", "x" }, { cwd = path:match "^(.*)/" })
    assert.same({ 0, "--version\tx" }, { result.code, result.stdout })
  end)
end)

describe("a script", function()
  local SHOW_ARGUMENTS = [[
    io.stdout:setvbuf "full"
    print(arg[-1], arg[0], #arg, select("#", ...))
    for i, value in ipairs { ... } do
      assert(value == arg[i])
      print(("%q"):format(value))
    end
  ]]

  it("gets its arguments as Lua gives them", function()
    local given = { "one", "two words", "", "--help", "-", "ünï", "*" }
    local result, path = program.run_script(SHOW_ARGUMENTS, table.unpack(given))
    local expected = { ("%s\t%s\t7\t7"):format(program.binary, path) }
    for i, value in ipairs(given) do
      expected[i + 1] = ("%q"):format(value)
    end
    assert.same({ 0, table.concat(expected, "\n"), "" }, { result.code, result.stdout, result.stderr })
  end)

  it("gets any number of arguments", function()
    local given = {}
    for i = 1, 5000 do
      given[i] = tostring(i)
    end
    local result = program.run_script(SHOW_ARGUMENTS, table.unpack(given))
    assert.equal(0, result.code)
    assert.truthy(result.stdout:find "\t5000\t5000\n" and result.stdout:find '\n"5000"$')
  end)

  it("may begin with a line for the shell", function()
    local result, path = program.run_script "#!/usr/bin/env moonwire\nprint 'fine'\nerror 'here'"
    assert.equal("fine", result.stdout)
    assert.truthy(result.stderr:find(path .. ":3: here", 1, true))
  end)

  it("comes from standard input when it is named -", function()
    local result = program.run({ "-", "a", "b" }, { stdin = "print(arg[0], ...)\nerror 'oops'" })
    assert.same({ 1, "-\ta\tb" }, { result.code, result.stdout })
    assert.truthy(result.stderr:find("stdin:2: oops", 1, true))
  end)

  it("may be missing", function()
    local result = program.run { "/nowhere/script.lua" }
    assert.equal(1, result.code)
    assert.truthy(result.stderr:find("/nowhere/script.lua", 1, true))
    assert.truthy(result.stderr:find("No such file", 1, true))
  end)

  it("is told where its syntax is wrong", function()
    local result, path = program.run_script "local x = 1\nlocal = 2\n"
    assert.same({ 1, "" }, { result.code, result.stdout })
    assert.truthy(result.stderr:find(path .. ":2: <name> expected near '='", 1, true))
  end)

  it("is not taken as bytecode", function()
    local code = string.dump(function() end)
    local path = program.write(code)
    local result = program.run { path }
    assert.equal(1, result.code)
    assert.truthy(result.stderr:find("attempt to load a binary chunk", 1, true))
    result = program.run({ "-" }, { stdin = code })
    assert.equal(1, result.code)
    assert.truthy(result.stderr:find("attempt to load a binary chunk", 1, true))
  end)
end)

describe("an error in the main chunk", function()
  it("ends the program with 1, a message and a traceback", function()
    local result, path = program.run_script [[
      local function inner() error "oops" end
      local function outer() inner() end
      print "begin"
      outer()
      print "never"
    ]]
    assert.same({ 1, "begin" }, { result.code, result.stdout })
    assert.truthy(result.stderr:find(path .. ":1: oops", 1, true))
    assert.truthy(result.stderr:find("stack traceback:", 1, true))
    assert.truthy(result.stderr:find(path .. ":2: in ", 1, true))
    assert.truthy(result.stderr:find(path .. ":4: in main chunk", 1, true))
  end)

  for _, case in ipairs {
    { "a table", "error {}", "table" },
    { "an object with a text", "error(setmetatable({}, { __tostring = function() return 'text' end }))", ": text\n" },
    { "nil", "error()", "nil" },
    { "a number", "error(42)", "42" },
    { "an object whose text fails", "error(setmetatable({}, { __tostring = function() error 'x' end }))", "error:" },
    { "an object whose text is none", "error(setmetatable({}, { __tostring = function() return 1 end }))", "error:" },
    { "a stack overflow", "local function f() return 1 + f() end f()", "stack overflow" },
    { "a long string", "error(('x'):rep(100000) .. 'end')", "xxx…\n" },
  } do
    it("may be " .. case[1], function()
      local result = program.run_script(case[2])
      assert.same({ 1, 0 }, { result.code, result.signal })
      assert.truthy(result.stderr:find(case[3], 1, true), result.stderr)
      assert.truthy(result.stderr:find("moonwire: error:", 1, true) or #result.stderr >= 8000)
    end)
  end

  it("ends it also after a wait, with everything it had opened", function()
    local child = program.start [[
      serve(moonwire.app():ws("/", {}):get("/", function() end))
      moonwire.every(1, print)
      moonwire.spawn(function() moonwire.sleep(1000) end)
      moonwire.sleep(0.01)
      error "too late"
    ]]
    local stderr = program.expect_clean_end(child, 1)
    assert.truthy(stderr:find ":5: too late\n  stack traceback:")
  end)
end)

describe("an error outside of the main chunk", function()
  for _, case in ipairs {
    { "a timer", "moonwire.after(0.001, fail)" },
    { "a repeated timer", "local t; t = moonwire.every(0.001, function() t:cancel() fail() end)" },
    { "a spawned task", "moonwire.spawn(fail)" },
    { "a spawned task that waited", "moonwire.spawn(function() moonwire.sleep(0.001) fail() end)" },
    { "a luv timer", "local t = uv.new_timer() t:start(1, 0, function() t:close() fail() end)" },
    { "a luv file callback", "uv.fs_stat('/', fail)" },
    { "a luv callback that waited", "uv.fs_stat('/', function() moonwire.sleep(0.001) fail() end)" },
    { "a coroutine that waited", "coroutine.wrap(function() moonwire.sleep(0.001) fail() end)()" },
  } do
    it("is told and survived in " .. case[1], function()
      local child = program.start([[
        local function fail() error "oops" end
        ]] .. case[2] .. [[

        moonwire.sleep(0.05)
        tell "went on"
        moonwire.sleep(0.01)
        tell "to the end"
      ]])
      local stderr = program.expect_clean_end(child, 1)
      assert.truthy(stderr:find "%.lua:1: oops\n  stack traceback:\n")
      assert.truthy(stderr:find("%.lua:1: in .-'fail'") or stderr:find "%.lua:1: in function <")
      assert.same({ 1, 1 }, { child:count "went on", child:count "to the end" })
    end)
  end
end)

describe("the program ends by itself", function()
  for name, script in pairs {
    ["after an empty script"] = "",
    ["after its last timer"] = "moonwire.after(0.01, function() tell 'x' end)",
    ["after a task that waited"] = "moonwire.spawn(function() moonwire.sleep(0.01) end)",
    ["after a cancelled timer"] = "local t = moonwire.every(0.01, function() end) moonwire.sleep(0.03) t:cancel()",
    ["with a luv timer that shall not keep it"] = "local t = uv.new_timer() t:start(1e6, 0, print) t:unref()",
    ["after a process it started"] = "local p; p = uv.spawn('true', {}, function() p:close() end)",
    ["after its listener was closed"] = "local l = serve(moonwire.app()) moonwire.sleep(0.01) l:close()",
    ["after its app was closed"] = "local app = moonwire.app() serve(app) moonwire.sleep(0.01) assert(app:close())",
    ["after a failed connection"] = [[assert(not moonwire.connect("ws://127.0.0.1:1/"))]],
    ["after a failed request"] = [[assert(not moonwire.fetch("http://127.0.0.1:1/"))]],
    ["after its WebSocket was closed"] = [[
      local app = moonwire.app():ws("/", { close = function() tell "closed" end })
      local listener = serve(app)
      local ws = moonwire.connect(("ws://127.0.0.1:%d/"):format(listener:address().port))
      listener:close()
      ws:close()]],
    ["after its WebSocket was terminated"] = [[
      local app = moonwire.app():ws("/", {})
      local listener = serve(app)
      local ws = moonwire.connect(("ws://127.0.0.1:%d/"):format(listener:address().port))
      listener:close()
      ws:terminate()]],
    ["after a request to itself"] = [[
      local app = moonwire.app():get("/", function(_, res) res:send "x" end)
      local listener = serve(app)
      assert(moonwire.fetch(("http://127.0.0.1:%d/"):format(listener:address().port)).body == "x")
      listener:close()]],
  } do
    it(name, function()
      assert.equal("", program.expect_clean_end(program.start(script)))
    end)
  end
end)

describe("moonwire's modules", function()
  it("are found from any directory, before others of the same name", function()
    local shadow = program.write("error 'the wrong one'", "moonwire.lua")
    local path = program.write "print(require('moonwire').version, package.loaded['moonwire.json'] ~= nil)"
    for _, directory in ipairs { "/", shadow:match "^(.*)/" } do
      local result = program.run({ path }, { cwd = directory })
      assert.same({ 0, "" }, { result.code, result.stderr })
      assert.truthy(result.stdout:find "^%d+%.%d+%.%d+\ttrue$")
    end
  end)

  it("are found when the program is started through a link", function()
    local link = async.directory() .. "/mw"
    assert(uv.fs_symlink(program.binary, link))
    local result = program.run({ program.write "print(require('moonwire').version)" }, { command = link })
    assert.same({ 0, "" }, { result.code, result.stderr })
  end)

  it("are what the script finds beside its own", function()
    local own = program.write("return 'own module'", "own.lua")
    local path = program.write "print(require 'own', require 'luv' == require 'luv', require('cjson') ~= nil)"
    local result = program.run({ path }, { cwd = own:match "^(.*)/" })
    assert.same({ "own module\ttrue\ttrue", "" }, { result.stdout:gsub("\t%./own%.lua", ""), result.stderr })
  end)
end)

describe("the prompt on piped input", function()
  it("takes lines of any length", function()
    local result = program.run({}, { stdin = "#'" .. ("x"):rep(1000000) .. "'\n" })
    assert.same({ 0, "1000000", "" }, { result.code, result.stdout, result.stderr })
  end)

  it("shows what expressions give", function()
    local result = program.run({}, { stdin = "1 + 1\n'a', nil\nx = 3\nx * 2\n" })
    assert.same({ 0, "2\na\tnil\n6", "" }, { result.code, result.stdout, result.stderr })
  end)

  it("reads on until a chunk is whole", function()
    local result = program.run({}, {
      stdin = "for i = 1, 2 do\nprint(i)\nend\nfunction f(a,\nb)\nreturn a + b end\nf(1,\n2)",
    })
    assert.same({ 0, "1\n2\n3", "" }, { result.code, result.stdout, result.stderr })
  end)

  it("tells errors and goes on", function()
    local result = program.run({}, { stdin = "error 'oops'\nlocal =\n'after'\n" })
    assert.same({ 0, "after" }, { result.code, result.stdout })
    assert.truthy(result.stderr:find "stdin:1: oops\n  stack traceback:")
    assert.truthy(result.stderr:find("<name> expected near", 1, true))
  end)

  it("waits inside a line before the next one", function()
    local result = program.run({}, { stdin = "require('moonwire').sleep(0.02); print 'first'\nprint 'second'\n" })
    assert.same({ 0, "first\nsecond", "" }, { result.code, result.stdout, result.stderr })
  end)

  it("ends with its input, once what it started is done", function()
    local result = program.run({}, {
      stdin = "t = require('moonwire').after(0.02, function() print 'late' end)\n'now'",
    })
    assert.equal(0, result.code)
    assert.truthy(result.stdout:find "now\nlate$")
  end)

  it("ends at once without any", function()
    local result = program.run({}, { stdin = "" })
    assert.same({ 0, "", "" }, { result.code, result.stdout, result.stderr })
  end)

  it("reads a file", function()
    local path = program.write(("print 'x'\n"):rep(2000) .. "'end'")
    local result = program.run({ "-c", '"$0" < "$1"', program.binary, path }, { command = "sh" })
    assert.same({ 0, ("x\n"):rep(2000) .. "end", "" }, { result.code, result.stdout, result.stderr })
  end)
end)

-- One binary is installed, so one run of the specs looks at it.
if program.root and program.binary:find "/build/release/" then
  describe("make install", function()
    local function make(...)
      -- Not a part of the make that may have started the specs.
      local result = program.run({
        "-u", "MAKEFLAGS", "-u", "MFLAGS", "-u", "MAKELEVEL", "make", "-s", "-C", program.root, ...,
      }, { command = "env" })
      assert.equal(0, result.code, result.stdout .. result.stderr)
    end

    local function files_in(directory)
      local found = {}
      for path in io.popen(("find '%s' ! -type d"):format(directory)):lines() do
        table.insert(found, path:sub(#directory + 1))
      end
      table.sort(found)
      return found
    end

    local function check(binary)
      local path = program.write "print(require 'moonwire'.version, package.searchpath('moonwire', package.path))"
      local result = program.run({ path }, { command = binary, cwd = "/" })
      assert.same({ 0, "" }, { result.code, result.stderr })
      return result.stdout:match "\t(.*)$"
    end

    it("puts a tree under any prefix that works wherever it is moved to, and uninstall removes it", function()
      local directory = async.directory()
      make("install", "PREFIX=/opt/moon", "DESTDIR=" .. directory .. "/one")
      local tree = directory .. "/one/opt/moon"
      assert.truthy(check(tree .. "/bin/moonwire"):find("/share/moonwire/lua/moonwire/init.lua", 1, true))
      assert.same(files_in(program.root .. "/lua"), files_in(tree .. "/share/moonwire/lua"))
      assert(uv.fs_rename(directory .. "/one", directory .. "/two"))
      check(directory .. "/two/opt/moon/bin/moonwire")
      assert(uv.fs_rename(directory .. "/two", directory .. "/one"))
      make("uninstall", "PREFIX=/opt/moon", "DESTDIR=" .. directory .. "/one")
      assert.same({}, files_in(directory))
      assert.is_nil(uv.fs_stat(tree .. "/share/moonwire"))
    end)
  end)
end
