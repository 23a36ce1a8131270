-- tls_spec.lua - TLS of servers, seen by OpenSSL's own client, by node and by Python: what is negotiated, which certificate is
-- shown to whom, and how pairs of files are renewed while connections go on.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local tls = require "spec.support.tls"
local uv = require "luv"

local CA = tls.files().ca

after_each(function()
  peer.stop_all()
end)

teardown(function()
  peer.finish()
end)

local SERVER = [[
  local app, listener = moonwire.app()
  app:get("/", function(req, res) res:send "hello" end)
  app:get("/reload", function(req, res)
    local ok, message, code = listener:reload_tls()
    res:json { ok = ok, message = message, code = code }
  end)
  app:ws("/", { message = function(ws, text) ws:send(text) end })
  listener = serve(app, { tls = moonwire.json.decode(arg[1]), max_per_address = 0 })
]]

-- Starts a server with these TLS options; returns it and its port.
local function start(options)
  local child = program.start(SERVER, { json.encode(options) })
  return child, child:expect("listening").port
end

-- A directory with a pair in it, and the options of a server that uses it.
local function pair_in(options, issue)
  local directory = async.directory()
  local pair = tls.issue(directory, "pair", issue)
  options = options or {}
  options.cert, options.key = pair.cert, pair.key
  return options, pair, directory
end

-- One GET by Python; what it reports, and under which name.
local function get(port, settings)
  local client = peer.take "tls_client.py"
  local command = { port = port, ca = CA }
  for name, value in pairs(settings or {}) do
    command[name] = value
  end
  client:tell { get = command }
  local event = client:expect_any("got", "refused", "failed")
  client.events = {}
  client:release()
  return event
end

local function expect_log(child, text)
  async.wait_until(function()
    return child.stderr:find(text, 1, true)
  end, "the log to say: " .. text)
end

local function lines_with(child, text)
  local count = 0
  for line in child.stderr:gmatch "[^\n]+" do
    count = count + (line:find(text, 1, true) and 1 or 0)
  end
  return count
end

-- As a careful renewal does it: both files are written beside the old ones, then take their names.
local function replace(pair, by)
  assert(uv.fs_rename(by.key, pair.key))
  assert(uv.fs_rename(by.cert, pair.cert))
end

describe("what is negotiated", function()
  local options = pair_in(nil, { key = "rsa:2048" })
  local child, port
  before_each(function()
    child, port = start(options)
  end)

  it("is TLS 1.3 or 1.2, and nothing older", function()
    assert.equal("TLSv1.3", get(port).version)
    assert.equal("TLSv1.2", get(port, { version = "1.2" }).version)
    local old = get(port, { version = "1.1" })
    assert.equal("refused", old.event)
    assert.matches("PROTOCOL_VERSION", old.message)
  end)

  it("with min_version 1.3 is nothing else", function()
    local strict, strict_port = start(pair_in { min_version = "1.3" })
    assert.equal("TLSv1.3", get(strict_port).version)
    assert.equal("refused", get(strict_port, { version = "1.2" }).event)
    strict:stop()
  end)

  it("has forward secrecy and authenticated encryption in TLS 1.2", function()
    for _, cipher in ipairs {
      "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-CHACHA20-POLY1305",
    } do
      local answer = get(port, { version = "1.2", ciphers = cipher })
      assert.same({ "got", cipher }, { answer.event, answer.cipher })
      assert.equal(json.null, answer.compression)
    end
    -- No forward secrecy; CBC; Diffie-Hellman without curves.
    for _, cipher in ipairs {
      "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256",
    } do
      assert.equal("refused", get(port, { version = "1.2", ciphers = cipher }).event, cipher)
    end
  end)

  it("follows the server's order, but lets a client that wants ChaCha20 first have it", function()
    local ciphers = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"
    assert.equal("ECDHE-RSA-AES256-GCM-SHA384", get(port, { version = "1.2", ciphers = ciphers }).cipher)
    ciphers = "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384"
    assert.equal("ECDHE-RSA-CHACHA20-POLY1305", get(port, { version = "1.2", ciphers = ciphers }).cipher)
  end)

  it("is http/1.1 by ALPN, or no connection", function()
    assert.equal("http/1.1", get(port, { alpn = { "h2", "http/1.1" } }).alpn)
    assert.equal(json.null, get(port).alpn)
    local other = get(port, { alpn = { "h2" } })
    assert.equal("refused", other.event)
    assert.matches("no.application.protocol", other.message:lower())
  end)

  it("is resumed with a ticket, in both versions", function()
    for _, version in ipairs { "1.2", "1.3" } do
      assert.is_false(get(port, { version = version, resume = version }).reused)
      assert.is_true(get(port, { version = version, resume = version }).reused)
    end
  end)

  it("is never negotiated again", function()
    local client = program.spawn({ "s_client", "-connect", "127.0.0.1:" .. port, "-tls1_2", "-quiet", "-no_ign_eof" },
      { command = "openssl" })
    client.stdin:write "R\n"
    async.wait_until(function()
      return client.stderr:find("no renegotiation", 1, true) or client.exit
    end)
    assert.matches("no renegotiation", client.stderr)
    client:stop()
    assert.equal("got", get(port).event)
    child:stop()
    assert.equal("", program.expect_clean_end(child))
  end)
end)

