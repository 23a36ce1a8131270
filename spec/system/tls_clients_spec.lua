-- tls_clients_spec.lua - certificates of clients: who gets in, what handlers know of them, what is logged about the others.
-- The clients are Python's ssl and node.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local core = require "moonwire.core"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local tls = require "spec.support.tls"
local uv = require "luv"

local FILES = tls.files()
local VERSIONS = { "1.2", "1.3" }

local SERVER = [[
  local app = moonwire.app()
  app:get("/", function(req, res) res:json { certificate = req.client_certificate } end)
  app:ws("/", {
    message = function(ws, text) ws:send(text) end,
    close = function(ws) tell("ws", { certificate = ws.request.client_certificate, secure = ws.request.secure }) end,
  })
  serve(app, { tls = moonwire.json.decode(arg[1]), max_per_address = 0 })
]]

local directory, server, clients

setup(function()
  directory = async.directory()
  server = tls.issue(directory, "server")
  local function client(name, options)
    options = options or {}
    options.usage = options.usage or "clientAuth"
    clients[name] = tls.issue(directory, name, options)
  end
  clients = {}
  client("ann", {
    subject = "/C=CY/O=Example, Ltd/CN=Ännchen",
    names = "DNS:ann.example,email:ann@example.org,URI:spiffe://example.org/ann,DNS:ann2.example,IP:192.0.2.1",
  })
  client("expired", { days = -1 })
  client("stranger", { by = "stranger" })
  client("host", { usage = "serverAuth" })
end)

after_each(function()
  peer.stop_all()
end)

teardown(function()
  peer.finish()
end)

local function start(options)
  options.cert, options.key, options.reload = server.cert, server.key, options.reload or false
  local child = program.start(SERVER, { json.encode(options) })
  return child, child:expect("listening").port
end

-- One GET by Python, with one of the clients' certificates or none. Returns what it reports, and the certificate that the
-- server has seen, or nil.
local function visit(port, name, settings)
  local client = peer.take "tls_client.py"
  local command = { port = port, ca = FILES.ca }
  command.cert, command.key = name and clients[name].cert or nil, name and clients[name].key or nil
  for key, value in pairs(settings or {}) do
    command[key] = value
  end
  client:tell { get = command }
  local event = client:expect_any("got", "refused", "failed")
  client.events = {}
  client:release()
  return event, event.body and json.decode(event.body).certificate
end

local function expect_log(child, text)
  async.wait_until(function()
    return child.stderr:find(text, 1, true)
  end, "the log to say: " .. text)
end

local function finger(name)
  local pipe = assert(io.popen(("openssl x509 -in '%s' -noout -fingerprint -sha256"):format(clients[name].cert)))
  local text = pipe:read "a"
  pipe:close()
  return (text:match "=([%x:]+)":gsub(":", ""):lower())
end

local function not_after(name)
  local pipe = assert(io.popen(("date -d \"$(openssl x509 -in '%s' -noout -enddate | cut -d= -f2)\" +%%s")
    :format(clients[name].cert)))
  local text = pipe:read "a"
  pipe:close()
  return tonumber(text)
end

describe("a required certificate", function()
  it("that is good is shown to handlers, in all its parts", function()
    local child, port = start { client_ca = FILES.ca }
    local expected = {
      subject = "CN=Ännchen,O=Example\\, Ltd,C=CY",
      issuer = "CN=moonwire spec authority",
      serial = clients.ann.serial,
      not_after = not_after "ann",
      fingerprint = finger "ann",
      names = {
        dns = { "ann.example", "ann2.example" },
        email = { "ann@example.org" },
        uri = { "spiffe://example.org/ann" },
      },
    }
    for _, version in ipairs(VERSIONS) do
      local _, seen = visit(port, "ann", { version = version })
      assert.same(expected, seen)
    end
    -- By node, over a WebSocket; its request is looked at when the connection is gone.
    local crowd = peer.start "tls_client.mjs"
    crowd:tell { open = {
      count = 3, url = ("wss://127.0.0.1:%d/"):format(port), ca = FILES.ca, cert = clients.ann.cert, key = clients.ann.key,
    } }
    crowd:expect "opened"
    crowd:tell { echo = "x" }
    assert.equal(3, crowd:expect("echoed").count)
    crowd:stop()
    for _ = 1, 3 do
      local event = child:expect "ws"
      assert.same(expected, event.certificate)
      assert.is_true(event.secure)
    end
    child:stop()
    assert.equal("", program.expect_clean_end(child))
  end)

  for name, reason in pairs {
    none = "no client certificate was sent",
    expired = "the client certificate is not accepted: certificate has expired",
    stranger = "the client certificate is not accepted: unable to get local issuer certificate",
    host = "the client certificate is not accepted: unsu", -- unsupported, or unsuitable, purpose
  } do
    it(("that is %s ends the handshake, and the log says why"):format(name), function()
      for _, version in ipairs(VERSIONS) do
        local child, port = start { client_ca = FILES.ca }
        local event = visit(port, name ~= "none" and name or nil, { version = version })
        assert.equal("refused", event.event)
        expect_log(child, "moonwire: warning: tls: refused 127.0.0.1: " .. reason)
        assert.equal("got", visit(port, "ann", { version = version }).event)
        child:stop()
        program.expect_clean_end(child)
      end
    end)
  end

  it("is asked of every name", function()
    local other = tls.issue(directory, "other", { names = "DNS:other.example" })
    local child, port = start { client_ca = FILES.ca, also = { { cert = other.cert, key = other.key } } }
    for _, version in ipairs(VERSIONS) do
      local settings = { version = version, servername = "other.example" }
      assert.equal("refused", visit(port, nil, settings).event)
      local event, seen = visit(port, "ann", settings)
      assert.equal(other.serial, event.serial)
      assert.equal(clients.ann.serial, seen.serial)
    end
    child:stop()
    program.expect_clean_end(child)
  end)

  it("that is refused to many costs one line, and later one more with their number", function()
    local child, port = start { client_ca = FILES.ca }
    for i = 1, 12 do
      visit(port, i % 2 == 0 and "stranger" or nil)
    end
    expect_log(child, "refused 11 more in the last 5 s for their client certificates")
    local _, lines = child.stderr:gsub("\n", "")
    assert.equal(2, lines)
    child:stop()
    program.expect_clean_end(child)
  end)
end)

