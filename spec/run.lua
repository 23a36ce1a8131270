-- run.lua - runs the specs: moonwire spec/run.lua [busted's options] [files or folders]; without any of those, all.
-- The interpreter is moonwire itself, so that specs use its loop. All of busted runs in the script's task: a test (and
-- before_each, setup and the like) may wait in the middle like any handler. Pure Lua specs run under lua5.4 as well.
-- Returns when all passed, so that moonwire then shows whether anything was left alive; exits with 1 if not.
-- SPDX-License-Identifier: MIT

local SPECS = { "spec/unit", "spec/runtime", "spec/system" }
local TEST_LIMIT_SECONDS = 120 -- the last resort: specs that wait set themselves a shorter one

local root = arg[0]:match "^(.*)/spec/[^/]*$" or "."
local paths = { "?.lua", "spec/?.lua", "lua/?.lua", "lua/?/init.lua" }
for i, path in ipairs(paths) do
  paths[i] = root .. "/" .. path
end
package.path = table.concat(paths, ";") .. ";" .. package.path

-- busted forgets after each file what that file loaded. What is written in C is loaded before, once for all.
local loaded = {}
for _, name in ipairs { "moonwire.core", "luv", "cjson", "lfs", "system", "term" } do
  local ok, module = pcall(require, name)
  loaded[name] = ok and module
end

-- Names of files or folders choose; if there are only options, they apply to everything.
local lfs = loaded.lfs
local chosen = false
for _, argument in ipairs(arg) do
  chosen = chosen or lfs.attributes(argument, "mode") ~= nil
end
if not chosen then
  for _, folder in ipairs(SPECS) do
    if lfs.attributes(root .. "/" .. folder, "mode") == "directory" then
      table.insert(arg, root .. "/" .. folder)
    end
  end
end

-- A test whose event never comes would keep the program waiting, or let it end with nothing alive as if all were well.
-- This timer keeps the loop going until all of busted is done; when it fires it says which test it is, and stops.
local function guard(busted, uv)
  local timer = uv.new_timer()
  local current = "before the first test"
  local function arm(seconds)
    uv.update_time()
    timer:start(seconds * 1000, 0, function()
      io.stdout:flush()
      io.stderr:write(("\n%s: has not ended within %d s\n"):format(current, TEST_LIMIT_SECONDS))
      os.exit(false)
    end)
  end
  arm(TEST_LIMIT_SECONDS)
  busted.subscribe({ "test", "start" }, function(element, parent)
    local at = element.trace and ("%s:%d: "):format(element.trace.short_src, element.trace.currentline) or ""
    current = ("%s%s %s"):format(at, parent and parent.name or "", element.name)
    arm(TEST_LIMIT_SECONDS)
    return nil, true
  end)
  busted.subscribe({ "exit" }, function()
    timer:close()
    return nil, true
  end)
end

-- busted.core makes the object that the runner uses; it is met there, as the runner offers no other way in.
if loaded["moonwire.core"] then
  local make = require "busted.core"
  package.loaded["busted.core"] = function()
    local busted = make()
    guard(busted, loaded.luv)
    return busted
  end
end

-- Its own way out closes the Lua state, which here is in use: this is one of its tasks.
require("busted.compatibility").exit = function(code)
  os.exit(code == 0)
end

require "busted.runner" { standalone = false }