describe("a pair that is replaced", function()
  it("is shown to new connections, while fifty that are open talk on", function()
    local options, pair, directory = pair_in { reload = 0.1 }
    local child, port = start(options)
    local crowd = peer.start "tls_client.mjs"
    local url = ("wss://127.0.0.1:%d/"):format(port)
    crowd:tell { open = { count = 50, url = url, ca = CA } }
    assert.same({ pair.serial }, crowd:expect("opened").serials)
    local newer = tls.issue(directory, "newer")
    for round, by in ipairs { newer, tls.issue(directory, "newest") } do
      replace(pair, by)
      async.wait_until(function()
        return lines_with(child, "is in use now, valid until 20") >= round
      end)
      crowd:tell { echo = "round " .. round }
      local echoed = crowd:expect "echoed"
      assert.same({ 50, { "round " .. round } }, { echoed.count, echoed.texts })
      assert.equal(by.serial, get(port).serial)
    end
    crowd:tell { open = { count = 1, url = url, ca = CA } }
    assert.same({ ("%X"):format(tonumber(newer.serial, 16) + 1) }, crowd:expect("opened").serials)
    crowd:tell { echo = "all" }
    assert.equal(51, crowd:expect("echoed").count)
    assert.equal(0, crowd:count "closed")
    child:kill "sigterm"
    local log = program.expect_clean_end(child)
    assert.matches("moonwire: info: tls: " .. pair.cert:gsub("%p", "%%%0") .. ": the certificate of localhost is in use now", log)
    assert.is_nil(log:find "warning")
  end)

  it("is found behind a link that is swapped", function()
    local directory = async.directory()
    local old = tls.issue(directory, "old")
    local new = tls.issue(directory, "new")
    local function point(to)
      for _, kind in ipairs { "cert", "key" } do
        assert(uv.fs_symlink(to[kind], directory .. "/next"))
        assert(uv.fs_rename(directory .. "/next", directory .. "/live." .. kind))
      end
    end
    point(old)
    local child, port = start { cert = directory .. "/live.cert", key = directory .. "/live.key", reload = 0.1 }
    assert.equal(old.serial, get(port).serial)
    point(new)
    expect_log(child, "is in use now")
    assert.equal(new.serial, get(port).serial)
    child:stop()
    program.expect_clean_end(child)
  end)

  it("in halves, or with a wrong key, leaves the old one in use and is told once for each change", function()
    local options, pair, directory = pair_in { reload = 0.1 }
    local child, port = start(options)
    local new = tls.issue(directory, "new")
    assert(uv.fs_rename(new.cert, pair.cert))
    expect_log(child, pair.key .. ": does not belong to the certificate; what was read before stays in use")
    assert.equal(pair.serial, get(port).serial)
    async.quiet(0.5)
    assert.equal(1, lines_with(child, "warning"))
    local file = assert(io.open(pair.key, "w"))
    file:write "not a key\n"
    file:close()
    expect_log(child, pair.key .. ": is not a PEM private key")
    assert(uv.fs_unlink(pair.key))
    expect_log(child, pair.key .. ": No such file or directory")
    assert.equal(pair.serial, get(port).serial)
    assert(uv.fs_rename(new.key, pair.key))
    expect_log(child, "is in use now")
    assert.equal(new.serial, get(port).serial)
    assert.equal(3, lines_with(child, "warning"))
    child:stop()
    program.expect_clean_end(child)
  end)

  it("is not looked for with reload = false, but SIGHUP and reload_tls read it", function()
    local options, pair, directory = pair_in { reload = false }
    local child, port = start(options)
    local second, third = tls.issue(directory, "second"), tls.issue(directory, "third")
    replace(pair, second)
    async.quiet(0.3)
    assert.equal(pair.serial, get(port).serial)
    child:kill "sighup"
    expect_log(child, "is in use now")
    assert.equal(second.serial, get(port).serial)
    replace(pair, third)
    assert.same({ ok = true }, json.decode(get(port, { path = "/reload" }).body))
    assert.equal(third.serial, get(port).serial)
    assert(uv.fs_unlink(pair.cert))
    local answer = json.decode(get(port, { path = "/reload" }).body)
    assert.same({ "tls", ("tls: %s: No such file or directory"):format(pair.cert) }, { answer.code, answer.message })
    child:kill "sighup"
    expect_log(child, "what was read before stays in use")
    assert.equal(third.serial, get(port).serial)
    child:stop()
    program.expect_clean_end(child)
  end)

  it("keeps sessions: a ticket from before is still good", function()
    local options, pair, directory = pair_in { reload = false }
    local child, port = start(options)
    for _, version in ipairs { "1.2", "1.3" } do
      get(port, { version = version, resume = "before " .. version })
    end
    replace(pair, tls.issue(directory, "new"))
    child:kill "sighup"
    expect_log(child, "is in use now")
    for _, version in ipairs { "1.2", "1.3" } do
      assert.is_true(get(port, { version = version, resume = "before " .. version }).reused)
    end
    child:stop()
    program.expect_clean_end(child)
  end)

  it("that has expired is used, with a warning", function()
    local options = pair_in({ reload = false }, { days = -1 })
    local child, port = start(options)
    expect_log(child, "the certificate has expired: it was valid until ")
    assert.equal("refused", get(port).event) -- by Python, which looks at the date
    child:stop()
    program.expect_clean_end(child)
  end)
end)

