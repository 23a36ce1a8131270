-- ending_spec.lua - why a WebSocket ended, as `ws.ending` and the log tell it: one case for every rule there is, from the
-- names in the core's own list, so that a new rule without a case fails here.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local core = require "moonwire.core"
local moonwire = require "moonwire"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local visitor = require "spec.support.visitor"

local TEXT, PING = visitor.TEXT, visitor.PING
local DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

-- Rules of the guards, and of memory that is short, which have specs of their own.
local ELSEWHERE = { handler_limit = true, memory_limit = true, out_of_memory = true }

local apps, inbox = {}, nil
local function serve(behaviour)
  inbox = async.mailbox()
  behaviour.open = behaviour.open or inbox:putter "open"
  behaviour.close = function(ws, code, reason)
    inbox:put("close", ws, ws.ending, code, reason)
  end
  local app = moonwire.app():ws("/", behaviour)
  table.insert(apps, app)
  return assert(app:listen { host = "127.0.0.1", port = 0 }):address().port
end

local function visit(behaviour, headers)
  local client = visitor.connect(serve(behaviour))
  client:upgrade("/", headers)
  return client, inbox:take "open"
end

-- The account of the server's side; it says the same in `close`, and later.
local function ended()
  local ws, ending, code, reason = inbox:take "close"
  assert.same(ending, ws.ending)
  assert.same({ code, reason }, { ending.code, ending.reason })
  return ending
end

after_each(function()
  visitor.close_all()
  peer.stop_all()
  local closing = apps
  apps = {}
  for _, app in ipairs(closing) do
    assert(app:close { timeout = 5 })
  end
end)

local CASES = {
  peer_closed = { by = "peer", code = 3001, text = 'the peer closed it with 3001 "enough??"', function()
    visit({}):send_close(3001, "enough\r\n")
  end },

  peer_vanished = { by = "peer", code = 1006, text = "the peer closed the connection without a Close frame", function()
    visit({}):close()
  end },

  closed_by_script = { by = "us", code = 1000, text = "the script closed it", function()
    local client, ws = visit {}
    assert.is_nil(ws.ending)
    ws:close(1000, "done")
    client:expect_close()
    client:send_close(1000, "done")
  end },

  terminated_by_script = { by = "us", code = 1006, text = "the script terminated it", function()
    local _, ws = visit {}
    ws:terminate()
  end },

  max_payload = { by = "us", code = 1009, text = "a message larger than max_payload", function()
    visit({ max_payload = 10 }):send(TEXT, ("x"):rep(11))
  end },

  max_fragments = { by = "us", code = 1008, text = "too many fragments in one message", function()
    local client = visit { max_fragments = 1 }
    client:send(TEXT, "a", { fin = false })
    client:send(0, "b")
  end },

  max_control_per_second = { by = "us", code = 1008, text = "too many control frames", function()
    local client = visit { max_control_per_second = 1 }
    client:write(visitor.frame(PING):rep(3))
  end },

  protocol_error = { by = "us", code = 1002, text = "a client's frame is not masked", function()
    visit({}):write "\x81\x01x"
  end },

  bad_utf8 = { by = "us", code = 1007, text = "a text message that is not UTF-8", function()
    visit({}):send(TEXT, "\xff")
  end },

  bad_deflate = { by = "us", code = 1007, text = "a compressed message that cannot be inflated", function()
    visit({ compress = true }, DEFLATE):send(TEXT, "\xff\xff\xff", { rsv1 = true })
  end },

  pong_timeout = { by = "us", code = 1006, text = "no answer to a ping in 0.02 s", function()
    visit { ping_interval = 0.01, pong_timeout = 0.02 }
  end },

  idle_timeout = { by = "us", code = 1001, text = "no message in either direction for 0.02 s", function()
    local client = visit { idle_timeout = 0.02 }
    client:expect_close()
    client:send_close(1001)
  end },

  close_timeout = { by = "us", code = 1006,
    text = "no Close frame came back in 0.02 s; it was being closed: closed_by_script",
    function()
      local _, ws = visit { close_timeout = 0.02 }
      ws:close()
    end },

  write_timeout = { by = "us", code = 1006, text = "the peer took no bytes for 0.05 s", function()
    local client, ws = visit { write_timeout = 0.05, max_backpressure = 64 << 20 }
    client:pause()
    repeat
      ws:send(("x"):rep(1 << 20))
    until ws.buffered > 1 << 20
  end },

  slow_consumer = { by = "us", code = 1008, text = "more waited to be sent than may, 65536 bytes", function()
    local client, ws = visit { max_backpressure = 65536 }
    client:pause()
    repeat
    until not ws:send(("x"):rep(65536))
    client:resume()
  end },

  handler_error = { by = "us", code = 1011, text = "a handler failed", function()
    visit({
      message = function()
        error "on purpose"
      end,
    }):send(TEXT, "x")
  end },

  shutdown = { by = "us", code = 1001, text = "the app was closed, or the process ends", function()
    local client = visit {}
    moonwire.spawn(apps[1].close, apps[1])
    client:expect_close()
    client:send_close(1001)
  end },

  heartbeat_timeout = { by = "us", code = 1006, text = "no answer to the heartbeat in time", function()
    local port = serve {}
    local client = moonwire.connect(("ws://127.0.0.1:%d/"):format(port), {
      heartbeat = { message = "beat", expect = "never", interval = 0.01, timeout = 0.02 },
      close = function(ws, code, reason)
        inbox:put("close", ws, ws.ending, code, reason)
      end,
    })
    assert(client, "no connection")
    inbox:take "open"
  end },
}

