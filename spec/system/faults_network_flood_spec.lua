-- faults_network_flood_spec.lua - peers that flood: pings, pongs and fragments. As many as the limits allow are served; one more
-- ends with 1008, and nothing that lies behind is looked at, while others talk on without losing a message or their turn.
-- SPDX-License-Identifier: MIT

local account = require "spec.support.account"
local async = require "spec.support.async"
local peer = require "spec.support.peer"
local program = require "spec.support.program"
local talkers = require "spec.support.talkers"
local uv = require "luv"
local visitor = require "spec.support.visitor"

local TEXT, PING, PONG, CLOSE, CONTINUATION = visitor.TEXT, visitor.PING, visitor.PONG, visitor.CLOSE, 0
local CONTROLS, FRAGMENTS = 100, 16384 -- the defaults
local TALKERS, FLOODERS = 20, 10 -- of each kind
local MANY = program.is_sanitized and 20000 or 200000 -- frames of one flooder

after_each(function()
  visitor.close_all()
  peer.stop_all()
end)

local SERVER = account.SCRIPT .. [[
  local app = moonwire.app()
  local opened, closed, messages, bytes = 0, {}, 0, 0
  app:ws("/echo", { message = function(ws, data) ws:send(data) end })
  app:ws("/flood", {
    open = function(ws) opened = opened + 1 end,
    message = function(ws, data) messages, bytes = messages + 1, bytes + #data ws:send("got " .. #data) end,
    close = function(ws, code, reason)
      local what = code .. " " .. reason
      closed[what] = (closed[what] or 0) + 1
    end,
  })
  tell_account(app, function() return { opened = opened, closed = closed, messages = messages, bytes = bytes } end)
  serve(app)
]]

local function start()
  local child = program.start(SERVER)
  return child, child:expect("listening").port
end

local EMPTY, MORE, LAST = visitor.frame(TEXT, "", { fin = false }), visitor.frame(CONTINUATION, "", { fin = false }),
  visitor.frame(CONTINUATION, "x")
local BYTE = visitor.frame(CONTINUATION, "x", { fin = false })

it("as many as the limits allow are served", function()
  local child, port = start()
  local ws = visitor.connect(port)
  ws:upgrade "/flood"
  -- All of it at once; within one second or two, it is not too much.
  ws:write(visitor.frame(PING, "x"):rep(CONTROLS // 2) .. visitor.frame(PONG, "x"):rep(CONTROLS - CONTROLS // 2)
    .. visitor.frame(TEXT, ("x"):rep(7)))
  for _ = 1, CONTROLS // 2 do
    assert.equal(PONG, (ws:frame()))
  end
  assert.equal("got 7", ws:message())
  for _ = 1, 3 do
    ws:write(EMPTY .. BYTE:rep(FRAGMENTS - 2) .. LAST)
    assert.equal("got " .. FRAGMENTS - 1, ws:message())
  end
  ws:write(EMPTY .. MORE:rep(FRAGMENTS - 2) .. LAST)
  assert.equal("got 1", ws:message())
  ws:send_close(1000)
  assert.equal(1000, (ws:expect_close()))
  child:kill "sigterm"
  assert.equal("", program.expect_clean_end(child))
end)

-- What is sent at once, each with a message behind it, and what the close handler hears.
local BEHIND = visitor.frame(TEXT, "behind") .. visitor.frame(CLOSE, "\x03\xe8")
local FLOODS = {
  { bytes = visitor.frame(PING, ""):rep(MANY), reason = "1008 too many control frames" },
  { bytes = visitor.frame(PING, ("x"):rep(125)):rep(MANY // 20), reason = "1008 too many control frames" },
  { bytes = visitor.frame(PONG, ""):rep(MANY), reason = "1008 too many control frames" },
  { bytes = EMPTY .. MORE:rep(MANY), reason = "1008 too many fragments in one message" },
  { bytes = EMPTY .. BYTE:rep(FRAGMENTS), reason = "1008 too many fragments in one message" },
  { bytes = EMPTY .. (MORE .. visitor.frame(PING, "")):rep(MANY // 2), reason = "1008 too many control frames" },
}

-- Send it and read what comes; `on_end(received)` when the server has closed. Endless: again and again, whatever the server says,
-- until it can't be sent any more.
local function flood(port, bytes, is_endless, on_end)
  local socket, received, is_over = uv.new_tcp(), {}, false
  local function over()
    if not is_over then
      is_over = true
      socket:close()
      on_end(table.concat(received))
    end
  end
  local function send()
    if not is_over then
      socket:write(bytes, function(problem)
        if is_endless and not problem then
          send()
        elseif is_endless then
          over()
        end
      end)
    end
  end
  socket:connect("127.0.0.1", port, function(problem)
    assert(not problem, problem)
    socket:write(visitor.opening "/flood")
    socket:read_start(function(_, piece)
      if not piece then
        return is_endless or over()
      end
      table.insert(received, piece)
      if #received == 1 then
        send()
      end
    end)
  end)
end

-- Everybody floods at once, until the server has got rid of them. Returns what each received.
local function flood_all(port, is_endless)
  local answers, ended = {}, 0
  for _, each in ipairs(FLOODS) do
    for _ = 1, FLOODERS do
      flood(port, is_endless and each.bytes or each.bytes .. BEHIND, is_endless, function(received)
        ended = ended + 1
        table.insert(answers, received)
        async.wake()
      end)
    end
  end
  async.wait_until(function()
    return ended == #FLOODS * FLOODERS
  end, "the server to end all who flood")
  return answers
end

local function expected_closes(rounds)
  local closes = {}
  for _, each in ipairs(FLOODS) do
    closes[each.reason] = (closes[each.reason] or 0) + FLOODERS * rounds
  end
  return closes
end

for _, is_endless in ipairs { false, true } do
  it(("one more ends with 1008, and what lies behind is not looked at (%s)"):format(
    is_endless and "who goes on is cut off" or "who stops is told why"), function()
    local child, port = start()
    local rounds = 0
    account.expect_nothing_left(child, port, function()
      local good = talkers.start(port, "/echo", TALKERS)
      local before = good.rounds[1]
      local answers = flood_all(port, is_endless)
      assert.truthy(good.rounds[1] > before)
      good:go_on(10)
      good:stop()
      rounds = rounds + 1
      local told = account.wait_for(port, 0)
      assert.same(expected_closes(rounds), told.closed)
      assert.same({ 0, 0 }, { told.messages, told.bytes })
      for _, received in ipairs(answers) do
        local pongs = select(2, received:gsub("\x8a\0", "")) + select(2, received:gsub("\x8a\x7dx", ""))
        -- Within two seconds of the clock at most; the rest was not answered.
        assert.truthy(pongs <= 2 * CONTROLS)
        if not is_endless then
          assert.truthy(received:find "\x88[\0-\x7d]\x03\xf0too many")
        end
      end
    end)
  end)
end