describe("SIGHUP", function()
  it("ends a program without a TLS listener, also when it had one", function()
    for _, script in ipairs {
      "serve(moonwire.app())",
      [[local listener = serve(moonwire.app(), { tls = { cert = arg[1], key = arg[2] } })
        listener:close()
        serve(moonwire.app())]],
    } do
      local child = program.start(script, { tls.files().cert, tls.files().key })
      child:expect "listening"
      if script:find "close" then
        child:expect "listening"
      end
      child:kill "sighup"
      assert.equal(1, program.wait(child).signal)
    end
  end)

  it("ends a program whose TLS listener is closed, also while one of its requests goes on", function()
    local child = program.start([[
      local app, listener = moonwire.app()
      app:get("/", function(req, res)
        listener:close()
        res:defer()
        tell "closed"
      end)
      listener = serve(app, { tls = { cert = arg[1], key = arg[2] } })
    ]], { tls.files().cert, tls.files().key })
    local client = peer.take "tls_client.py"
    client:tell { get = { port = child:expect("listening").port, ca = CA } }
    child:expect "closed"
    child:kill "sighup"
    assert.equal(1, program.wait(child).signal)
    client:expect "refused"
  end)

  it("reaches a program that is supervised", function()
    local options, pair, directory = pair_in { reload = false }
    local script = program.write([[
      local moonwire = require "moonwire"
      local tls = { cert = arg[1], key = arg[2], reload = false }
      local listener = assert(moonwire.app():listen { host = "127.0.0.1", port = 0, tls = tls })
      io.stdout:setvbuf "line"
      print(moonwire.json.encode { event = "listening", port = listener:address().port })
    ]])
    local child = program.spawn { "--supervise", script, options.cert, options.key }
    local port = child:expect("listening").port
    local new = tls.issue(directory, "new")
    replace(pair, new)
    child:kill "sighup"
    expect_log(child, "is in use now")
    assert.equal(new.serial, get(port).serial)
    child:kill "sigterm"
    program.expect_clean_end(child)
  end)

  it("reloads every listener, and does not keep the program running", function()
    local options, pair, directory = pair_in { reload = false }
    local child = program.start([[
      local tls = moonwire.json.decode(arg[1])
      local one, two = serve(moonwire.app(), { tls = tls }), serve(moonwire.app(), { tls = tls })
      next_order()
      one:close()
      two:close()
      tell("closed", { result = { two:reload_tls() } })
    ]], { json.encode(options) })
    local one, two = child:expect("listening").port, child:expect("listening").port
    local new = tls.issue(directory, "new")
    replace(pair, new)
    child:kill "sighup"
    async.wait_until(function()
      return lines_with(child, "is in use now") == 2
    end)
    assert.equal(new.serial, get(one).serial)
    assert.equal(new.serial, get(two).serial)
    child.stdin:write "go\n"
    program.expect_clean_end(child)
  end)
end)

