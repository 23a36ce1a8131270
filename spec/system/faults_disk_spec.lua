-- faults_disk_spec.lua - the disk is full, a real one of a few KiB that is mounted where only the program sees it: who wanted
-- something stored is told, what was acknowledged stays, and when there is room again it is used. (Needs root, which may mount.
-- The log on a full disk: log_spec.lua.)
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local example = require "spec.support.example"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local uv = require "luv"
local visitor = require "spec.support.visitor"

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

-- Runs a program with a small disk at $1, half of which is taken by a file, and keeps in $2 what is there at its end.
local SMALL_DISK = [[
  disk=$1 kept=$2 size=$3; shift 3
  mount -t tmpfs -o size=${size}k tmpfs "$disk" || exit
  head -c $((size * 512)) /dev/zero >"$disk/filler"
  "$@" & pid=$!
  trap 'kill -9 $pid' TERM
  echo "pid $pid"
  wait $pid; cp -a "$disk/." "$kept"
]]

local can_mount = uv.getuid() == 0 and os.execute "unshare -m mount -t tmpfs tmpfs /mnt 2>/dev/null"

local function start(size_kib, command, disk, kept)
  local words = { "-m", "/bin/sh", "-c", SMALL_DISK, "sh", disk, kept, tostring(size_kib) }
  local child = program.spawn(table.move(command, 1, #command, #words + 1, words), { command = "/usr/bin/unshare" })
  local pid = math.tointeger(tonumber(child:expect("line").text:match "^pid (%d+)"))
  local function make_room()
    assert(uv.fs_unlink(("/proc/%d/root%s/filler"):format(pid, disk)))
  end
  return child, pid, make_room
end

local function if_mountable(name, test)
  it(name, function()
    if not can_mount then
      return pending "only root can mount a disk"
    end
    test()
  end)
end

if_mountable("what the chat has acknowledged is there after its disk was full and it was killed", function()
  local disk, kept, secret = async.directory(), async.directory(), ("chat"):rep(8)
  local server = example.path "examples/chat/server.lua"
  local child, pid, make_room = start(2048, {
    "/usr/bin/env", "TOKEN_SECRET=" .. secret, program.binary, server, "0", "127.0.0.1", disk .. "/chat.db",
  }, disk, kept)
  local function enter(line)
    local ann = visitor.connect(math.tointeger(tonumber(line.text:match ":(%d+)/")))
    ann:upgrade("/?token=" .. example.signer(secret):sign({ sub = "Ann", role = "customer" }, 60))
    return ann
  end
  local ann = enter(child:expect "line")
  local acknowledged, refused = {}, 0
  local function say(id)
    ann:send(visitor.TEXT, json.encode { content = id .. (" "):rep(2000) .. "x", id = tostring(id) })
    local answer = json.decode(ann:message())
    assert.equal(tostring(id), answer.id)
    if answer.type == "ack" then
      acknowledged[#acknowledged + 1] = tostring(id)
      assert.equal(#acknowledged, answer.seq)
      return true
    end
    assert.equal("it could not be stored, try again later", answer.message)
    refused = refused + 1
  end
  local id = 0
  repeat
    id = id + 1
  until not say(id)
  assert.truthy(#acknowledged > 10)
  for _ = 1, 5 do
    say(id)
  end
  assert.truthy(refused > 1 and child.stderr:find "disk is full", child.stderr)
  make_room()
  for later = id, id + 9 do
    assert.truthy(say(later))
  end
  uv.kill(pid, "sigkill")
  child:expect "exit"
  local again = example.start("chat", { kept .. "/chat.db" }, { env = { TOKEN_SECRET = secret } })
  ann = enter { text = again.url }
  local found, before = {}, nil
  repeat
    ann:send(visitor.TEXT, json.encode { history = { before = before } })
    local page
    repeat
      page = json.decode(ann:message())
    until page.type == "history"
    for i = #page.messages, 1, -1 do
      table.insert(found, 1, page.messages[i].content:match "^%d+")
    end
    before = page.messages[1].seq
  until not page.more
  assert.same(acknowledged, found)
  again:stop()
end)

local FETCHING = [[
  local app = moonwire.app()
  local port
  local function fetch(size)
    local answer, message, code = moonwire.fetch("http://127.0.0.1:" .. port .. "/bytes/" .. size, { file = arg[1] .. "/film" })
    return answer and tostring(answer.status) or code .. ": " .. message
  end
  app:get("/bytes/:size", function(req, res) res:send(("x"):rep(tonumber(req.params.size))) end)
  app:get("/fetch/:size", function(req, res) res:send(fetch(req.params.size)) end)
  app:static("/disk", arg[1])
  port = serve(app):address().port
]]

if_mountable("a file that does not fit is told, and leaves nothing", function()
  local disk, kept = async.directory(), async.directory()
  local child, pid, make_room = start(512, program.command(FETCHING, { disk }), disk, kept)
  local port = child:expect("listening").port
  local client = visitor.connect(port)
  local function get(target)
    client:request(target)
    return (select(2, client:response()))
  end
  assert.equal("200", get "/fetch/1000")
  for _ = 1, 3 do
    assert.matches("^ENOSPC: ", get "/fetch/400000")
    -- The one from before is still there, and nothing beside it.
    assert.equal(("x"):rep(1000), get "/disk/film")
    local names = {}
    for name in uv.fs_scandir_next, (assert(uv.fs_scandir(("/proc/%d/root%s"):format(pid, disk)))) do
      names[#names + 1] = name
    end
    table.sort(names)
    assert.same({ "filler", "film" }, names)
  end
  make_room()
  assert.equal("200", get "/fetch/400000")
  assert.equal(400000, #get "/disk/film")
  uv.kill(pid, "sigterm")
  child:expect "exit"
  assert.not_matches("moonwire: error", child.stderr)
end)
