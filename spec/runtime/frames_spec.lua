-- frames_spec.lua - every row of frame_rows.lua against both roles: our server with a client made by hand, and
-- moonwire.connect with a server made by hand. Each row gets its answer and nothing else: no further message, one close
-- event with the right code, and a bystander on the same server (or in the same process) notices nothing.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local raw = require "spec.support.raw"
local frame_rows = require "spec.support.frame_rows"

local BATCH = 64 -- connections side by side
local SPLIT_MAX = 150 -- what is not longer is also sent in two pieces, cut at every byte, and byte by byte
local CLOSE, TEXT, PONG = 8, 1, 10

local LIMITS = {
  max_payload = frame_rows.MAX_PAYLOAD,
  max_fragments = frame_rows.MAX_FRAGMENTS,
  max_control_per_second = frame_rows.MAX_CONTROL_PER_SECOND,
}
-- Answers are not compressed, so that they can be compared.
local COMPRESS = {
  deflate = { min_bytes = 1 << 20 },
  takeover = { min_bytes = 1 << 20, client_no_context_takeover = false, server_no_context_takeover = false },
}

local function variant_of(row)
  return row.takeover and "takeover" or row.deflate and "deflate" or "plain"
end

local function echo(ws, data, kind)
  ws:send(data, kind)
end

-- What handlers were told about one connection.
local function new_record()
  return { messages = {}, closes = {}, errors = 0 }
end

-- A behaviour or the options of a client. `record_of(ws)` finds the record.
local function recording(variant, record_of)
  local behaviour = {
    compress = COMPRESS[variant],
    message = function(ws, data, kind)
      table.insert(record_of(ws).messages, kind .. ":" .. data)
      echo(ws, data, kind)
    end,
    close = function(ws, code, reason)
      table.insert(record_of(ws).closes, { code, reason })
      async.wake()
    end,
    error = function(ws)
      local record = record_of(ws)
      record.errors = record.errors + 1
    end,
  }
  for name, value in pairs(LIMITS) do
    behaviour[name] = value
  end
  return behaviour
end

-- ---- what is sent and what is expected ----

local function is_refused(row)
  return math.type(row.expect) == "integer"
end