describe("a listener", function()
  it("that is closed when a client has just sent its request forgets that client", function()
    local signal = async.directory() .. "/signal"
    local child = program.start([[
      local app = moonwire.app():get("/", function(req, res) res:send "hello" end)
      local listener = serve(app, { tls = { cert = arg[1], key = arg[2] } })
      local hangup = uv.new_async(function() listener:close() end)
      next_order()
      -- The loop stands still until the request is there: it is read, and then the listener is closed, in one turn.
      tell "waiting"
      repeat until io.open(arg[3])
      hangup:send()
      moonwire.sleep(0.05)
      collectgarbage()
      hangup:close()
      tell "closed"
    ]], { tls.files().cert, tls.files().key, signal })
    local client = peer.take "tls_client.py"
    client:tell { connect = { port = child:expect("listening").port, ca = CA } }
    client:expect "connected"
    child.stdin:write "go\n"
    child:expect "waiting"
    client:tell { ask = "/" }
    client:expect "sent"
    assert(io.open(signal, "w")):close()
    assert.equal("the server closed the connection", client:expect("refused").message)
    child:expect "closed"
    assert.equal("", program.expect_clean_end(child))
  end)
end)

describe("several names", function()
  local directory = async.directory()
  local default = tls.issue(directory, "default", { names = "DNS:first.example" })
  local wild = tls.issue(directory, "wild", { names = "DNS:*.shop.example,DNS:shop.example" })
  local exact = tls.issue(directory, "exact", { names = "DNS:www.shop.example" })
  local both = tls.issue(directory, "both",
    { names = "DNS:a.example,DNS:B.example", key = "rsa:2048", subject = "/CN=cn.example" })
  local nameless = tls.issue(directory, "nameless", { names = "IP:192.0.2.1", subject = "/CN=nameless.example" })
  local child, port

  before_each(function()
    child, port = start { cert = default.cert, key = default.key, reload = 0.1, also = {
      { cert = wild.cert, key = wild.key }, { cert = exact.cert, key = exact.key }, { cert = both.cert, key = both.key },
      { cert = nameless.cert, key = nameless.key },
    } }
  end)

  it("are found among the certificates' names", function()
    for name, pair in pairs {
      ["first.example"] = default,
      ["shop.example"] = wild,
      ["any.shop.example"] = wild,
      ["ANY.Shop.Example"] = wild,
      ["www.shop.example"] = exact, -- better than the wildcard, which stands before it
      ["a.example"] = both,
      ["b.example"] = both,
    } do
      for _, version in ipairs { "1.2", "1.3" } do
        assert.equal(pair.serial, get(port, { servername = name, version = version }).serial, name)
      end
    end
  end)

  it("that nobody has, and none at all, get the first", function()
    assert.equal(default.serial, get(port).serial)
    for _, name in ipairs {
      "unknown.example", "a.b.shop.example", "example", "xshop.example", ("x"):rep(63) .. ".example",
      "cn.example", "nameless.example", -- of a subject
      "tls-1", -- libwebsockets' own name for the listener
    } do
      assert.equal(default.serial, get(port, { servername = name }).serial, name)
    end
  end)

  it("are heard from node, too", function()
    local client = peer.start "tls_client.mjs"
    for name, pair in pairs { ["x.shop.example"] = wild, ["b.example"] = both } do
      client:tell { get = { url = ("https://127.0.0.1:%d/"):format(port), ca = CA, servername = name } }
      local got = client:expect "got"
      assert.same({ pair.serial, "hello", true }, { got.serial, got.body, got.authorized })
    end
  end)

  it("do not share sessions", function()
    for _, version in ipairs { "1.2", "1.3" } do
      local id = "names " .. version
      local function visit(name)
        return get(port, { servername = name, version = version, resume = id })
      end
      assert.is_false(visit("a.example").reused)
      assert.is_true(visit("b.example").reused)
      local other = visit "www.shop.example"
      assert.same({ false, exact.serial }, { other.reused, other.serial })
    end
  end)

  it("have pairs that are renewed one by one", function()
    local new = tls.issue(directory, "renewed", { names = "DNS:www.shop.example,DNS:new.example" })
    replace(exact, new)
    expect_log(child, exact.cert .. ": the certificate of www.shop.example is in use now")
    assert.equal(new.serial, get(port, { servername = "new.example" }).serial)
    assert.equal(wild.serial, get(port, { servername = "shop.example" }).serial)
    assert.equal(1, lines_with(child, "tls:"))
    child:stop()
    program.expect_clean_end(child)
  end)
end)

