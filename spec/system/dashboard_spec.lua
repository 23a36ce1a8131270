-- dashboard_spec.lua - examples/dashboard as pages and programs use it: the frames of the wall screen and the home page, the
-- data interface, slow windows, and both pages in a browser.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local example = require "spec.support.example"
local json = require "moonwire.json"
local peer = require "spec.support.peer"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local NAMES = { "trend", "seller", "map", "rank", "hot", "stock" }
local HEADERS = {
  ["content-type"] = "application/json; charset=utf-8",
  ["access-control-allow-origin"] = "*",
  ["access-control-allow-methods"] = "OPTIONS, GET, PUT, POST, DELETE",
}

local function file_of(name)
  local file <close> = assert(io.open(example.path(("examples/dashboard/data/%s.json"):format(name))))
  return file:read "a"
end

local function ask(name)
  return ('{"action":"getData","socketType":"%sData","chartName":"%s","value":""}'):format(name, name)
end

-- `pause`: seconds between two pushes, 0 for none. The data interface is an example of its own in `data`.
local function start(pause)
  local dashboard = example.start("dashboard", { "0", tostring(pause) })
  local url, port = dashboard.process:expect("line").text:match "(http://127%.0%.0%.1:(%d+)/)api/trend"
  local data = setmetatable({ url = url, port = math.tointeger(port) }, getmetatable(dashboard))
  return dashboard, data
end

-- All messages that have come so far. There are thousands, of which Visitor:message would copy the rest each time.
local function take_texts(slow)
  local texts, at, received = {}, 1, slow.received
  while #received >= at + 3 do
    local length, from = received:byte(at + 1), at + 2
    if length == 126 then
      length, from = string.unpack(">I2", received, from)
    end
    if #received < from + length - 1 then
      break
    end
    table.insert(texts, received:byte(at) == 0x81 and received:sub(from, from + length - 1) or nil)
    at = from + length
  end
  slow.received = received:sub(at)
  return texts
end

