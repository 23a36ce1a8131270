-- valgrind_spec.lua - under valgrind's memcheck nothing that is not initialised is used and nothing is lost, whatever the program
-- did before its end. AddressSanitizer sees neither what libraries read nor what luv, Lua or OpenSSL leave uninitialised.
-- Each script is server and clients in one process, so that both sides are looked at.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local tls = require "spec.support.tls"

local GUARD = 100
local FOUND = 99 -- exit code when memcheck has something to say
local OPTIONS = {
  "--quiet", "--leak-check=full", "--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect",
  "--error-exitcode=" .. FOUND, "--num-callers=30", "--child-silent-after-fork=yes",
  "--suppressions=" .. program.root .. "/spec/support/valgrind.supp",
}

after_each(peer.stop_all)

local BEGINNING = [[
  local app = moonwire.app()
  local core = require "moonwire.core"
  local directory, cert, key, ca = table.unpack(arg)
  local port, tls_port
  local function listen(secure)
    local listener = assert(app:listen {
      host = "127.0.0.1", port = 0, tls = secure and { cert = cert, key = key } or nil, head_timeout = 60,
    })
    if secure then tls_port = listener:address().port else port = listener:address().port end
    return listener
  end
  local function connect(path, more)
    more = more or {}
    more.timeout, more.tls = 60, more.secure and { ca = ca } or nil
    local url = ("%s://localhost:%d%s"):format(more.secure and "wss" or "ws", more.secure and tls_port or port, path)
    more.secure = nil
    return assert(moonwire.connect(url, more))
  end
  local function fetch(path, more)
    more = more or {}
    more.timeout, more.tls = more.timeout or 60, more.secure and { ca = ca } or nil
    local url = ("%s://localhost:%d%s"):format(more.secure and "https" or "http", more.secure and tls_port or port, path)
    more.secure = nil
    return moonwire.fetch(url, more)
  end
  local function stop() uv.kill(uv.os_getpid(), "sigterm") end
]]