describe("an optional certificate", function()
  it("is shown when it is good; a wrong one counts as none", function()
    local child, port = start { client_ca = FILES.ca, client_certificates = "optional" }
    for _, version in ipairs(VERSIONS) do
      local settings = { version = version }
      for _, name in ipairs { "expired", "stranger", "host", false } do
        local event, seen = visit(port, name, settings)
        assert.same({ "got" }, { event.event, seen }, name)
      end
      assert.equal(clients.ann.serial, select(2, visit(port, "ann", settings)).serial)
    end
    child:stop()
    assert.equal("", program.expect_clean_end(child))
  end)

  it("that was wrong stays wrong when the session is resumed, one that was good stays good", function()
    local child, port = start { client_ca = FILES.ca, client_certificates = "optional" }
    for _, version in ipairs(VERSIONS) do
      for _, name in ipairs { "stranger", "ann" } do
        local settings = { version = version, resume = name .. " optional " .. version }
        visit(port, name, settings)
        local event, seen = visit(port, name, settings)
        assert.is_true(event.reused)
        assert.equal(name == "ann" and clients.ann.serial or nil, seen and seen.serial)
      end
    end
    child:stop()
    program.expect_clean_end(child)
  end)
end)

describe("without client_ca", function()
  it("no certificate is asked for, and none is shown", function()
    local child, port = start {}
    local event, seen = visit(port, "ann")
    assert.same({ "got" }, { event.event, seen })
    child:stop()
    program.expect_clean_end(child)
  end)
end)

describe("a session", function()
  it("is no way past another listener's demand", function()
    local child, open_port = start {}
    local strict_child, strict_port = start { client_ca = FILES.ca }
    local both = program.start([[
      local open = moonwire.json.decode(arg[1])
      local strict = moonwire.json.decode(arg[1])
      strict.client_ca = arg[2]
      local app = moonwire.app():get("/", function(req, res) res:json {} end)
      serve(app, { tls = open })
      serve(app, { tls = strict })
    ]], { json.encode { cert = server.cert, key = server.key }, FILES.ca })
    local ports = { both:expect("listening").port, both:expect("listening").port }
    for _, version in ipairs(VERSIONS) do
      for i, places in ipairs { { open_port, strict_port }, ports } do
        local settings = { version = version, resume = ("past %s %d"):format(version, i) }
        assert.equal("got", visit(places[1], nil, settings).event)
        assert.is_true(visit(places[1], nil, settings).reused)
        assert.equal("refused", visit(places[2], nil, settings).event)
      end
    end
    for _, each in ipairs { child, strict_child, both } do
      each:stop()
      program.expect_clean_end(each)
    end
  end)
end)

describe("authorities that are replaced", function()
  it("count for the next connection, also for sessions that are resumed", function()
    local ca = directory .. "/ca.pem"
    local function trust(file)
      assert(uv.fs_copyfile(file, ca .. ".new"))
      assert(uv.fs_rename(ca .. ".new", ca))
    end
    trust(FILES.ca)
    local child, port = start { client_ca = ca, reload = 0.1 }
    for _, version in ipairs(VERSIONS) do
      local settings = { version = version, resume = "trust " .. version }
      visit(port, "ann", settings)
      local event, seen = visit(port, "ann", settings)
      assert.same({ true, clients.ann.serial }, { event.reused, seen.serial })
      assert.equal("refused", visit(port, "stranger", { version = version }).event)
    end
    trust(FILES.stranger)
    expect_log(child, "moonwire: info: tls: " .. ca .. ": the authorities of clients are in use now")
    for _, version in ipairs(VERSIONS) do
      assert.equal("refused", visit(port, "ann", { version = version, resume = "trust " .. version }).event)
      assert.equal(clients.stranger.serial, select(2, visit(port, "stranger", { version = version })).serial)
    end
    trust(clients.ann.key) -- no certificate
    expect_log(child, ca .. ": holds no PEM certificate; what was read before stays in use")
    assert.equal("got", visit(port, "stranger").event)
    child:stop()
    program.expect_clean_end(child)
  end)
end)

describe("core.parse_certificate", function()
  it("leaves out names with a NUL, and needs none", function()
    local odd = tls.issue(directory, "odd", { names = "DER:30:0a:82:03:61:00:62:82:03:63:2e:64" }) -- "a\0b", "c.d"
    assert.same({ dns = { "c.d" }, email = {}, uri = {} }, core.parse_certificate(tls.der(odd.cert)).names)
    local plain = tls.issue(directory, "plain", { names = "IP:192.0.2.1" })
    assert.same({ dns = {}, email = {}, uri = {} }, core.parse_certificate(tls.der(plain.cert)).names)
  end)

  it("raises when it is given something else", function()
    for _, bytes in ipairs { "", "x", tls.der(clients.ann.cert):sub(1, -2) } do
      assert.has_error(function()
        core.parse_certificate(bytes)
      end, "parse_certificate: this is not a certificate")
    end
  end)
end)