describe("ws.ending", function()
  for _, rule in ipairs(core.ending_rules) do
    it("tells of " .. rule, function()
      local case = CASES[rule]
      if ELSEWHERE[rule] then
        return
      end
      assert(case, "this rule has no case yet")
      case[1]()
      local ending = ended()
      assert.same({ rule, case.by, case.code, case.text }, { ending.rule, ending.by, ending.code, ending.text })
    end)
  end

  it("has no case for a rule that is none", function()
    local known = {}
    for _, rule in ipairs(core.ending_rules) do
      known[rule] = true
    end
    for rule in pairs(CASES) do
      assert.is_true(known[rule], rule)
      assert.is_nil(ELSEWHERE[rule])
    end
  end)

  it("names the system's error when the connection broke", function()
    visit({}):reset()
    local ending = ended()
    assert.same({ "peer_vanished", "ECONNRESET", "Connection reset by peer" },
      { ending.rule, ending.error, ending.text })
  end)

  it("counts what never left, and how long ago what was", function()
    CASES.write_timeout[1]()
    local ending = ended()
    assert.is_true(ending.queued >= 1 << 20, ending.queued)
    assert.is_true(ending.received_ago >= 0.05)
    assert.is_true(ending.message_ago >= 0 and ending.message_ago <= ending.received_ago)
    assert.is_nil(ending.pinged_ago)
    CASES.pong_timeout[1]()
    ending = ended()
    assert.same({ 0, "number" }, { ending.queued, math.type(ending.pinged_ago) == "float" and "number" })
    assert.is_true(ending.pinged_ago >= 0.02)
  end)

  it("is the first cause, though the peer then agrees, with a code of its own", function()
    local client, ws = visit {}
    ws:close(1000, "done")
    client:expect_close()
    client:send_close(4000, "mine")
    local ending = ended()
    assert.same({ "closed_by_script", "us", 4000, "mine" }, { ending.rule, ending.by, ending.code, ending.reason })
    assert.is_nil(ending.began)
  end)

  it("of a connection that was being closed when it broke is both", function()
    local client, ws = visit {}
    ws:close(1000, "done")
    client:reset()
    local ending = ended()
    assert.same({ "peer_vanished", "closed_by_script" }, { ending.rule, ending.began })
  end)

  it("is the newest connection's, of a client that reconnects", function()
    local port = serve {}
    local closes, opens = async.mailbox(), async.mailbox()
    local ws = assert(moonwire.connect(("ws://127.0.0.1:%d/"):format(port), {
      reconnect = { delay = 0 },
      open = function(this)
        opens:put(this.ending)
      end,
      close = function(this)
        closes:put(this.ending.rule, this.ending.by)
      end,
    }))
    assert.is_nil((opens:take()))
    inbox:take("open"):terminate()
    assert.same({ "peer_vanished", "peer" }, { closes:take() })
    assert.is_nil((opens:take()))
    ws:terminate()
    assert.same({ "terminated_by_script", "us" }, { closes:take() })
  end)

  it("cannot be set", function()
    local _, ws = visit {}
    assert.has_error(function()
      ws.ending = {}
    end)
    ws:terminate()
  end)
end)

describe("the log", function()
  local SCRIPT = [[
    serve(moonwire.app():ws("/ws/:room", {
      max_payload = 10,
      open = function(ws)
        tell("open", { port = ws.request.remote_port })
      end,
      message = function(ws, text)
        ws:send(text)
        if text == "close" then ws:close() end
        if text == "much" then
          repeat ws:send(("x"):rep(1 << 16)) until ws.buffered > 1 << 19
          tell "much"
        end
      end,
      close = function() tell "close" end,
    }))
  ]]

  it("has one line for an end against the rules, and none for ordinary ones", function()
    local child = program.start(SCRIPT)
    local port = child:expect("listening").port
    local function visit_child()
      local client = visitor.connect(port)
      client:upgrade "/ws/lobby"
      return client, child:expect("open").port
    end
    for _, code in ipairs { 1000, 1001, 3000 } do
      visit_child():send_close(code)
      child:expect "close"
    end
    visit_child():send_close()
    child:expect "close"
    visit_child():close()
    child:expect "close"
    visit_child():reset()
    child:expect "close"
    local closed = visit_child()
    closed:send(TEXT, "close")
    closed:expect_close()
    closed:send_close(1000)
    child:expect "close"
    local big, from = visit_child()
    big:send(TEXT, ("x"):rep(11))
    child:expect "close"
    visit_child():send_close(1008, "too\nslow")
    child:expect "close"
    local stalled = visit_child()
    stalled:pause()
    stalled:send(TEXT, "much")
    child:expect "much"
    stalled:reset()
    child:expect "close"
    local last = visit_child()
    child:kill "sigterm"
    last:expect_close()
    last:close()
    local log = program.expect_clean_end(child)
    local lines = {}
    for line in log:gmatch "[^\n]+" do
      table.insert(lines, line)
    end
    assert.matches("warning: WebSocket 8 on /ws/:room from 127%.0%.0%.1:" .. from .. ": closed by us, max_payload: "
      .. "a message larger than max_payload; %d+ bytes queued, last bytes from it %d+%.%d s ago$", lines[1])
    assert.matches('info: WebSocket 9 on .*: closed by the peer, peer_closed: the peer closed it with 1008 "too%?slow";',
      lines[2])
    assert.matches("info: WebSocket 10 on .*: closed by the peer, peer_vanished: [^;]+; %d+ bytes queued,", lines[3])
    assert.equal(3, #lines, log)
  end)
end)
