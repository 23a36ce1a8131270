-- deploy_spec.lua - the units of examples/deploy: what they say about moonwire is so. (What they say about systemd only
-- systemd-analyze can check, which is asked where it is installed.)
-- SPDX-License-Identifier: MIT

local program = require "spec.support.program"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "a"
  file:close()
  return text
end

-- Settings by name; of a repeated one the last.
local function settings_of(path)
  local settings = {}
  for line in read(path):gmatch "[^\n]+" do
    local name, value = line:match "^(%a+)=(.*)$"
    settings[name or ""] = value
  end
  return settings
end

local function bytes(text)
  local number, unit = text:match "^(%d+)([KMG]?)$"
  return tonumber(number) << ({ [""] = 0, K = 10, M = 20, G = 30 })[unit]
end

if program.root then
  describe("the units of examples/deploy", function()
    local directory = program.root .. "/examples/deploy"
    local service, socket = settings_of(directory .. "/moonwire@.service"), settings_of(directory .. "/moonwire@.socket")
    local words = {}
    for word in service.ExecStart:gmatch "%S+" do
      words[#words + 1] = word
    end

    it("start moonwire with options that it has, and a script", function()
      assert.equal("/usr/local/bin/moonwire", words[1])
      assert.equal("server.lua", words[#words])
      words[#words] = "--version" -- options are read in order
      local result = program.run { table.unpack(words, 2) }
      assert.same({ 0, "" }, { result.code, result.stderr })
    end)

    it("leave the program the times that it was told", function()
      local drain = tonumber(service.ExecStart:match "%-%-drain (%d+)")
      local limit = tonumber(service.ExecStart:match "%-%-handler%-limit (%d+)")
      assert.is_true(tonumber(service.TimeoutStopSec) > drain)
      assert.is_true(tonumber(service.WatchdogSec) > 2 * limit)
    end)

    it("leave it more memory than Lua may take, and descriptors for all connections", function()
      assert.is_true(bytes(service.MemoryMax) > bytes(service.ExecStart:match "%-%-memory%-limit (%w+)"))
      assert.is_true(tonumber(service.LimitNOFILE) > 10000)
    end)

    it("don't try again what can't succeed", function()
      local result = program.run { "--nonsense" }
      assert.equal(service.RestartPreventExitStatus, tostring(result.code))
    end)

    it("name the socket as the reference does", function()
      local name = socket.FileDescriptorName
      assert.truthy(read(directory .. "/moonwire@.service"):find(('inherited = "%s"'):format(name), 1, true))
      assert.truthy(read(program.root .. "/docs/reference.md"):find(('inherited = "%s"'):format(name), 1, true))
    end)

    if os.execute "command -v systemd-analyze >/dev/null 2>&1" then
      it("are understood by systemd", function()
        local result = program.run({ "verify", "--recursive-errors=no", directory .. "/moonwire@.socket" },
          { command = "systemd-analyze" })
        assert.is_nil(result.stderr:find("Unknown", 1, true), result.stderr)
      end)
    end
  end)
end
