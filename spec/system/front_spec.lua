-- front_spec.lua - the front page of the examples: that it lists those that run, links to them and shows their source;
-- and that each example is a folder to copy: it runs elsewhere as well.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local example = require "spec.support.example"
local json = require "moonwire.json"
local lfs = require "lfs"
local peer = require "spec.support.peer"

-- The folders of examples/ that are programs.
local function programs()
  local names = {}
  for name in lfs.dir(example.path "examples") do
    if name ~= "front" and lfs.attributes(example.path("examples/" .. name .. "/server.lua")) then
      table.insert(names, name)
    end
  end
  table.sort(names)
  return names
end

local function copy(from, to)
  local process = peer.spawn("cp", { "-r", from, to })
  assert.equal(0, process:expect("exit").code, process.stderr)
end

-- A place of its own for what examples keep.
local function start(name, changes)
  changes = changes or {}
  changes.env = { STATE_DIRECTORY = async.directory() }
  return example.start(name, {}, changes)
end

local function list(front)
  local found = {}
  for _, each in ipairs(assert(json.decode(front:fetch("/examples").text))) do
    found[each.name] = each
  end
  return found
end

describe("the front page of the examples", function()
  after_each(function()
    peer.stop_all()
  end)
  teardown(peer.finish)

  it("shows each with a sentence, its source and a link that leads to it", function()
    local front = start "front"
    local ports = {}
    for name, each in pairs(list(front)) do
      assert.is_nil(each.problem)
      ports[name] = each.port
    end
    example.play("front_page.mjs", front.url, 4, {}, { names = programs(), ports = ports })
    front:stop()
  end)

  it("serves the Lua of examples and nothing else", function()
    local front = start "front"
    for name, each in pairs(list(front)) do
      assert.truthy(each.sentence, name)
      for _, file in ipairs(each.files) do
        local answer = front:fetch(("/source/%s/%s"):format(name, file))
        assert.same({ 200, "text/plain; charset=utf-8" }, { answer.status, answer.headers["content-type"] }, file)
        local path = example.path(("examples/%s/%s"):format(name, file))
        assert.equal(lfs.attributes(path, "size"), answer.length, file)
      end
    end
    for _, path in ipairs { "chat/nothing.lua", "chat/secret.key", "front/server.lua", "chat/..%2fchat%2fserver.lua",
      "%2e%2e/x" } do
      local status = front:fetch("/source/" .. path).status
      assert.is_true(status == 404 or status == 400, path)
    end
    front:stop()
  end)

  it("lists an example that doesn't run with the reason, and runs the others", function()
    local directory = async.directory()
    for _, name in ipairs { "front", "common", "hello" } do
      copy(example.path("examples/" .. name), directory)
    end
    assert(lfs.mkdir(directory .. "/broken"))
    local file <close> = assert(io.open(directory .. "/broken/server.lua", "w"))
    file:write '-- server.lua - an example that is out of order.\nerror "the wheel came off"\n'
    file:flush()
    local front = start("front", { script = directory .. "/front/server.lua" })
    local found = list(front)
    assert.equal("an example that is out of order.", found.broken.sentence)
    assert.truthy(found.broken.problem:find "the wheel came off$", found.broken.problem)
    assert.is_nil(found.hello.problem)
    assert.equal("integer", math.type(found.hello.port))
    front:stop()
  end)

  for _, name in ipairs(programs()) do
    it("tells truly how to copy " .. name, function()
      local directory = async.directory()
      copy(example.path("examples/" .. name), directory)
      copy(example.path "examples/common", directory)
      local alone = start(name, { script = ("%s/%s/server.lua"):format(directory, name) })
      assert.equal(200, alone:fetch("/").status)
      assert.equal(200, alone:fetch("/common/moonwire.js").status)
      alone:stop()
    end)
  end
end)
