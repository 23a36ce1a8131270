-- soak_spec.lua - the soak, in short: that it still runs, and that it finds a leak where there is one. What twenty minutes
-- find out only `make soak` knows.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"

local GUARD = 110

after_each(peer.stop_all)

local function soak(...)
  local child = program.spawn { program.root .. "/spec/soak/run.lua", ... }
  async.wait_until(function()
    return child:count "exit" > 0
  end, "the soak to end", GUARD)
  return program.wait(child)
end

it("in ten seconds of everything nothing is lost and nothing left over", function()
  local result = soak("--seconds", "10")
  assert.equal("", result.code == 0 and "" or result.stdout .. result.stderr)
  assert.matches("\nPASS", result.stdout)
  -- Each kind of thing has happened.
  for name, count in result.stdout:match("\n(acknowledged [^\n]*)"):gmatch "(%l+) (%d+)" do
    assert.equal(name == "lost", count == "0", name)
  end
end)

it("a planted leak of memory, and one of descriptors, make it fail", function()
  local result = soak("--seconds", "5", "--leak", "memory,descriptor")
  assert.equal(1, result.code, result.stdout .. result.stderr)
  local at_rest = result.stdout:match "\nat rest.*" or error(result.stdout .. result.stderr)
  assert.matches("\nserver: Lua MiB[^\n]*FAIL\n", at_rest)
  assert.matches("\nserver: descriptors[^\n]*FAIL\n", at_rest)
  assert.matches("\nserver: threads[^\n]*pass\n", at_rest)
  assert.is_nil(result.stdout:match "problem: [^\n]*") -- and nothing else is wrong
end)
