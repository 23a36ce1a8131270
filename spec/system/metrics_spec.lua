-- metrics_spec.lua - what a process tells those who look after it: /metrics, read by a strict parser of Prometheus' text
-- format, against what known traffic must have counted; /health and /ready, from the first moment to the last.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local core = require "moonwire.core"
local json = require "moonwire.json"
local metrics = require "moonwire.metrics"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local tls = require "spec.support.tls"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local TEXT = visitor.TEXT

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

-- ---- the format ----

local NAME = "^[%a_:][%w_:]*$"
local KINDS = { counter = true, gauge = true, histogram = true }

-- The labels of a sample, "a=1,b=2" in the order of their names; raises where the format is broken.
local function parse_labels(text, line)
  local labels, at = {}, 1
  while at <= #text do
    local name, value, after = text:match('^([%a_][%w_]*)="([^"\\\n]*)"()', at)
    assert(name, "labels: " .. line)
    assert(not labels[name], "a label twice: " .. line)
    labels[name], at = value, after
    assert(at > #text or text:sub(at, at) == "," and at < #text, "labels: " .. line)
    at = at + 1
  end
  return labels
end

local function parse_value(text, line)
  assert(text:find "^[+-]?%d+%.?%d*[eE]?[+-]?%d*$" and tonumber(text), "value: " .. line)
  return tonumber(text)
end

-- One sample of the family that is being told; a histogram's have the endings they must have.
local function add_sample(family, line)
  local name, labels_text, value = line:match "^([%w_:]+){(.*)} (%S+)$"
  if not name then
    name, value = line:match "^([%w_:]+) (%S+)$"
  end
  assert(name and name:find(NAME), "sample: " .. line)
  local labels = parse_labels(labels_text or "", line)
  if family.kind == "histogram" then
    local ending = name:sub(#family.name + 1)
    assert(name:sub(1, #family.name) == family.name, line)
    assert(ending == "_bucket" and labels.le or (ending == "_sum" or ending == "_count") and not next(labels), line)
  else
    assert(name == family.name, "a sample of another family: " .. line)
    assert(family.kind ~= "counter" or name:find "_total$" or false, "a counter without _total: " .. line)
  end
  local key = name .. "{" .. (labels_text or "") .. "}"
  assert(family.samples[key] == nil, "a sample twice: " .. line)
  family.samples[key] = parse_value(value, line)
  table.insert(family.order, { labels = labels, value = family.samples[key], name = name })
end

-- Bounds and counts grow, the last bound is +Inf, and its count is the count.
local function check_histogram(family)
  local bound, count, last = -math.huge, 0, nil
  for _, sample in ipairs(family.order) do
    if sample.labels.le then
      local le = sample.labels.le == "+Inf" and math.huge or tonumber(sample.labels.le)
      assert(le > bound and sample.value >= count, "buckets of " .. family.name)
      bound, count, last = le, sample.value, sample
    end
  end
  assert(last and bound == math.huge, "no +Inf bucket: " .. family.name)
  assert(family.samples[family.name .. "_count{}"] == count, "the count of " .. family.name)
  assert(family.samples[family.name .. "_sum{}"], "the sum of " .. family.name)
end

---@return table<string, table> families
local function parse(text)
  local families, family, help = {}, nil, nil
  assert(text:sub(-1) == "\n" and not text:find "\r" and not text:find "\n\n")
  for line in text:gmatch "([^\n]*)\n" do
    local name, rest = line:match "^# HELP (%S+) (%S.*)$"
    local of, kind = line:match "^# TYPE (%S+) (%S+)$"
    if name then
      assert(name:find(NAME) and not families[name] and #rest > 0 and not help, line)
      help = name
    elseif of then
      assert(of == help and KINDS[kind], "TYPE must follow its HELP: " .. line)
      family, help = { name = of, kind = kind, samples = {}, order = {} }, nil
      families[of] = family
    else
      assert(family and not help and line:sub(1, 1) ~= "#", line)
      add_sample(family, line)
    end
  end
  for _, each in pairs(families) do
    assert(each.order[1], "a family without samples: " .. each.name)
    if each.kind == "histogram" then
      check_histogram(each)
    end
  end
  return families
end

describe("the parser of this spec", function()
  local GOOD = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"c\",d=\"e\"} 1\na_total 2.5e-3\n"

  it("takes what is right, and nothing else", function()
    assert.equal(0.0025, parse(GOOD).a_total.samples["a_total{}"])
    for _, change in ipairs {
      { "# HELP[^\n]*\n", "" }, { "counter", "count" }, { "a_total 2", "other 2" }, { 'c",', 'c"' }, { "e%-3", "e-" },
      { "a_total 2", 'a_total{b="c",d="e"} 2' }, { "\n$", "" }, { "a_total", "a" }, { "# TYPE[^\n]*\n", "" },
    } do
      local bad = GOOD:gsub(change[1], change[2], change[1] == "a_total" and 9 or 1)
      assert.has_error(function()
        parse(bad)
      end, nil, bad)
    end
  end)

  it("knows what a histogram is", function()
    local good = '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 2\nh_bucket{le="+Inf"} 3\nh_sum 4.5\nh_count 3\n'
    parse(good)
    for _, change in ipairs { { "h_count 3", "h_count 2" }, { '"1"} 2', '"1"} 4' }, { "h_sum 4.5\n", "" }, { "%+Inf", "2" } } do
      local bad = good:gsub(change[1], change[2])
      assert.has_error(function()
        parse(bad)
      end, nil, bad)
    end
  end)
end)

-- ---- a process to look at ----

local SCRIPT = [[
  local app = moonwire.app()
  app:ws("/", {
    max_payload = 100,
    open = function(ws) ws:subscribe "all" end,
    message = function(ws, text)
      if text == "publish" then
        app:publish("all", "news")
      elseif text == "fail" then
        error "on purpose"
      elseif text == "slow" then
        local till = uv.hrtime() + 3e6
        repeat until uv.hrtime() > till
        ws:send "done"
      else
        ws:send(text)
      end
    end,
  })
  app:get("/fine", function(_, res) res:send "fine" end)
  app:get("/fail", function() error "on purpose" end)
  serve(app, load("return " .. (arg[1] or "{}"))())
]]

local function start(script, settings)
  local path = async.directory() .. "/metrics"
  local child = program.start(script or SCRIPT, { settings }, { "--metrics", path })
  return child, path
end

local function ask(path, target)
  local client = visitor.connect(path)
  client:request(target)
  local status, body, head = client:response()
  client:expect_end() -- so that nobody keeps the process by it
  client:close()
  return status, body, head
end

-- What is told now: name of a sample -> value.
local function scrape(path)
  local status, body, head = ask(path, "/metrics")
  assert.equal(200, status)
  assert.truthy(head:lower():find("content-type: text/plain; version=0.0.4; charset=utf-8", 1, true))
  local values = {}
  for _, family in pairs(parse(body)) do
    for key, value in pairs(family.samples) do
      values[key:gsub("{}$", "")] = value
    end
  end
  return values
end

-- Look until these are told: what a connection leaves behind is counted when its end has come.
local function expect_values(path, wanted)
  local deadline = uv.hrtime() + async.GUARD * 1e9
  local values, found
  repeat
    values, found = scrape(path), {}
    local is_all = true
    for name, value in pairs(wanted) do
      found[name] = values[name]
      is_all = is_all and found[name] == value
    end
  until is_all or uv.hrtime() > deadline
  assert.same(wanted, found)
  return values
end

local function open_one(port)
  local ws = visitor.connect(port)
  ws:upgrade()
  return ws
end

local function finish(child)
  visitor.close_all() -- nobody to wait for
  child:kill "sigterm"
  return program.expect_clean_end(child)
end

describe("/metrics", function()
  it("tells what known traffic has counted", function()
    local child, path = start()
    local port = child:expect("listening").port
    local before = scrape(path)
    assert.equal(0, before.moonwire_messages_received_total)
    assert.equal(1, before['moonwire_info{version="' .. core.version .. '",lua="Lua 5.4",libuv="'
      .. uv.version_string() .. '"}'])

    local a, b, c, d = open_one(port), open_one(port), open_one(port), open_one(port)
    for i = 1, 5 do
      a:send(TEXT, "echo " .. i)
      a:message()
    end
    a:send(TEXT, "publish")
    for _, each in ipairs { a, b, c, d } do
      assert.equal("news", each:message())
    end
    a:send(TEXT, "slow")
    a:message()
    b:send(TEXT, ("x"):rep(101))
    b:expect_close()
    b:close()
    c:send(TEXT, "fail")
    c:expect_close()
    c:close()
    d:send_close(1000)
    d:expect_close()
    for _, target in ipairs { "/fine", "/fine", "/nothing", "/fail" } do
      local client = visitor.connect(port)
      client:request(target, "Connection: close\r\n")
      client:response()
      client:expect_end()
    end
    local values = expect_values(path, {
      moonwire_connections = 1,
      moonwire_connections_accepted_total = 8,
      ['moonwire_connections_refused_total{reason="max_connections"}'] = 0,
      moonwire_http_connections = 0,
      ['moonwire_http_responses_total{status="2xx"}'] = 2,
      ['moonwire_http_responses_total{status="3xx"}'] = 0,
      ['moonwire_http_responses_total{status="4xx"}'] = 1,
      ['moonwire_http_responses_total{status="5xx"}'] = 1,
      ['moonwire_websockets{side="server"}'] = 1,
      ['moonwire_websockets{side="client"}'] = 0,
      ['moonwire_websockets_opened_total{side="server"}'] = 4,
      ['moonwire_websockets_ended_total{rule="max_payload"}'] = 1,
      ['moonwire_websockets_ended_total{rule="handler_error"}'] = 1,
      ['moonwire_websockets_ended_total{rule="peer_closed"}'] = 1,
      moonwire_messages_received_total = 8,
      moonwire_messages_sent_total = 10,
      moonwire_publications_total = 1,
      moonwire_handler_errors_total = 2,
      moonwire_send_queue_bytes = 0,
      moonwire_send_queues_waiting = 0,
    })
    assert.is_true(values.moonwire_received_bytes_total > before.moonwire_received_bytes_total + 1000)
    assert.is_true(values.moonwire_sent_bytes_total > before.moonwire_sent_bytes_total + 1000)
    local ended = 0
    for _, rule in ipairs(core.ending_rules) do
      ended = ended + values[('moonwire_websockets_ended_total{rule="%s"}'):format(rule)]
    end
    assert.equal(3, ended)
    -- The handler that took three milliseconds.
    local quick, all = values['moonwire_handler_seconds_bucket{le="0.0025"}'], values.moonwire_handler_seconds_count
    assert.is_true(all > quick and quick >= 0)
    assert.is_true(values.moonwire_handler_seconds_sum >= 0.003)
    finish(child)
  end)

  it("tells of the process what the kernel tells", function()
    local child, path = start()
    child:expect "listening"
    local values = scrape(path)
    local resident = program.memory(child.pid) * 1024
    assert.is_true(values.process_resident_memory_bytes > resident / 2)
    assert.is_true(values.process_resident_memory_bytes < resident * 2)
    -- One more while it answers.
    local descriptors = program.descriptors(child.pid)
    assert.is_true(values.process_open_fds - descriptors == 1 or values.process_open_fds == descriptors)
    assert.is_true(values.process_max_fds > values.process_open_fds)
    local age = os.time() - values.process_start_time_seconds
    assert.is_true(age > -2 and age < async.GUARD)
    assert.is_true(values.process_cpu_seconds_total > 0 and values.process_cpu_seconds_total < async.GUARD)
    assert.is_true(values.moonwire_lua_memory_bytes > 100000)
    assert.is_true(scrape(path).moonwire_loop_turns_total > values.moonwire_loop_turns_total)
    finish(child)
  end)

  it("tells how much waits, and for whom", function()
    local child, path = start [[
      serve(moonwire.app():ws("/", {
        message = function(ws) repeat ws:send(("x"):rep(1 << 16)) until ws.buffered > 1 << 17; tell "full" end,
      }))
    ]]
    local port = child:expect("listening").port
    local quick, slow = open_one(port), open_one(port)
    slow:pause()
    slow:send(TEXT, "much")
    child:expect "full"
    quick:send_close(1000)
    quick:expect_close()
    local values = scrape(path)
    assert.is_true(values.moonwire_send_queue_bytes > 1 << 16)
    assert.equal(values.moonwire_send_queue_bytes, values.moonwire_send_queue_largest_bytes)
    assert.equal(1, values.moonwire_send_queues_waiting)
    slow:reset()
    expect_values(path, { moonwire_send_queue_bytes = 0, ['moonwire_websockets_ended_total{rule="peer_vanished"}'] = 1 })
    finish(child)
  end)

  it("counts TLS handshakes, those that fail too", function()
    local files = tls.files()
    local child, path = start(nil, ("{ tls = { cert = %q, key = %q } }"):format(files.cert, files.key))
    local port = child:expect("listening").port
    local wrong = visitor.connect(port)
    wrong:write(("this is no TLS at all\r\n"):rep(4))
    wrong:expect_end()
    local response = require("moonwire").fetch(("https://localhost:%d/fine"):format(port), { tls = { ca = files.ca } })
    assert.equal(200, response.status)
    expect_values(path, {
      ['moonwire_tls_handshakes_total{result="ok"}'] = 1,
      ['moonwire_tls_handshakes_total{result="failed"}'] = 1,
    })
    finish(child)
  end)

  it("counts who is refused by its address, and who comes too fast", function()
    local child, path = start(nil, "{ max_per_address = 2 }")
    local port = child:expect("listening").port
    local _, _ = open_one(port), open_one(port)
    assert.equal("", visitor.connect(port):expect_end())
    expect_values(path, {
      ['moonwire_connections_refused_total{reason="max_per_address"}'] = 1,
      ['moonwire_connections_refused_total{reason="max_connects_per_address"}'] = 0,
    })
    finish(child)
    child, path = start(nil, "{ max_connects_per_address = 1 }")
    port = child:expect("listening").port
    open_one(port)
    local refused
    repeat -- until two come within a second
      local client = visitor.connect(port)
      client:request "/fine"
      refused = not pcall(client.response, client)
    until refused
    expect_values(path, {
      ['moonwire_connections_refused_total{reason="max_per_address"}'] = 0,
      ['moonwire_connections_refused_total{reason="max_connects_per_address"}'] = 1,
    })
    finish(child)
  end)

  it("counts who is refused, and answers when nobody else gets in", function()
    local child, path = start(nil, "{ max_connections = 2 }")
    local port = child:expect("listening").port
    local a, b = open_one(port), open_one(port)
    local c = visitor.connect(port)
    assert.equal(503, (c:response()))
    expect_values(path, {
      moonwire_connections = 2,
      moonwire_connections_accepted_total = 2,
      ['moonwire_connections_refused_total{reason="max_connections"}'] = 1,
    })
    a:close()
    b:close()
    finish(child)
  end)

  it("can be read while 500 connections talk", function()
    local child, path = start()
    local port = child:expect("listening").port
    local count, rounds, sockets = 500, 4, {}
    for i = 1, count do
      sockets[i] = visitor.connect(port)
      sockets[i]:write(visitor.opening())
    end
    for i = 1, count do
      sockets[i]:expect "^HTTP/1%.1 101.-\r\n\r\n"
    end
    local last = 0
    for round = 1, rounds do
      for i = 1, count do
        sockets[i]:send(TEXT, "hello")
      end
      local received = scrape(path).moonwire_messages_received_total
      assert.is_true(received >= last and received <= round * count)
      last = received
      for i = 1, count do
        sockets[i]:message()
      end
    end
    local values = scrape(path)
    assert.same({ count, rounds * count, rounds * count }, { values['moonwire_websockets{side="server"}'],
      values.moonwire_messages_received_total, values.moonwire_messages_sent_total })
    for i = 1, count do
      sockets[i]:reset()
    end
    expect_values(path, { moonwire_connections = 0, ['moonwire_websockets_ended_total{rule="peer_vanished"}'] = count })
    finish(child)
  end)
end)

describe("/health and /ready", function()
  it("are 200 while the process serves, and 503 while it drains, until its last connection has gone", function()
    local child, path = start()
    local port = child:expect("listening").port
    local ws = open_one(port)
    local status, body, head = ask(path, "/health")
    local health = json.decode(body)
    assert.same({ 200, "ok", core.version, 1 }, { status, health.status, health.version, health.websockets })
    assert.truthy(head:find "Content%-Type: application/json")
    assert.is_true(health.uptime >= 0 and health.uptime < async.GUARD)
    assert.equal(200, (ask(path, "/ready")))
    child:kill "sigterm"
    assert.equal(1001, (ws:expect_close()))
    for _, target in ipairs { "/health", "/ready" } do
      status, body = ask(path, target)
      assert.same({ 503, "draining" }, { status, json.decode(body).status })
    end
    assert.equal(1, scrape(path)['moonwire_websockets{side="server"}'])
    ws:send_close(1001)
    program.expect_clean_end(child)
  end)

  it("tell that a script is still setting things up", function()
    local child, path = start [[
      tell "begun"
      next_order()
      serve(moonwire.app())
    ]]
    child:expect "begun"
    assert.equal(200, (ask(path, "/health")))
    local status, body = ask(path, "/ready")
    assert.same({ 503, "starting" }, { status, json.decode(body).status })
    child.stdin:write "go\n"
    child:expect "listening"
    assert.equal(200, (ask(path, "/ready")))
    finish(child)
  end)

  it("are all there is", function()
    local child, path = start()
    child:expect "listening"
    for _, target in ipairs { "/", "/metrics/", "/debug" } do
      assert.equal(404, (ask(path, target)))
    end
    finish(child)
  end)
end)

describe("the address of the metrics", function()
  it("keeps no process running, also while somebody is connected to it", function()
    local child, path = start [[
      tell "begun"
      next_order()
    ]]
    child:expect "begun"
    local silent = visitor.connect(path)
    child.stdin:write "go\n"
    program.expect_clean_end(child)
    silent:expect_end()
    assert.is_true(visitor.is_refused(path))
  end)

  it("is 127.0.0.1 unless another one is named", function()
    for text, wanted in pairs {
      ["9100"] = { host = "127.0.0.1", port = 9100 },
      ["0.0.0.0:9100"] = { host = "0.0.0.0", port = 9100 },
      ["localhost:0"] = { host = "localhost", port = 0 },
      ["[::1]:9100"] = { host = "::1", port = 9100 },
      ["./metrics"] = { path = "./metrics" },
      ["/run/metrics:1"] = { path = "/run/metrics:1" },
    } do
      assert.same(wanted, metrics.parse_address(text), text)
    end
    for _, text in ipairs { "", "metrics", ":9100", "::1:9100", "[::1]", "host:", "1:2:3", "65536", "-1", "[x]:1" } do
      assert.is_nil(metrics.parse_address(text), text)
    end
  end)

  it("that can't be had is told, and the script not begun", function()
    local path = async.directory() .. "/no/metrics"
    local result = program.run { "--metrics", path, program.write "print 'begun'" }
    assert.same({ 1, "" }, { result.code, result.stdout })
    assert.truthy(result.stderr:find("--metrics " .. path .. ": cannot listen on", 1, true), result.stderr)
    result = program.run { "--metrics", "nonsense", program.write "print 'begun'" }
    assert.same({ 1, "" }, { result.code, result.stdout })
    assert.truthy(result.stderr:find("--metrics nonsense: [HOST:]PORT, or the path", 1, true), result.stderr)
  end)
end)