local function last_close(row)
  local last = type(row.expect) == "table" and row.expect[#row.expect]
  return last and last.opcode == CLOSE and last or nil
end

-- A refused sequence is followed by frames that are fine by themselves and must have no effect.
local function frames_of(row)
  local frames = table.move(row.bytes, 1, #row.bytes, 1, {})
  if is_refused(row) then
    table.move({ raw.text "behind it", raw.ping "behind it", raw.close(1000) }, 1, 3, #frames + 1, frames)
  elseif row.expect ~= "lost" and not last_close(row) then
    table.insert(frames, raw.close(1000))
  end
  return frames
end

local function answers_of(row)
  if is_refused(row) then
    return type(row.first) == "table" and row.first or {}
  elseif row.expect == "lost" then
    return {}
  end
  local answers = table.move(row.expect, 1, #row.expect, 1, {})
  if not last_close(row) then
    table.insert(answers, raw.close(1000))
  end
  return answers
end

local function close_event_of(row)
  if is_refused(row) then
    return row.expect
  elseif row.expect == "lost" then
    return 1006
  elseif not last_close(row) then
    return 1000, ""
  end
  for _, frame in ipairs(row.bytes) do
    if frame.opcode == CLOSE then
      if frame.payload == "" then
        return 1005, ""
      end
      return (">I2"):unpack(frame.payload), frame.payload:sub(3)
    end
  end
end

local function shown(frame)
  local payload = frame.payload
  local text = #payload <= 80 and ("%q"):format(payload)
    or ("%q… (%d bytes) …%q"):format(payload:sub(1, 20), #payload, payload:sub(-20))
  return ("%X %s"):format(frame.opcode, text)
end

-- What came back, as lines to compare; each frame must be whole, with no reserved bit, and masked as the role demands.
local function check_answers(row, received, is_masked, way)
  local frames, rest = raw.decode(received)
  assert.equal("", rest, way)
  if row.first == frame_rows.MANY_PONGS then
    while frames[1] and frames[1].opcode == PONG do
      table.remove(frames, 1)
    end
  end
  local got, wanted = {}, {}
  for i, frame in ipairs(frames) do
    assert.same({ true, 0, is_masked }, { frame.fin, frame.rsv, frame.masked }, way)
    got[i] = shown(frame)
  end
  for i, frame in ipairs(answers_of(row)) do
    wanted[i] = shown(frame)
  end
  if is_refused(row) then
    local last = frames[#frames]
    assert(last and last.opcode == CLOSE, ("%s: no Close came, but %s"):format(way, table.concat(got, ", ")))
    local code, reason = (">I2"):unpack(last.payload), last.payload:sub(3)
    assert.equal(row.expect, code, way)
    assert(reason ~= "" and utf8.len(reason) and #reason <= 123, way .. ": a reason is told")
    table.insert(wanted, got[#got])
  end
  assert.same(wanted, got, way)
end

local function check_record(row, record, way)
  local code, reason = close_event_of(row)
  local messages = {}
  for i, frame in ipairs(answers_of(row)) do
    if frame.opcode < CLOSE then
      messages[#messages + 1] = (frame.opcode == TEXT and "text:" or "binary:") .. frame.payload
    end
  end
  assert.same(messages, record.messages, way)
  assert.equal(1, #record.closes, way .. ": close events")
  assert.equal(code, record.closes[1][1], way)
  if reason then
    assert.equal(reason, record.closes[1][2], way)
  end
  assert.equal(0, record.errors, way)
end

-- ---- one row ----

local function describe_way(way)
  return #way == 1 and "in one piece" or #way == 2 and ("cut at byte %d"):format(#way[1]) or "byte by byte"
end

-- Run a row in all its ways. `open(variant, is_tcp)` gives a peer behind the opening handshake, and the record of the other
-- end. What is sent whole goes over TCP, pieces go over Unix sockets: raw.lua says why.
local function run(row, is_client, open)
  local ways = raw.ways(raw.encode(frames_of(row), is_client), SPLIT_MAX)
  for first = 1, #ways, BATCH do
    local peers, records, batch = {}, {}, table.move(ways, first, math.min(first + BATCH - 1, #ways), 1, {})
    for i in ipairs(batch) do
      peers[i], records[i] = open(variant_of(row), #batch[i] == 1)
    end
    raw.send_in_pieces(peers, batch)
    for i, peer in ipairs(peers) do
      if row.expect == "lost" then
        peer:shutdown()
      elseif not is_client then
        -- The server is the one to close TCP; a client waits for that (§7.1.1).
        peer:wait_for_close_frame()
        peer:shutdown()
      end
      peer:wait_for_end()
      async.wait_until(function()
        return records[i].closes[1]
      end, describe_way(batch[i]) .. ": the close event")
    end
    raw.turn()
    for i, peer in ipairs(peers) do
      local way = describe_way(batch[i])
      check_answers(row, peer.received, not is_client, way)
      check_record(row, records[i], way)
      peer:close()
    end
  end
end

local function sends_back(bystander, is_client)
  bystander.received = ""
  bystander:write(raw.encode({ raw.text "untouched" }, is_client))
  local expected = raw.encode({ raw.text "untouched" }, not is_client)
  bystander:wait_for(#expected)
  assert.same("untouched", raw.decode(bystander.received)[1].payload)
end

describe("a server, as RFC 6455 wants it:", function()
  local app, path, port, bystander
  local records = {}

  local function open(variant, is_tcp)
    local peer = raw.connect(is_tcp and { host = "127.0.0.1", port = port } or { path = path })
    local tag = tostring(#records + 1)
    records[#records + 1] = new_record()
    peer:write(raw.opening(("/%s?tag=%s"):format(variant, tag),
      COMPRESS[variant] and "Sec-WebSocket-Extensions: permessage-deflate\r\n"))
    local head = assert(peer:take_head(), "no answer to the opening handshake")
    assert.equal("101", head:match "^HTTP/1%.1 (%d+)")
    assert.equal(raw.ACCEPT, head:match "\r\nSec%-WebSocket%-Accept: (%S+)\r\n")
    assert.equal(COMPRESS[variant] ~= nil, head:find "permessage%-deflate" ~= nil)
    return peer, records[#records]
  end

  setup(function()
    app = moonwire.app { max_connections = 0, max_per_address = 0 }
    for _, variant in ipairs { "plain", "deflate", "takeover" } do
      app:ws("/" .. variant, recording(variant, function(ws)
        return records[tonumber(ws.request.query.tag)]
      end))
    end
    path = async.directory() .. "/socket"
    assert(app:listen { path = path })
    port = assert(app:listen { port = 0 }):address().port
    bystander = open("plain", true)
  end)

  teardown(function()
    raw.close_all()
    app:close { timeout = 5 }
  end)

  for _, row in ipairs(frame_rows.rows) do
    if row.only ~= "client" then
      it(("%s (§%s)"):format(row.name, row.rfc), function()
        run(row, true, open)
        sends_back(bystander, true)
      end)
    end
  end
end)

describe("a client, as RFC 6455 wants it:", function()
  local server, tcp_server, bystander
  local ANSWERS = {
    deflate = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n",
    takeover = "Sec-WebSocket-Extensions: permessage-deflate\r\n",
  }

  local function open(variant, is_tcp)
    local record = new_record()
    local options = recording(variant, function()
      return record
    end)
    options.wait = false
    options.path = not is_tcp and server.address.path or nil
    moonwire.connect(("ws://127.0.0.1:%d/%s"):format(tcp_server.address.port, variant), options)
    local peer = (is_tcp and tcp_server or server):accept()
    peer:write(raw.answer(assert(peer:take_head()), ANSWERS[variant]))
    return peer, record
  end

  setup(function()
    server, tcp_server = raw.listen(), raw.listen(true)
    bystander = open("plain", true)
  end)

  teardown(function()
    bystander:shutdown()
    bystander:wait_for_end()
    raw.close_all()
  end)

  for _, row in ipairs(frame_rows.rows) do
    if row.only ~= "server" then
      it(("%s (§%s)"):format(row.name, row.rfc), function()
        run(row, false, open)
        sends_back(bystander, false)
      end)
    end
  end
end)
