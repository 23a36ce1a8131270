-- limits_payload_spec.lua - the limits of what a peer may send: bytes, fragments, control frames; each from just below and from
-- just above.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local limits = require "spec.support.limits"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local TEXT, PING, PONG, CLOSE = visitor.TEXT, visitor.PING, visitor.PONG, visitor.CLOSE
local CONTINUATION = 0
local HELLO = "\xf2\x48\xcd\xc9\xc9\x07\x00" -- "Hello", compressed (RFC 7692 §7.2.3.1)
local DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"

after_each(limits.finish)

describe("max_payload", function()
  local function with(bytes)
    local port, inbox = limits.serve_ws { max_payload = bytes, compress = true }
    return limits.open(port, DEFLATE), inbox
  end

  it("is what one frame may carry", function()
    local ws, inbox = with(1000)
    ws:send(TEXT, ("x"):rep(1000))
    local _, data = inbox:take "message"
    assert.equal(1000, #data)
    -- More is refused as soon as it is announced.
    ws:write(visitor.frame(TEXT, ("x"):rep(1001)):sub(1, 8))
    limits.expect_refused(ws, inbox, 1009)
  end)

  it("is what a length in eight bytes may announce", function()
    local ws, inbox = with(70000)
    ws:send(TEXT, ("x"):rep(70000))
    local _, data = inbox:take "message"
    assert.equal(70000, #data)
    ws:write "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"
    limits.expect_refused(ws, inbox, 1009)
  end)

  it("is what all fragments of a message may carry together", function()
    local ws, inbox = with(1000)
    ws:send(TEXT, ("x"):rep(600), { fin = false })
    ws:send(CONTINUATION, ("x"):rep(400))
    local _, data = inbox:take "message"
    assert.equal(1000, #data)
    ws:send(TEXT, ("x"):rep(600), { fin = false })
    ws:write(visitor.frame(CONTINUATION, ("x"):rep(401)):sub(1, 8))
    limits.expect_refused(ws, inbox, 1009)
  end)

  for size, code in pairs { [5] = false, [4] = 1009 } do
    it(("counts what compressed messages inflate to: five bytes of %d are %s"):format(size, code or "fine"), function()
      local port, inbox = limits.serve_ws { max_payload = size, compress = true }
      local ws = limits.open(port, DEFLATE)
      for i = 1, #HELLO do
        ws:send(i == 1 and TEXT or CONTINUATION, HELLO:sub(i, i), { rsv1 = i == 1, fin = i == #HELLO })
      end
      if code then
        limits.expect_refused(ws, inbox, code)
      else
        local _, data = inbox:take "message"
        assert.equal("Hello", data)
      end
    end)
  end
end)

describe("max_fragments", function()
  local function send(ws, count, between)
    local frames = {}
    for i = 1, count do
      frames[i] = visitor.frame(i == 1 and TEXT or CONTINUATION, "x", { fin = i == count })
    end
    ws:write(table.concat(frames, between))
  end

  it("is of one message: as many, again and again, and no more", function()
    local port, inbox = limits.serve_ws { max_fragments = 4 }
    local ws = limits.open(port)
    for _ = 1, 3 do
      send(ws, 4)
      local _, data = inbox:take "message"
      assert.equal("xxxx", data)
    end
    send(ws, 5)
    limits.expect_refused(ws, inbox, 1008)
  end)

  it("does not count control frames between them", function()
    local port, inbox = limits.serve_ws { max_fragments = 4 }
    local ws = limits.open(port)
    send(ws, 4, visitor.frame(PING, "between"))
    local _, data = inbox:take "message"
    assert.equal("xxxx", data)
  end)
end)

describe("max_control_per_second", function()
  -- Seconds are those of the loop's clock: begin early in one, so that what is sent at once is within it.
  local function at_start_of_second()
    async.wait_until(function()
      uv.update_time()
      return uv.now() % 1000 < 500
    end, "the beginning of a second")
  end

  local function round(ws)
    ws:write((visitor.frame(PING, "x") .. visitor.frame(PONG, "x")):rep(5))
    for _ = 1, 5 do
      assert.equal(PONG, (ws:frame()))
    end
  end

  it("is of pings and pongs together: as many, and no more", function()
    local port, inbox = limits.serve_ws { max_control_per_second = 10 }
    local ws = limits.open(port)
    round(ws)
    limits.expect_alive(ws, inbox)
    ws = limits.open(port)
    at_start_of_second()
    ws:write(visitor.frame(PING, "x"):rep(11))
    limits.expect_refused(ws, inbox, 1008)
  end)

  it("begins anew with each second", function()
    local port, inbox = limits.serve_ws { max_control_per_second = 10 }
    local ws = limits.open(port)
    at_start_of_second()
    round(ws)
    local second = uv.now() // 1000
    async.wait_until(function()
      uv.update_time()
      return uv.now() // 1000 > second
    end, "the next second")
    round(ws)
    limits.expect_alive(ws, inbox)
  end)
end)

it("closing is refused as soon as a limit is broken, and what follows is not looked at", function()
  local port, inbox = limits.serve_ws { max_payload = 10 }
  local ws = limits.open(port)
  ws:write(visitor.frame(TEXT, ("x"):rep(11)) .. visitor.frame(TEXT, "later") .. visitor.frame(CLOSE, "\x03\xe8"))
  limits.expect_refused(ws, inbox, 1009)
end)
