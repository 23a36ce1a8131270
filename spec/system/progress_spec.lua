-- progress_spec.lua - examples/progress as people use it: on the wire, in a terminal, and in several tabs of a browser.
-- What it says is compared with what the servers of the pictures have counted.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local example = require "spec.support.example"
local json = require "moonwire.json"
local lfs = require "lfs"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local uv = require "luv"

local SECRET = "thirty-two bytes that only this spec knows"
local PICTURE_BYTES = 54 + 160 * 120 * 3 -- of the example's own server
local CLIENT = example.path "examples/progress/client.lua"

describe("the progress example", function()
  local server, directory

  local function start(arguments, port)
    directory = directory or async.directory()
    server = example.start("progress", arguments, { port = port, env = { TOKEN_SECRET = SECRET, TMPDIR = directory } })
    return server
  end

  before_each(function()
    directory = nil
  end)

  after_each(function()
    if not server.process.exit then
      server:stop()
    end
    peer.stop_all()
  end)
  teardown(peer.finish)

  local function sign(claims, seconds, secret)
    return example.signer(secret or SECRET):sign(claims, seconds or 60)
  end

  local function enter(user)
    return (server:visit("/api/litchi/" .. sign { sub = user }))
  end

  -- The next progress of which this is true.
  local function hear_until(window, is_so)
    local now
    repeat
      now = window:hear_type "progress"
    until is_so(now)
    return now
  end

  local function is_over(now)
    return now.state == "done" or now.state == "cancelled"
  end

  local function order(window, message)
    window:send(message)
    local answer
    repeat
      answer = window:hear_json()
    until answer.type == "ok" or answer.type == "error"
    return answer
  end

  -- What the example's own picture server has counted.
  local function count_at_source()
    local url = server.process:expect("line").text:match "(http://%S+/)pictures/$"
    return function()
      local source = setmetatable({ url = url }, getmetatable(server))
      return assert(json.decode(source:fetch("/count").text))
    end
  end

  local function files_left()
    local left = {}
    for name in lfs.dir(directory) do
      if name:find "^moonwire" then
        for file in lfs.dir(directory .. "/" .. name) do
          table.insert(left, file:find "^%." and name or file)
        end
      end
    end
    return left
  end

  describe("on the wire", function()
    it("refuses a token that is missing, wrong, someone else's or too old, before the 101", function()
      start()
      local good = sign { sub = "ada" }
      for token, reason in pairs {
        [""] = "missing",
        ["nonsense"] = "not a token",
        [good:gsub("%.", "x", 1)] = "not a token",
        [good:sub(1, -2) .. (good:sub(-1) == "A" and "Q" or "A")] = "not signed",
        [sign({ sub = "ada" }, 60, SECRET:reverse())] = "not signed",
        [sign({ sub = "ada" }, -1)] = "expired",
      } do
        local status, text = server:refused("/api/litchi/" .. token)
        assert.equal(401, status, token)
        assert.truthy(text:find(reason, 1, true), text)
        local answer = server:fetch("/api/litchi/" .. token)
        assert.equal(401, answer.status)
        assert.truthy(json.decode(answer.text).message:find(reason, 1, true), answer.text)
      end
      enter("ada"):close()
    end)

    it("gives a token to who has a name", function()
      start()
      for _, body in ipairs { "", "{", "[]", '{"name":7}', '{"name":" "}', json.encode { name = ("ß"):rep(25) } } do
        assert.equal(400, server:fetch("/login", { method = "POST", body = body }).status, body)
      end
      local answer = server:fetch("/login", { method = "POST", body = json.encode { name = " Ada ß " } })
      local window = server:visit("/api/litchi/" .. json.decode(answer.text).token)
      window:close()
    end)

    it("tells the present to a window that opens, and all that changes, at most 20 times a second", function()
      start { "slow=0.02", "failing=0.1" }
      local count = count_at_source()
      local window = enter "ada"
      local files, now = window:hear_json(), window:hear_json()
      assert.same({ type = "files", job = "", names = {}, most = 500 }, files)
      assert.same({ "idle", 0, 0, "" }, { now.state, now.total, now.done, now.files })

      window:send { action = "start", count = 40 }
      files = window:hear_type "files"
      assert.same({ 40, "moon 1", "moon 40" }, { #files.names, files.names[1], files.names[40] })
      local pushes, before = 0, -1
      now = hear_until(window, function(each)
        pushes = pushes + 1
        assert.is_true(each.done >= before and #each.files == 40 and #each.loading <= 6)
        before = each.done
        for _, file in ipairs(each.loading) do
          assert.equal("l", each.files:sub(file.file, file.file))
          assert.is_true(file.total == PICTURE_BYTES or file.received == 0 or file.file % 8 == 0)
        end
        return is_over(each)
      end)
      assert.is_true(pushes <= now.seconds * 20 + 2, ("%d in %g s"):format(pushes, now.seconds))
      local late = enter "ada"
      assert.equal(files.job, late:hear_json().job)
      assert.same(now, late:hear_json())
      assert.same(now, json.decode(server:fetch("/api/litchi/" .. sign { sub = "ada" }).text))

      local source = count()
      assert.same({ 40, now.failed }, { now.done + now.failed, select(2, now.files:gsub("f", "")) })
      assert.same({ now.done, now.bytes }, { source.whole, source.bytes })
      assert.equal(now.bytes, now.done * PICTURE_BYTES)
      late:close()
      window:close()
    end)

    it("serves a picture to whom it belongs, and nothing else", function()
      start { "slow=0", "failing=0" }
      local window = enter "ada"
      order(window, { action = "start", count = 3 })
      local now = hear_until(window, is_over)
      local function picture(user, job, number)
        return server:fetch(("/pictures/%s/%s/%s"):format(sign { sub = user }, job, number))
      end
      local answer = picture("ada", now.job, 2)
      assert.same({ 200, "image/bmp", PICTURE_BYTES }, { answer.status, answer.headers["content-type"], answer.length })
      assert.equal("nosniff", answer.headers["x-content-type-options"])
      for _, wrong in ipairs { { "ben", now.job, 2 }, { "ada", "x", 2 }, { "ada", now.job, 4 }, { "ada", now.job, 0 },
        { "ada", now.job, "2.5" }, { "ada", now.job, "x" }, { "ada", now.job, "..%2f2" } } do
        assert.equal(404, picture(table.unpack(wrong)).status)
      end
      assert.equal(404, server:fetch(("/pictures/nonsense/%s/2"):format(now.job)).status)

      order(window, { action = "start", count = 1 })
      local next_one = hear_until(window, function(each)
        return is_over(each) and each.total == 1
      end)
      assert.equal(404, picture("ada", now.job, 2).status)
      assert.equal(200, picture("ada", next_one.job, 1).status)
      assert.equal(3, #files_left()) -- the picture, and the directory's own two entries
      window:close()
      server:stop()
      assert.same({}, files_left())
    end)

    it("shows nobody what is another's", function()
      start { "slow=0.01", "failing=0" }
      local ada, ben = enter "ada", enter "ben"
      hear_until(ben, function(now)
        return now.state == "idle"
      end)
      order(ada, { action = "start", count = 10 })
      hear_until(ada, is_over)
      -- The answer is the next that comes: nothing came before it.
      ben:send { action = "cancel" }
      assert.equal("error", ben:hear_json().type)
      order(ben, { action = "start", count = 5 })
      assert.equal(5, hear_until(ben, is_over).done)
      ada:send { action = "cancel" }
      assert.equal("error", ada:hear_json().type)
      ada:close()
      ben:close()
    end)

    it("goes on while nobody looks", function()
      start { "slow=0.01", "failing=0.1" }
      local count = count_at_source()
      local window = enter "ada"
      order(window, { action = "start", count = 30 })
      window:close()
      local now
      repeat
        now = json.decode(server:fetch("/api/litchi/" .. sign { sub = "ada" }).text)
      until now.state == "done"
      window = enter "ada"
      assert.same(now, window:hear_type "progress")
      assert.same({ "done", 30, count().whole }, { now.state, now.done + now.failed, now.done })
      window:close()
    end)

    it("stops asking for pictures when it is cancelled, and goes on where it was", function()
      start { "slow=0.05", "failing=0" }
      local count = count_at_source()
      local window = enter "ada"
      order(window, { action = "start", count = 60 })
      hear_until(window, function(now)
        return now.done >= 5
      end)
      assert.same({ type = "ok", action = "cancel" }, order(window, { action = "cancel" }))
      local now = hear_until(window, is_over)
      assert.same({ "cancelled", 0 }, { now.state, #now.loading })
      assert.equal(60 - now.done, select(2, now.files:gsub("w", "")))
      assert.equal(now.done * PICTURE_BYTES, now.bytes)
      local source = count()
      async.quiet(0.5)
      assert.same(source.requests, count().requests)
      assert.equal(0, window:waiting())
      assert.equal("error", order(window, { action = "cancel" }).type)

      assert.equal("ok", order(window, { action = "retry" }).type)
      assert.equal("error", order(window, { action = "retry" }).type)
      local later = hear_until(window, is_over)
      assert.same({ "done", 60, now.job }, { later.state, later.done, later.job })
      assert.equal(source.requests + 60 - now.done, count().requests)
      window:close()
    end)

    it("tries again what may help, four times at most, and what failed when it is told to", function()
      start { "slow=0", "failing=1", "pause=0.001" }
      local count = count_at_source()
      local window = enter "ada"
      order(window, { action = "start", count = 12 })
      local now = hear_until(window, is_over)
      assert.same({ "done", 0, 12, 0, ("f"):rep(12) }, { now.state, now.done, now.failed, now.bytes, now.files })
      local tries = 0
      for _, each in ipairs(now.problems) do
        tries = tries + each.tries
        assert.is_true(each.problem == "404 Not Found" or each.tries == 4, each.problem)
      end
      assert.equal(count().requests, tries)
      order(window, { action = "retry" })
      assert.equal(12, hear_until(window, is_over).failed)
      assert.is_true(count().requests > tries)
      window:close()
    end)

    it("answers nonsense clearly, and disturbs nobody", function()
      start { "slow=0.02" }
      local window, other, third = enter "ada", enter "ada", enter "ben"
      other:hear_type "progress"
      third:hear_type "progress"
      for _, nonsense in ipairs { "", "{", "[]", "null", "7", '"start"', "{}", '{"action":null}', '{"action":{}}',
        '{"action":"fetch","url":"http://127.0.0.1/"}', '{"action":"start","count":0}', '{"action":"start","count":501}',
        '{"action":"start","count":1.5}', '{"action":"start","count":"7"}', '{"action":"retry"}', '{"action":"cancel"}' } do
        local answer = order(window, nonsense)
        assert.equal("error", answer.type, nonsense)
        assert.truthy(#answer.message > 10, nonsense)
      end
      for _ = 1, 1000 do
        window:send '{"action":"dance"}'
      end
      for _ = 1, 1000 do
        assert.truthy(window:hear_type("error").message:find "start, cancel or retry")
      end
      window.peer:tell { send = { size = 2 << 20, kind = "text" } }
      assert.equal(1009, (window:leave()))
      third:send "{}"
      assert.equal("error", third:hear_json().type)
      assert.equal(0, third:waiting())
      other:send { action = "start", count = 2 }
      assert.equal("files", other:hear_json().type)
      assert.equal(2, hear_until(other, is_over).total)
      other:close()
      third:close()
    end)
  end)

  describe("with a list of URLs", function()
    -- Servers that do what no good one does; each connection is answered by a function.
    local sockets

    local function serve(answer)
      local socket = uv.new_tcp()
      assert(socket:bind("127.0.0.1", 0))
      socket:listen(16, function()
        local client = uv.new_tcp()
        socket:accept(client)
        table.insert(sockets, client)
        local asked = false
        client:read_start(function(_, data)
          if data and not asked then
            asked = true
            answer(client)
          elseif not data and not client:is_closing() then
            client:close()
          end
        end)
      end)
      table.insert(sockets, socket)
      return ("http://127.0.0.1:%d/"):format(socket:getsockname().port)
    end

    before_each(function()
      sockets = {}
    end)
    after_each(function()
      for _, socket in ipairs(sockets) do
        if not socket:is_closing() then
          socket:close()
        end
      end
    end)

    it("downloads these and no others, and says of each what became of it", function()
      local app = moonwire.app()
      app:get("/good.png", function(_, res)
        res:send("not looked into", "image/png")
      end)
      app:get("/page.html", function(_, res)
        res:send("<b>no picture</b>", "html")
      end)
      app:get("/drawing.svg", function(_, res)
        res:send("<svg/>", "image/svg+xml")
      end)
      app:get("/moved", function(_, res)
        res:redirect "/good.png"
      end)
      local listener = assert(app:listen { host = "127.0.0.1", port = 0 })
      local base = ("http://127.0.0.1:%d/"):format(listener:address().port)
      local endless = serve(function(client)
        client:write("HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nConnection: close\r\n\r\nGIF89a", function()
          client:close()
        end)
      end)
      local nobody = ("http://127.0.0.1:%d/gone.png"):format(async.port())
      start { base .. "good.png?secret=1", "pause=0.001", base .. "missing.png", nobody, endless .. "unknown.gif",
        base .. "page.html", base .. "drawing.svg", base .. "moved", "gopher://127.0.0.1/x" }
      local window = enter "ada"
      local files = window:hear_type "files"
      assert.equal(8, files.most)
      assert.equal("ok", order(window, { action = "start" }).type)
      local now = hear_until(window, is_over)
      assert.equal("dffdffdf", now.files)
      assert.same({ 3, 5, #"not looked into" * 2 + #"GIF89a" }, { now.done, now.failed, now.bytes })
      local problems = {}
      for _, each in ipairs(now.problems) do
        problems[each.file] = each.problem .. " " .. each.tries
      end
      assert.truthy(problems[2]:find "^404 Not Found 1$", problems[2])
      assert.truthy(problems[3]:find " 4$", problems[3])
      assert.truthy(problems[5]:find "text/html 1$", problems[5])
      assert.truthy(problems[6]:find "image/svg%+xml 1$", problems[6])
      assert.truthy(problems[8]:find "gopher.* 1$", problems[8])
      window:close()
      window = enter "ada"
      assert.same({ "good.png", "missing.png", "gone.png", "unknown.gif", "page.html", "drawing.svg", "moved", "x" },
        window:hear_type("files").names)
      window:close()
      app:close()
    end)

    it("is not held up by a server that never answers, nor by one that stops in the middle", function()
      local asked = 0
      local silent = serve(function()
        asked = asked + 1
      end)
      local stuck = serve(function(client)
        client:write "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 1000\r\n\r\nPNG"
      end)
      start { silent .. "1.png", stuck .. "2.png", "timeout=0.2", "pause=0.001" }
      local window = enter "ada"
      order(window, { action = "start" })
      local now = hear_until(window, is_over)
      assert.same({ "ff", 4, 4, 0 }, { now.files, now.problems[1].tries, now.problems[2].tries, now.bytes })
      assert.equal(4, asked)
      assert.truthy(now.problems[1].problem:find "in time", now.problems[1].problem)
      window:close()
    end)

    it("shows bytes where nobody tells how many there will be", function()
      local clients = {}
      local url = serve(function(client)
        table.insert(clients, client)
        client:write "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nConnection: close\r\n\r\nfive!"
      end)
      start { url }
      local window = enter "ada"
      order(window, { action = "start", count = 1 })
      local now = hear_until(window, function(each)
        return each.bytes == 5
      end)
      assert.same({ { file = 1, received = 5 } }, now.loading)
      clients[1]:close()
      assert.equal(5, hear_until(window, is_over).bytes)
      window:close()
    end)
  end)

  describe("in a terminal", function()
    local function run(...)
      return peer.spawn(uv.exepath(), { CLIENT, ... })
    end

    it("is plain lines in a pipe, and an exit code", function()
      start { "slow=0.01", "failing=0" }
      local address = server.url:gsub("/$", "")
      local client = run("ada", "start=20", address)
      local result = program.wait(client)
      assert.same({ 0, "" }, { result.code, result.stderr })
      assert.truthy(result.stdout:find "^0 of 20,", result.stdout)
      assert.truthy(result.stdout:find "\ndone: 20 of 20, 1%.2 MB in %d s$", result.stdout)
      assert.is_nil(result.stdout:find "[\r\27]")
      result = program.wait(run("ada", address, "retry"))
      assert.same({ 1, "there is nothing to try again" }, { result.code, result.stdout })
      result = program.wait(run("ada", address, "start=501"))
      assert.same({ 1, "ask for 1 to 500 pictures" }, { result.code, result.stdout })
      result = program.wait(run(address, ("x"):rep(25)))
      assert.same({ 1, "a name has 1 to 24 characters\n" }, { result.code, result.stderr })
      server:stop()
      result = program.wait(run("ada", address))
      assert.same({ 1, "" }, { result.code, result.stdout })
      assert.truthy(result.stderr:find "refused", result.stderr)
    end)

    it("waits for a job to begin, and leaves without ending it", function()
      start { "slow=0.05", "failing=0" }
      local client = run("ada", server.url)
      assert.equal("there is no job yet", client:expect("line").text)
      local window = enter "ada"
      order(window, { action = "start", count = 40 })
      assert.truthy(client:expect("line").text:find "of 40")
      client:kill "sigint"
      local result = program.wait(client)
      assert.same({ 1, "the job goes on" }, { result.code, result.stdout:match "[^\n]*$" })
      assert.equal(40, hear_until(window, is_over).done)
      window:close()
    end)

    it("is a bar where there is a screen", function()
      start { "slow=0.01", "failing=0" }
      local terminal = peer.spawn("/usr/bin/python3", { "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)",
        uv.exepath(), CLIENT, "ada", "start=20", server.url })
      local text = program.wait(terminal).stdout
      assert.truthy(text:find("\r[█░]+ 0 of 20"), text)
      assert.truthy(text:find "█ done: 20 of 20, 1%.2 MB in %d s\27%[K\r?\n?", text)
    end)
  end)

  -- Hands out as many pictures as it is told to, so that a job lasts as long as there is something to look at. A tenth of
  -- the requests fails: in turn with a status that may pass, in the middle, and for good.
  local function gated_source()
    local draw = dofile(example.path "examples/progress/pictures.lua").draw
    local source = { requests = 0, failed = 0, lost = 0, whole = 0, bytes = 0, allowed = 0, urls = {} }
    local app = moonwire.app()
    app:get("/:name", function(req, res)
      source.requests = source.requests + 1
      local mine = source.requests
      async.wait_until(function()
        return mine <= source.allowed
      end, "a picture to be allowed", 60)
      local picture = draw(math.tointeger(tonumber(req.params.name:match "%d+")))
      res.headers["Content-Type"] = "image/bmp"
      if mine % 10 ~= 0 or source.is_well then
        source.whole, source.bytes = source.whole + 1, source.bytes + #picture
        res:write(picture:sub(1, 1000))
        return res:write(picture:sub(1001))
      end
      source.failed = source.failed + 1
      if source.failed % 3 == 1 then
        res.status = 503
        return res:send "later"
      elseif source.failed % 3 == 2 then
        res.headers["Content-Length"] = #picture
        return res:write(picture:sub(1, 1000))
      end
      source.lost = source.lost + 1
      res.status = 410
      res:send "gone"
    end)
    local listener = assert(app:listen { host = "127.0.0.1", port = 0 })
    for i = 1, 200 do
      source.urls[i] = ("http://127.0.0.1:%d/moon-%d.bmp"):format(listener:address().port, i)
    end

    function source.allow(count)
      source.allowed = count
      async.wake()
    end

    function source.close()
      source.allow(math.huge)
      app:close()
    end

    return source
  end

  it("is the same for every tab, a terminal and a program, however often a page is reloaded", function()
    local source = gated_source()
    table.insert(source.urls, "pause=0.01")
    start(source.urls)
    local port, user = server.port, "Ada"
    local program_window = enter(user)
    local terminal
    local needs = {}

    function needs.watch()
      terminal = peer.spawn(uv.exepath(), { CLIENT, user, server.url })
    end

    function needs.some(need)
      source.allow(math.min(source.allowed, source.requests) + need.count)
    end

    function needs.all()
      source.allow(math.huge)
    end

    function needs.compare(need)
      local now = hear_until(program_window, is_over)
      assert.same({ 200, source.lost }, { now.done + now.failed, now.failed })
      assert.same({ source.whole, source.bytes }, { now.done, now.bytes })
      assert.same({ source.requests // 10, source.requests - source.whole }, { source.failed, source.failed })
      local last = program.wait(terminal).stdout:match "[^\n]*$"
      assert.truthy(last:find(("^done: %d of 200, .* %d failed in"):format(now.done, now.failed)), last)
      assert.equal(now.done, need.done)
      return { done = now.done, failed = now.failed, files = now.files, bytes = now.bytes }
    end

    function needs.heal()
      source.is_well = true
    end

    function needs.requests()
      return source.requests
    end

    function needs.stop()
      source.allow(math.huge)
      server:stop()
    end

    function needs.start()
      start(source.urls, port)
    end

    example.play("progress_page.mjs", server.url, 9, needs, { expired = sign({ sub = user }, -1), user = user })
    assert.equal(1001, (program_window:leave()))
    source.close()
  end)
end)
