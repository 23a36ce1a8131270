-- user_spec.lua - --user: who the program is before and after it is ready. Only root can become somebody else.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local uv = require "luv"

after_each(peer.stop_all)

local IS_ROOT = uv.getuid() == 0

-- What the kernel says about the rights of a process.
local LOOK = [[
  local function look()
    local rights = {}
    for line in io.lines "/proc/self/status" do
      local name, value = line:match "^(%a+):%s*(.-)%s*$"
      rights[name or ""] = value
    end
    return { uid = rights.Uid, gid = rights.Gid, groups = rights.Groups, capabilities = rights.CapEff,
      new = rights.NoNewPrivs }
  end
]]

local function four(number)
  return ("%d\t%d\t%d\t%d"):format(number, number, number, number)
end

local function id_of(kind, name)
  local file = assert(io.popen(("id %s %s"):format(kind, name)))
  local id = file:read "n"
  file:close()
  return id
end

describe("--user", function()
  if not IS_ROOT then
    pending "needs root: run the specs as root to see that rights are given up"
    return
  end

  it("is root until the ports are open, and then somebody else for good", function()
    local uid, gid = id_of("-u", "nobody"), id_of("-g", "nobody")
    local child = program.start(LOOK .. [[
      local before = look()
      serve(moonwire.app())
      tell("before", before)
      moonwire.sleep(0)
      tell("after", look())
      tell("back", { uid = select(2, pcall(uv.setuid, 0)) ~= nil and uv.getuid(), denied = not io.open("/etc/shadow") })
    ]], nil, { "--user", "nobody" })
    assert.equal(four(0), child:expect("before").uid)
    local after = child:expect "after"
    assert.same({ four(uid), four(gid), "0000000000000000", "1" }, { after.uid, after.gid, after.capabilities, after.new })
    local groups = {}
    for group in after.groups:gmatch "%d+" do
      groups[#groups + 1] = tonumber(group)
    end
    assert.same({ gid }, groups)
    local back = child:expect "back"
    assert.same({ uid, true }, { back.uid, back.denied })
    assert.truthy(child.stderr:find(("info: running as user nobody (%d:%d) from here on"):format(uid, gid), 1, true))
    child:kill "sigterm"
    program.expect_clean_end(child)
  end)

  it("takes a group", function()
    local child = program.start(LOOK .. [[moonwire.after(0, function() tell("after", look()) end)]], nil,
      { "--user=nobody:daemon" })
    local after = child:expect "after"
    assert.same({ four(id_of("-u", "nobody")), four(id_of("-g", "daemon")) }, { after.uid, after.gid })
    program.expect_clean_end(child)
  end)

  it("holds for programs that the script starts, and its threads", function()
    local child = program.start([[
      moonwire.after(0, function()
        uv.fs_open("/etc/shadow", "r", 0, function(problem) tell("thread", { problem = problem }) end)
        local handle
        handle = uv.spawn("id", { args = { "-u" }, stdio = { nil, 1, 2 } }, function() handle:close() end)
      end)
      uv.fs_stat("/", function() end) -- the threads are there before
    ]], nil, { "--user", "nobody" })
    assert.truthy(child:expect("thread").problem:find "EACCES")
    assert.equal(tostring(id_of("-u", "nobody")), child:expect("line").text)
    program.expect_clean_end(child)
  end)

  it("ends with its supervisor all the same", function()
    local child = program.start([[
      serve(moonwire.app())
      moonwire.after(0, function() tell("on", { pid = uv.os_getpid(), uid = uv.getuid() }) end)
    ]], nil, { "--supervise", "--user", "nobody" })
    local on = child:expect "on"
    assert.equal(id_of("-u", "nobody"), math.tointeger(on.uid))
    child:kill "sigkill"
    async.wait_until(function()
      return uv.kill(math.tointeger(on.pid), 0) == nil
    end, "the child to end")
  end)

  for words, expected in pairs {
    ["nonsuch-user"] = 'option --user: there is no user "nonsuch-user"',
    ["nobody:nonsuch-group"] = 'option --user: there is no group "nonsuch-group"',
    ["nobody:"] = 'option --user: there is no group ""',
    ["root"] = 'option --user: "root" is root, who has no fewer rights',
    [("x"):rep(100) .. ":daemon"] = 'option --user: there is no user "xxx',
  } do
    it("refuses " .. words:sub(1, 20), function()
      local result = program.run { "--user", words, program.write "print 'never'" }
      assert.same({ 2, "" }, { result.code, result.stdout })
      assert.truthy(result.stderr:find(expected, 1, true), result.stderr)
    end)
  end

  it("says that it needs root", function()
    -- A copy, as the binary may lie where only root gets to.
    local directory = async.directory()
    assert(uv.fs_chmod(directory, tonumber("755", 8)))
    assert(uv.fs_copyfile(program.binary, directory .. "/moonwire"))
    local result = program.run({ "--reuid=65534", "--clear-groups", directory .. "/moonwire", "--user", "nobody", "x.lua" },
      { command = "setpriv" })
    assert.same({ 2, "" }, { result.code, result.stdout })
    assert.truthy(result.stderr:find("only root can become somebody else, and this is user 65534", 1, true), result.stderr)
  end)
end)