describe("app:listen", function()
  -- What it says to these options, without opening anything.
  local function refusal(options)
    local result = program.run_script([[
      local moonwire = require "moonwire"
      local ok, listener, message, code = pcall(function(options)
        return moonwire.app():listen { host = "127.0.0.1", port = 0, tls = options }
      end, moonwire.json.decode(arg[1]))
      if ok and listener then listener:close() end
      local is_fine = ok and listener ~= nil
      print(moonwire.json.encode { fine = is_fine, text = not is_fine and (ok and message or listener) or nil, code = code })
    ]], json.encode(options))
    local answer = json.decode(result.stdout)
    return answer.fine and "fine" or answer.text, answer.code
  end

  it("takes every option at its bounds, and says what is wrong just past them", function()
    local files = tls.files()
    local cases = {
      { { reload = 0.1 } }, { { reload = 86400 } }, { { reload = false } },
      { { reload = 0.09 }, "'tls.reload' must be a number of seconds from 0.1 to 86400, or false, not 0.09" },
      { { reload = 86401 }, "not 86401" }, { { reload = true }, "not true" },
      { { min_version = "1.2" } }, { { min_version = "1.3" } },
      { { min_version = "1.1" }, "'tls.min_version' must be \"1.2\" or \"1.3\", not \"1.1\"" },
      { { min_version = 1.3 }, "'tls.min_version'" },
      { { also = { { cert = files.cert, key = files.key } } } },
      { { also = {} } },
      { { also = { { cert = files.cert } } }, "'tls.also[1]' needs both 'cert' and 'key'" },
      { { also = { { cert = files.cert, key = files.key, client_ca = "x" } } },
        "unknown option 'tls.also[1].client_ca'" },
      { { client_ca = files.ca } },
      { { client_ca = files.ca, client_certificates = "optional" } },
      { { client_ca = files.ca, client_certificates = "required" } },
      { { client_ca = files.ca, client_certificates = "maybe" }, "must be \"required\" or \"optional\"" },
      { { client_certificates = "optional" }, "'tls.client_certificates' needs 'client_ca'" },
    }
    for _, case in ipairs(cases) do
      local options, expected = case[1], case[2]
      options.cert, options.key = files.cert, files.key
      local said = refusal(options)
      if expected then
        assert.truthy(said:find(expected, 1, true), said)
      else
        assert.equal("fine", said)
      end
    end
  end)

  it("names the file that can't be used, of any pair", function()
    local files, directory = tls.files(), async.directory()
    local other = tls.issue(directory, "other")
    local empty = program.write("", "empty.pem")
    os.execute(("openssl pkey -in '%s' -aes256 -passout pass:secret -out '%s/locked.key'"):format(other.key, directory))
    for _, case in ipairs {
      { { cert = files.cert, key = other.key }, other.key .. ": does not belong to the certificate" },
      { { cert = empty, key = other.key }, empty .. ": is not a PEM certificate" },
      { { cert = other.cert, key = empty }, empty .. ": is not a PEM private key" },
      { { cert = other.cert, key = directory .. "/locked.key" }, "locked.key: is protected by a passphrase" },
      { { cert = directory, key = other.key }, directory .. ": is not a PEM certificate" },
      { { cert = other.cert, key = other.key, also = { { cert = files.cert, key = other.key } } }, "does not belong" },
      { { cert = other.cert, key = other.key, client_ca = empty }, empty .. ": holds no PEM certificate" },
      { { cert = other.cert, key = other.key, client_ca = other.key }, other.key .. ": holds no PEM certificate" },
      { { cert = other.cert, key = other.key, client_ca = "/nowhere.pem" }, "/nowhere.pem: No such file or directory" },
    } do
      local said, code = refusal(case[1])
      assert.equal("tls", code, said)
      assert.truthy(said:find(case[2], 1, true), said)
    end
  end)

  it("on a port without TLS has nothing to reload", function()
    local child = program.start [[
      local listener = serve(moonwire.app())
      tell("result", { list = { listener:reload_tls() == nil, select(2, listener:reload_tls()) } })
      listener:close()
      tell("result", { list = { listener:reload_tls() == nil, select(2, listener:reload_tls()) } })
    ]]
    assert.same({ true, "this listener has no TLS", "tls" }, child:expect("result").list)
    assert.same({ true, "closed", "closed" }, child:expect("result").list)
    program.expect_clean_end(child)
  end)
end)