-- Run a script to its end under memcheck; returns what it wrote on standard error.
local function run(script, code, program_options)
  local files = tls.files()
  local words = program.command(BEGINNING .. script, { async.directory(), files.cert, files.key, files.ca },
    { "--handler-warning", "0", table.unpack(program_options or {}) })
  local child = program.spawn(table.move(words, 1, #words, #OPTIONS + 1, { table.unpack(OPTIONS) }), { command = "valgrind" })
  async.wait_until(function()
    return child:count "exit" > 0
  end, child:report "has not ended", GUARD)
  if child.stderr:find "==%d+== " then
    error(child:report "memcheck found something", 2)
  end
  local log = program.expect_clean_end(child, code)
  assert.is_not_nil(child:expect "done")
  return log
end

if program.is_sanitized then
  return pending "valgrind does not go with sanitizers: it looks at the plain build"
elseif not os.execute "command -v valgrind > /dev/null 2>&1" then
  return pending "valgrind is not here: src/bootstrap need test installs it"
end

-- Functions for Lua that do what must be found.
local WRONG = [[
#include <stdlib.h>
int lose(void *state) { return malloc(100) && !state; }
int look(void *state) { char *block = malloc(1); int found = *(volatile char *)block ? 0 : !state; free(block); return found; }
]]

it("finds what is wrong: a block that is lost, a byte that was never written", function()
  local source = program.write(WRONG, "wrong.c")
  assert(os.execute(("cc -O0 -w -shared -fPIC -o '%s.so' '%s'"):format(source, source)))
  for name, found in pairs { lose = "100 bytes in 1 blocks are definitely lost", look = "uninitialised value" } do
    local ok, problem = pcall(run, ("package.loadlib('%s.so', '%s')() tell 'done'"):format(source, name))
    assert.is_false(ok)
    assert.matches(found, tostring(problem), 1, true)
  end
end)

it("a script that ends", function()
  assert.equal("", run [[
    local t = setmetatable({}, { __gc = function() io.write "" end })
    for i = 1, 1000 do t[i] = ("x"):rep(i) end
    assert(moonwire.json.decode(moonwire.json.encode { 1, "ü", { a = moonwire.json.null } }))
    coroutine.wrap(function() coroutine.yield() end)()
    tell "done"
  ]])
end)

it("WebSockets that are open at SIGTERM", function()
  assert.equal("", run [[
    app:ws("/:room", {
      open = function(ws) ws:subscribe(ws.params.room) ws.data.timer = moonwire.every(0.01, function() ws:ping() end) end,
      message = function(ws, data) moonwire.sleep(0.01) ws:publish(ws.params.room, data) ws:send(data) end,
    })
    listen()
    local all = {}
    for i = 1, 5 do all[i] = connect("/room", i > 1 and {} or { message = function(ws) moonwire.sleep(1000) end }) end
    for i = 1, 5 do all[i]:send(("x"):rep(10 ^ i // 1)) end
    assert(all[2]:messages()())
    local half = uv.new_tcp()
    half:connect("127.0.0.1", port, function() half:write "GET / HT" end)
    moonwire.sleep(0.1)
    tell "done"
    stop()
  ]])
end)

it("a server with TLS", function()
  local log = run [[
    app:ws("/", { compress = true, message = function(ws, data, kind) ws:send(data, kind) end })
    app:get("/", function(_, res) res:send(("x"):rep(100000)) end)
    local listener = listen(true)
    local ws = connect("/", { secure = true, compress = true })
    for i = 1, 3 do ws:send(("y"):rep(10 ^ (i + 1) // 1)) assert(ws:messages()()) end
    assert(#fetch("/", { secure = true }).body == 100000)
    assert(not moonwire.fetch(("https://localhost:%d/"):format(tls_port), { timeout = 60 })) -- not trusted
    assert(listener:reload_tls())
    local ended = coroutine.running()
    local stranger = uv.new_tcp()
    stranger:connect("127.0.0.1", tls_port, function()
      stranger:write "GET / HTTP/1.1\r\n\r\n"
      stranger:read_start(function(_, bytes) if not bytes then stranger:close() core.resume(ended) end end)
    end)
    coroutine.yield()
    tell "done"
    stop()
  ]]
  assert.is_nil(log:match "error: [^\n]*")
end)

it("a client that reconnects, and one that never gets there", function()
  assert.equal("", run [[
    app:ws("/", { message = function(ws) ws:terminate() end })
    local listener = listen()
    local task, opened = coroutine.running(), 0
    local ws = connect("/", {
      queue = true, heartbeat = { ping = true, interval = 0.05, timeout = 60 },
      reconnect = { delay = 0.01, retries = false },
      open = function(ws) opened = opened + 1 if opened < 4 then ws:send "go" else ws:close() end end,
      close = function() if opened == 4 then core.resume(task) end end,
    })
    if ws.ready_state ~= moonwire.CLOSED then coroutine.yield() end
    listener:close()
    assert(not moonwire.connect(("ws://127.0.0.1:%d/"):format(port), { reconnect = { retries = 2, delay = 0.01 } }))
    moonwire.connect(("ws://127.0.0.1:%d/"):format(port), { wait = false, error = function() end, reconnect = true })
    tell "done"
    stop()
  ]])
end)

it("requests to other servers: to a file, in pieces, given up", function()
  assert.equal("", run [[
    app:get("/big", function(_, res) for _ = 1, 20 do res:write(("x"):rep(10000)) moonwire.sleep(0) end end)
    app:get("/never", function(_, res) moonwire.sleep(1000) end)
    app:get("/away", function(_, res) res:redirect "/big" end)
    listen()
    local file = directory .. "/file"
    assert(fetch("/away", { file = file }))
    assert(uv.fs_stat(file).size == 200000)
    local size = 0
    assert(fetch("/big", { sink = function(chunk) size = size + #chunk moonwire.sleep(0) end }) and size == 200000)
    assert(not fetch("/never", { timeout = 0.2 }))
    assert(select(3, fetch("/big", { max_bytes = 1000 })) == "too_large")
    assert(not moonwire.fetch("http://127.0.0.1:1/", { timeout = 60 }))
    moonwire.spawn(fetch, "/never") -- still waits at the end
    tell "done"
    os.remove(file)
    stop()
  ]])
end)

it("compressed connections, with and without context takeover", function()
  assert.equal("", run [[
    local keeping = { server_no_context_takeover = false, client_no_context_takeover = false, min_bytes = 1 }
    local function echo(ws, data, kind) ws:subscribe "all" ws:send(data, kind) end
    app:ws("/plain", { compress = true, message = echo })
    app:ws("/keeping", { compress = keeping, message = echo })
    listen()
    for _, ws in ipairs { connect("/plain", { compress = true }), connect("/keeping", { compress = keeping }) } do
      local receive = ws:messages()
      for _, size in ipairs { 1, 300, 5000, 200000 } do
        local text = ("compress me "):rep(size // 12 + 1)
        ws:send(text)
        assert(receive() == text)
      end
      app:publish("all", ("published "):rep(1000))
      assert(receive())
      ws:send(("on its way "):rep(10000))
    end
    tell "done"
    stop()
  ]])
end)

it("handlers that fail", function()
  local log = run [[
    app:ws("/message", { message = function() local t t.x = 1 end, error = function() error "in the hook" end })
    app:ws("/open", { open = function() moonwire.sleep(0) error { "no text" } end })
    app:ws("/upgrade", { upgrade = function() error "upgrade" end })
    app:get("/", function(_, res) res:write "half" error(setmetatable({}, { __tostring = error })) end)
    app:post("/", function() coroutine.wrap(function() error "inside" end)() end)
    listen()
    local ws = connect "/message"
    ws:send "x"
    assert(ws:messages()() == nil and ws.ending.code == 1011)
    assert(connect("/open"):messages()() == nil)
    assert(not moonwire.connect(("ws://localhost:%d/upgrade"):format(port)))
    assert(not fetch "/")
    assert(fetch("/", { body = "x" }).status == 500)
    tell "done"
    stop()
  ]]
  assert.matches("attempt to index", log)
end)

it("handlers that had to be interrupted", function()
  local log = run([[
    app:ws("/", { message = function() while true do end end })
    app:get("/", function() local t = {} repeat t[1] = { t[1] } t = pcall(error, t) and {} or {} until false end)
    listen()
    local ws = connect "/"
    ws:send "x"
    assert(ws:messages()() == nil and ws.ending.code == 1011)
    assert(fetch("/").status == 500)
    tell "done"
    stop()
  ]], 0, { "--handler-limit", "0.5" })
  assert.matches("the handler was interrupted", log)
end)

it("a handler that takes all the memory it may have", function()
  local log = run([[
    app:ws("/", { message = function() local t = {} while true do t[#t + 1] = ("x"):rep(10000) .. #t end end })
    app:get("/", function() return (("x"):rep(1 << 23)):rep(100) end)
    listen()
    local ws = connect "/"
    ws:send "x"
    assert(ws:messages()() == nil and ws.ending.code == 1011)
    assert(fetch("/").status == 500)
    assert(connect("/"):ping())
    tell "done"
    stop()
  ]], 0, { "--memory-limit", "8M" })
  assert.matches("memory", log)
end)

it("metrics that are read, and a client that does not read", function()
  local place = async.port()
  assert.equal("", (run(([[
    app:ws("/", { slow = "drop", open = function(ws) ws:subscribe "all" for _ = 1, 80 do ws:send(("x"):rep(100000)) end end })
    listen()
    connect("/", { message = function() moonwire.sleep(1000) end })
    app:publish("all", ("y"):rep(10000))
    port = %d
    for _, path in ipairs { "/metrics", "/health", "/ready", "/none" } do assert(fetch(path)) end
    tell "done"
    stop()
  ]]):format(place), 0, { "--metrics", tostring(place), "--drain", "0.3" }):gsub("moonwire: info: [^\n]*\n", "")))
end)

it("static files", function()
  assert.equal("", run [[
    assert(io.open(directory .. "/page.html", "w")):write(("page "):rep(50000)):close()
    app:static("/", directory)
    listen()
    local whole = fetch "/page.html"
    assert(#whole.body == 250000)
    assert(fetch("/page.html", { headers = { Range = "bytes=5-9" } }).body == "page ")
    assert(fetch("/page.html", { headers = { ["If-None-Match"] = whole.headers.etag } }).status == 304)
    assert(fetch("/none").status == 404)
    local gone = uv.new_tcp()
    gone:connect("127.0.0.1", port, function()
      gone:write "GET /page.html HTTP/1.1\r\nHost: x\r\n\r\n"
      gone:close_reset()
    end)
    moonwire.sleep(0.05)
    tell "done"
    stop()
  ]])
end)

it("timers, tasks and handles that are left, and an error in the main chunk", function()
  local log = run([[
    listen()
    moonwire.every(0.01, function() moonwire.sleep(0.001) end)
    moonwire.after(1000, function() end)
    moonwire.spawn(function() moonwire.sleep(1000) end)
    moonwire.spawn(coroutine.yield)
    local timer, pipe, idle = uv.new_timer(), uv.new_pipe(false), uv.new_prepare()
    timer:start(10, 10, function() end)
    idle:start(function() end)
    uv.fs_stat("/", function() end)
    uv.getaddrinfo("localhost", nil, {}, function() end)
    uv.spawn("true", { stdio = { pipe } }, function() end)
    moonwire.sleep(0.05)
    tell "done"
    error "the end"
  ]], 1)
  assert.matches("the end", log)
end)