describe("the dashboard example", function()
  local dashboard, data

  after_each(function()
    visitor.close_all()
    if dashboard and not dashboard.process.exit then
      dashboard:stop()
    end
    peer.stop_all()
  end)
  teardown(peer.finish)

  describe("over HTTP", function()
    before_each(function()
      dashboard, data = start(0)
    end)

    local function has_headers(answer)
      for name, value in pairs(HEADERS) do
        assert.equal(value, answer.headers[name])
      end
      assert.truthy(answer.headers["x-response-time"]:find "^%d+ms$")
    end

    it("gives each data set as its file has it, to pages of every origin", function()
      for _, name in ipairs(NAMES) do
        local answer = data:fetch("/api/" .. name, { headers = { Origin = "https://elsewhere.example" } })
        assert.same({ 200, file_of(name) }, { answer.status, answer.text }, name)
        has_headers(answer)
      end
    end)

    it("answers a browser that asks first", function()
      local answer = data:fetch("/api/hot", { method = "OPTIONS" })
      assert.equal(204, answer.status)
      assert.equal("*", answer.headers["access-control-allow-origin"])
      assert.equal(HEADERS["access-control-allow-methods"], answer.headers["access-control-allow-methods"])
    end)

    it("has nothing else", function()
      for _, path in ipairs { "/", "/api", "/api/", "/api/nothing", "/api/hot/", "/api/../server.lua", "/api/..%2fdata%2fhot",
        "/api/%2e%2e/%2e%2e/etc/passwd", "/data/hot.json", "/api/hot.json" } do
        local answer = data:fetch(path)
        assert.equal(404, answer.status, path)
        local body = json.decode(answer.text)
        assert.same({ 404, "string" }, { body.status, type(body.message) }, path)
        has_headers(answer)
      end
      assert.equal(404, data:fetch("/api/hot", { method = "POST", body = "{}" }).status)
    end)

    it("tells who only wants the head of an answer", function()
      local answer = data:fetch("/api/hot", { method = "HEAD" })
      assert.same({ 200, "", tostring(#file_of "hot") }, { answer.status, answer.text, answer.headers["content-length"] })
      has_headers(answer)
    end)
  end)

  describe("on the wall screen's wire", function()
    before_each(function()
      dashboard, data = start(0)
    end)

    it("answers getData with the same object and the figures as a string, to the sender only", function()
      local window, other = dashboard:visit "/", dashboard:visit "/"
      for _, name in ipairs(NAMES) do
        window:send(ask(name))
        local text = window:hear()
        local encoded = text:match('^{"action":"getData","socketType":"' .. name .. 'Data","chartName":"' .. name
          .. '","value":"","data":(".*")}$')
        assert.equal(file_of(name), json.decode("[" .. assert(encoded, text) .. "]")[1])
      end
      other:send(ask "hot")
      assert.equal("hotData", other:hear_json().socketType)
      assert.equal(0, other:waiting())
      window:close()
      other:close()
    end)

    it("keeps the members of what it is asked as they came", function()
      local window = dashboard:visit "/"
      window:send '{ "value" : [1.50, "ß\\u00df"],\n"chartName":"hot" , "x":{"y":1e2},"action":"getData"} \n'
      local text = window:hear()
      assert.equal(1, text:find('{ "value" : [1.50, "ß\\u00df"],\n"chartName":"hot" , "x":{"y":1e2},"action":"getData","data":"',
        1, true))
      window:close()
    end)

    it("relays every other action to every window, verbatim", function()
      local one, two = dashboard:visit "/", dashboard:visit "/"
      for _, text in ipairs {
        '{"action":"fullScreen","socketType":"fullScreen","chartName":"trend","value":true}',
        '{"action":"fullScreen","socketType":"fullScreen","chartName":"trend","value":false}',
        '{"action":"themeChange","socketType":"themeChange","chartName":"","value":""}',
        '{ "action" : "unheard of", "n": 1.0, "deep": {"a": [ ]} }',
        '{"action":"getdata","chartName":"../../etc/passwd"}',
      } do
        one:send(text)
        assert.equal(text, one:hear())
        assert.equal(text, two:hear())
      end
      one:close()
      two:close()
    end)

    it("tells a window that comes later how things are", function()
      local one = dashboard:visit "/"
      local full = '{"action":"fullScreen","socketType":"fullScreen","chartName":"%s","value":%s}'
      local theme = '{"action":"themeChange","socketType":"themeChange","chartName":"","value":"light"}'
      for _, text in ipairs { full:format("trend", "true"), full:format("map", "true"), full:format("trend", "false"), theme,
        '{"action":"hello","chartName":"map","value":"x"}', '{"action":"hello","chartName":"","value":"x"}',
        full:format("nothing", "true") } do
        one:send(text)
        one:hear()
      end
      local two = dashboard:visit "/"
      local heard = { two:hear(), two:hear() }
      table.sort(heard)
      assert.same({ full:format("map", "true"), theme }, heard)
      two:send(ask "hot")
      assert.equal("hotData", two:hear_json().socketType)
      one:close()
      two:close()
    end)

    it("answers what it can't take with an error, to its sender only", function()
      local one, two = dashboard:visit "/", dashboard:visit "/"
      for what, text in pairs {
        ["a way out of the directory"] = '{"action":"getData","socketType":"x","chartName":"../../etc/passwd","value":""}',
        ["an unknown chart"] = '{"action":"getData","chartName":"nothing"}',
        ["no chart"] = '{"action":"getData"}',
        ["a chart that is no string"] = '{"action":"getData","chartName":["hot"]}',
        ["null as chart"] = '{"action":"getData","chartName":null}',
        ["broken JSON"] = '{"action":"getData",',
        ["no object"] = '"getData"',
        ["a list"] = '[{"action":"getData","chartName":"hot"}]',
        ["nothing"] = "",
        ["no action"] = '{"chartName":"hot"}',
        ["an action that is no string"] = '{"action":{},"chartName":"hot"}',
        ["deep nesting"] = ("["):rep(500) .. ("]"):rep(500),
      } do
        one:send(text)
        local answer = one:hear_json()
        assert.same({ "error", "string" }, { answer.action, type(answer.message) }, what)
      end
      assert.equal(0, two:waiting())
      two:send(ask "hot")
      assert.equal("hotData", two:hear_json().socketType)
      one:close()
      two:close()
    end)

    it("serves front ends from elsewhere", function()
      local window = visitor.connect(dashboard.port)
      window:upgrade("/", "Origin: http://localhost:8081\r\n")
      window:send(visitor.TEXT, ask "hot")
      assert.equal("hotData", json.decode(window:message()).socketType)
    end)

    it("closes who sends two megabytes, and nobody else", function()
      local one, two = dashboard:visit "/", dashboard:visit "/"
      one.peer:tell { send = { size = 2 << 20, kind = "text" } }
      assert.equal(1009, (one:leave()))
      two:send(ask "hot")
      assert.equal("hotData", two:hear_json().socketType)
      two:close()
    end)

    it("relays a thousand messages at once, in order", function()
      local one, two = dashboard:visit "/", dashboard:visit "/"
      for i = 1, 1000 do
        one:send(('{"action":"fullScreen","chartName":"hot","value":%d}'):format(i))
      end
      for i = 1, 1000 do
        assert.equal(i, two:hear_json().value)
      end
      one:terminate()
      two:close()
    end)
  end)

  it("pushes figures that move to those who asked for them", function()
    dashboard, data = start(0.01)
    local window, other = dashboard:visit "/", dashboard:visit "/"
    window:send(ask "hot")
    local seen = {}
    for _ = 1, 10 do
      local message = window:hear_json()
      assert.same({ "getData", "hotData", "hot", "" },
        { message.action, message.socketType, message.chartName, message.value })
      seen[message.data] = true
      assert.equal(4, #assert(json.decode(message.data)))
    end
    local count = 0
    for _ in pairs(seen) do
      count = count + 1
    end
    assert.is_true(count > 5)
    assert.equal(0, other:waiting())
    assert.truthy(json.decode(data:fetch("/api/hot").text))
    window:close()
    other:close()
  end)

  it("tells a window that stalled the present, and not what it missed", function()
    dashboard, data = start(0.001)
    local slow = visitor.connect(dashboard.port)
    -- Or the kernel holds megabytes, which are thousands of pushes.
    slow.socket:recv_buffer_size(1 << 16)
    slow:upgrade "/"
    local watcher = dashboard:visit "/"
    for _, name in ipairs(NAMES) do
      slow:send(visitor.TEXT, ask(name))
    end
    slow:message()
    slow:pause()
    -- As long as it takes for the kernel to be full of what nobody reads, and much longer: counted by somebody who reads.
    watcher:send(ask "trend")
    local pushed = 0
    async.wait_until(function()
      while watcher:waiting() > 0 do
        watcher:hear()
        pushed = pushed + 1
      end
      return pushed > 4000
    end, "4,000 pushes", 60)
    watcher:terminate()
    slow:resume()
    -- Now there is room again: it keeps up, so it gets what the data interface says now. The kernel may just then be full
    -- once more, and that one be replaced by a newer one: hence another look.
    local got, seen = 0, {}
    for _, name in ipairs(NAMES) do
      local asked, is_present = {}, false
      repeat
        asked[data:fetch("/api/" .. name).text] = true
        for _, text in ipairs(take_texts(slow)) do
          local message = json.decode(text)
          seen[message.data] = true
          got = got + (message.chartName == "trend" and 1 or 0)
        end
        for text in pairs(asked) do
          is_present = is_present or seen[text]
        end
        assert.is_true(got < pushed / 2, ("%d of %d pushes came, up to %s"):format(got, pushed, name))
      until is_present
    end
  end)

  it("tells a window that stalled how things are, also when nothing follows, and not what is over", function()
    dashboard = start(0)
    local slow, sender = visitor.connect(dashboard.port), visitor.connect(dashboard.port)
    slow:upgrade "/"
    sender:upgrade "/"
    slow:pause()
    local ROUNDS, AT_ONCE = 1000, 50
    local filler = ("x"):rep(1500)
    local function hear_until(window, last)
      local count, newest = 0, {}
      async.wait_until(function()
        for _, text in ipairs(take_texts(window)) do
          local message = json.decode(text)
          count, newest[message.chartName] = count + 1, message.value
        end
        for _, name in ipairs { "", table.unpack(NAMES) } do
          if newest[name] ~= last then
            return false
          end
        end
        return true
      end, "the newest of everything")
      return count
    end
    for n = 1, ROUNDS do
      for _, name in ipairs(NAMES) do
        sender:send(visitor.TEXT, json.encode { action = "fullScreen", chartName = name, value = n, filler = filler })
      end
      sender:send(visitor.TEXT, json.encode { action = "themeChange", chartName = "", value = n })
      if n % AT_ONCE == 0 then
        hear_until(sender, n)
      end
    end
    slow:resume()
    local count = hear_until(slow, ROUNDS)
    assert.is_true(count < ROUNDS * 7 / 2, ("%d of %d came"):format(count, ROUNDS * 7))
  end)

  describe("on the home page's wire", function()
    local function hear_all(window, ...)
      local wanted, found = { ... }, {}
      while #found < #wanted do
        local message = window:hear_json()
        table.insert(found, message.name)
      end
      table.sort(found)
      table.sort(wanted)
      assert.same(wanted, found)
    end

    it("tells the present at once, and switches pushing off and on", function()
      dashboard = start(0)
      local window = dashboard:visit "/home"
      hear_all(window, "numbers", "trend", "stock")
      window:send '{"name":"live","live":false}'
      assert.equal('{"name":"live","live":false}', window:hear())
      window:send '{"name":"live","live":true}'
      assert.equal('{"name":"live","live":true}', window:hear())
      hear_all(window, "numbers", "trend", "stock")
      window:send '{"name":"mode","mode":"simple"}'
      assert.equal('{"name":"mode","mode":"simple"}', window:hear())
      hear_all(window, "numbers")
      assert.equal(0, window:waiting())
      window:close()
    end)

    it("pushes to those who want it only", function()
      dashboard = start(0.01)
      local full, simple, off = dashboard:visit "/home", dashboard:visit "/home", dashboard:visit "/home"
      simple:send '{"name":"mode","mode":"simple"}'
      off:send '{"name":"live","live":false}'
      while off:hear_json().name ~= "live" do end
      while simple:hear_json().name ~= "mode" do end
      for _ = 1, 20 do
        assert.equal("numbers", simple:hear_json().name)
      end
      local heard = {}
      for _ = 1, 30 do
        heard[full:hear_json().name] = true
      end
      assert.same({ numbers = true, trend = true, stock = true }, heard)
      assert.equal(0, off:waiting())
      for _, window in ipairs { full, simple, off } do
        window:terminate()
      end
    end)

    it("answers what it can't take with an error", function()
      dashboard = start(0)
      local window = dashboard:visit "/home"
      hear_all(window, "numbers", "trend", "stock")
      for _, text in ipairs { "", "{", "null", "[]", '{"name":"live"}', '{"name":"live","live":"true"}',
        '{"name":"mode","mode":"dark"}', '{"name":"nothing"}', '{"name":{}}', '{"live":true}' } do
        window:send(text)
        assert.equal("error", window:hear_json().name, text)
      end
      window:close()
    end)

    it("sees why a page was left, whatever the language", function()
      dashboard = start(0)
      local window = dashboard:visit "/home"
      window:close(1000, "用户已经离开当前页面或页面发生刷新")
      async.wait_until(function()
        return dashboard.process.stderr:find("a home page was left: 1000 用户已经离开当前页面或页面发生刷新", 1, true)
      end, "the reason in the log")
    end)
  end)

  it("is a wall that all windows share, in a browser", function()
    dashboard = start(0.2)
    local port = dashboard.port
    example.play("dashboard_page.mjs", dashboard.url, 9, {
      restart = function()
        dashboard:stop()
        dashboard = example.start("dashboard", { "0", "0.2" }, { port = port })
      end,
      left = function()
        return dashboard.process.stderr
      end,
    })
  end)

  it("draws a data set in the terminal", function()
    dashboard = start(0.05)
    local script = example.path "examples/dashboard/client.lua"
    local client = peer.spawn(uv.exepath(), { script, "rank", ("ws://127.0.0.1:%d/"):format(dashboard.port) })
    for _, name in ipairs { "Bavaria", "Île%-de%-France", "Greater London" } do
      assert.truthy(client:expect("line").text:find(name .. " +%d+ █"))
    end
    client:kill "sigterm"
    assert.equal(0, client:expect("exit").code)
    local wrong = peer.spawn(uv.exepath(), { script, "../x", ("ws://127.0.0.1:%d/"):format(dashboard.port) })
    assert.equal(1, wrong:expect("exit").code)
    assert.truthy(wrong.stderr:find "there is no such chart")
  end)

  it("says which package is missing", function()
    local process = peer.spawn("env", { "CHARTJS=/nowhere", uv.exepath(), example.path "examples/dashboard/server.lua", "0" })
    assert.equal(1, process:expect("exit").code)
    assert.truthy(process.stderr:find("libjs-chart.js", 1, true), process.stderr)
  end)
end)
