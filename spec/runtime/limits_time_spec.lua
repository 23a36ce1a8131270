-- limits_time_spec.lua - the time limits of a WebSocket, each from just below and from just above. Times are small, and judged
-- by what happens and in which order, not by the clock. (HTTP's are in limits_http_spec.lua and http_timing_spec.lua.)
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local limits = require "spec.support.limits"
local moonwire = require "moonwire"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local TEXT, PING, PONG = visitor.TEXT, visitor.PING, visitor.PONG

after_each(limits.finish)

describe("a peer that never answers a ping", function()
  it("is dropped after pong_timeout, also while it is sent to", function()
    local sender
    local port, inbox = limits.serve_ws {
      ping_interval = 0.03,
      pong_timeout = 0.06,
      open = function(ws)
        sender = moonwire.every(0.005, function()
          ws:send "what we send does not keep a dead peer alive"
        end)
      end,
    }
    local ws = limits.open(port)
    local _, code, reason = inbox:take "close"
    sender:cancel()
    assert.same({ 1006, "no answer to a ping in time" }, { code, reason })
    ws:expect_end()
    assert.equal(1, select(2, ws.received:gsub("\x89\x00", "")))
  end)

  it("is not blamed for a time in which we did not listen", function()
    local port, inbox = limits.serve_ws { ping_interval = 0.02, pong_timeout = 0.04 }
    local ws = limits.open(port)
    assert.equal(PING, (ws:frame()))
    ws:send(PONG, "")
    local awake = uv.hrtime() + 2e8
    repeat
    until uv.hrtime() > awake
    assert.equal(PING, (ws:frame()))
    assert.equal(0, inbox:count "close")
  end)

  it("stays while it sends anything at all", function()
    local port, inbox = limits.serve_ws { ping_interval = 0.02, pong_timeout = 0.4 }
    local ws, silent = limits.open(port), limits.open(port)
    local timer = moonwire.every(0.01, function()
      ws:send(TEXT, "x")
    end)
    inbox:take "close" -- of the silent one
    timer:cancel()
    silent:expect_end()
    assert.same({ false, 0 }, { ws.is_ended, inbox:count "close" })
  end)

  it("stays while it answers", function()
    local port, inbox = limits.serve_ws { ping_interval = 0.01, pong_timeout = 10 }
    local ws = limits.open(port)
    for _ = 1, 5 do
      local opcode, payload = ws:frame()
      assert.equal(PING, opcode)
      ws:send(PONG, payload)
    end
    assert.equal(0, inbox:count "close")
  end)

  it("is not even asked when ping_interval is off", function()
    local port, inbox = limits.serve_ws { ping_interval = false, pong_timeout = 0.01 }
    local ws = limits.open(port)
    async.quiet(0.1)
    assert.equal("", ws.received)
    assert.equal(0, inbox:count "close")
  end)
end)

it("idle_timeout: 1001 for who sends no message; pings and pongs are none", function()
  local port, inbox = limits.serve_ws { idle_timeout = 0.5, ping_interval = 0.02 }
  local silent, busy = limits.open(port), limits.open(port)
  local timer = moonwire.every(0.02, function()
    silent:send(PONG, "")
    busy:send(TEXT, "x")
  end)
  local code, reason = silent:expect_close()
  timer:cancel()
  assert.same({ 1001, "idle for too long" }, { code, reason })
  silent:send_close(1001)
  silent:expect_end()
  assert.equal(nil, busy.received:find("\x88", 1, true))
  assert.equal(1001, (busy:expect_close())) -- now that it is silent too
  busy:send_close(1001)
  inbox:take "close"
  inbox:take "close"
end)

it("close_timeout: who does not answer a close is cut off, sooner where less is waited for", function()
  local inbox = async.mailbox()
  local app = moonwire.app()
  for _, wait in ipairs { 0.05, 0.3 } do
    app:ws("/" .. wait, {
      close_timeout = wait,
      open = function(ws)
        ws:close(4000, "bye")
      end,
      close = function(_, code, reason)
        inbox:put(wait, code, reason)
      end,
    })
  end
  local port = limits.serve(app)
  for _, wait in ipairs { 0.3, 0.05 } do
    local ws = visitor.connect(port)
    ws:upgrade("/" .. wait)
    local code, reason = ws:expect_close()
    assert.same({ 4000, "bye" }, { code, reason })
    ws:send(TEXT, "not an answer")
  end
  for _, wait in ipairs { 0.05, 0.3 } do
    assert.same({ wait, 1006, "no Close frame came back in time" }, { inbox:take() })
  end
end)

it("close_timeout: who answers in time has closed as he should", function()
  local port, inbox = limits.serve_ws {
    close_timeout = 5,
    open = function(ws)
      ws:close(4000, "bye")
    end,
  }
  local ws = limits.open(port)
  assert.equal(4000, (ws:expect_close()))
  ws:send_close(4000, "bye")
  assert.same({ 4000, "bye" }, { select(2, inbox:take "close") })
  ws:expect_end()
end)

describe("write_timeout", function()
  -- More than the kernel keeps.
  local function send_much(ws)
    for _ = 1, 16 do
      ws:send(("x"):rep(1 << 20))
    end
  end

  it("cuts off who takes no bytes", function()
    local port, inbox = limits.serve_ws {
      write_timeout = 0.1,
      ping_interval = false,
      max_backpressure = 1 << 25,
      open = send_much,
    }
    local ws = visitor.connect(port)
    ws:write(visitor.opening())
    ws:pause()
    local _, code, reason = inbox:take "close"
    assert.same({ 1006, "the peer took no bytes within the write time limit" }, { code, reason })
  end)

  it("does not mind who takes them slowly, nor does pong_timeout", function()
    local count = 64
    local port, inbox = limits.serve_ws {
      write_timeout = 0.3,
      ping_interval = 0.05,
      pong_timeout = 0.3,
      max_backpressure = 1 << 23,
      open = function(ws)
        for _ = 1, count do
          ws:send(("x"):rep(1 << 16))
        end
      end,
    }
    local ws = visitor.connect(port)
    ws.socket:recv_buffer_size(1 << 18) -- so that the kernel tells of every piece that was read
    ws:upgrade()
    ws:pause()
    -- At most 64 KiB each time: altogether this lasts much longer than the limits, and pings lie behind all of it.
    local timer = moonwire.every(0.02, function()
      ws.socket:read_start(function(problem, bytes)
        ws.received = ws.received .. (bytes or "")
        ws.is_ended, ws.problem = not bytes, problem
        ws.socket:read_stop()
        async.wake()
      end)
    end)
    local pings = 0
    while count > 0 or pings == 0 do
      local opcode = ws:frame()
      if opcode == PING then
        pings = pings + 1
        ws:send(PONG, "")
      else
        count = count - 1
      end
    end
    timer:cancel()
    assert.equal(0, inbox:count "close")
  end)
end)
