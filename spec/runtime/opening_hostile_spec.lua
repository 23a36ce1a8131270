-- opening_hostile_spec.lua - answers to the opening handshake of moonwire.connect that are wrong, hostile, or right in an
-- unusual way, from a server made by hand. What is refused is told once, by its code, and no other handler runs.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local moonwire = require "moonwire"
local raw = require "spec.support.raw"

local BATCH = 64
local SPLIT_MAX = 300

-- The answer with some lines replaced; false: left out, a list: repeated.
local function answer(changes, status_line, behind)
  return function(request)
    local key = request:match "\r\nSec%-WebSocket%-Key: (%S+)"
    local lines = { status_line or "HTTP/1.1 101 Switching Protocols" }
    local rest = {}
    for name, value in pairs(changes or {}) do
      rest[name] = value
    end
    for _, pair in ipairs {
      { "Upgrade", "websocket" },
      { "Connection", "Upgrade" },
      { "Sec-WebSocket-Accept", raw.accept_of(key) },
    } do
      local value = rest[pair[1]]
      if value == nil then
        value = pair[2]
      end
      rest[pair[1]] = nil
      for _, each in ipairs(type(value) == "table" and value or { value or nil }) do
        lines[#lines + 1] = ("%s: %s"):format(pair[1], each)
      end
    end
    for name, value in pairs(rest) do
      for _, each in ipairs(type(value) == "table" and value or { value }) do
        lines[#lines + 1] = ("%s: %s"):format(name, each)
      end
    end
    return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (behind or "")
  end
end

local function replaced(pattern, by)
  return function(request)
    return (answer()(request):gsub(pattern, by))
  end
end

local function text(bytes)
  return function()
    return bytes
  end
end

local WRONG_KEY = raw.accept_of "AAAAAAAAAAAAAAAAAAAAAA=="
local EXTENSIONS = "Sec-WebSocket-Extensions"

-- Fields: name, rfc, answer(request), code of the failure, `ends`: the server closes behind it; options of connect.
local REFUSED = {
  { name = "200", rfc = "4.1", answer = answer(nil, "HTTP/1.1 200 OK"), code = "status 200" },
  { name = "401 with a body", rfc = "4.1", code = "status 401",
    answer = text "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno" },
  { name = "a redirection, which is not followed", rfc = "4.1", code = "status 302",
    answer = text "HTTP/1.1 302 Found\r\nLocation: ws://evil.example/\r\n\r\n" },
  { name = "426", rfc = "4.4", code = "status 426",
    answer = text "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\n\r\n" },
  { name = "no Upgrade", rfc = "4.1", answer = answer { Upgrade = false }, code = "handshake" },
  { name = "an upgrade to something else", rfc = "4.1", answer = answer { Upgrade = "h2c" }, code = "handshake" },
  { name = "no Connection", rfc = "4.1", answer = answer { Connection = false }, code = "handshake" },
  { name = "Connection: close", rfc = "4.1", answer = answer { Connection = "close" }, code = "handshake" },
  { name = "no Accept", rfc = "4.1", answer = answer { ["Sec-WebSocket-Accept"] = false }, code = "handshake" },
  { name = "an Accept for another key", rfc = "4.1", code = "handshake",
    answer = answer { ["Sec-WebSocket-Accept"] = WRONG_KEY } },
  { name = "an empty Accept", rfc = "4.1", answer = answer { ["Sec-WebSocket-Accept"] = "" }, code = "handshake" },
  { name = "two Accepts", rfc = "11.3.3", code = "handshake",
    answer = function(request)
      local accept = raw.accept_of(request:match "Key: (%S+)")
      return answer { ["Sec-WebSocket-Accept"] = { accept, accept } }(request)
    end },
  { name = "an Accept in small letters", rfc = "4.1", code = "handshake",
    answer = replaced("(Accept: )(%S+)", function(name, accept)
      return name .. accept:lower()
    end) },
  { name = "the key itself as the Accept", rfc = "4.1", code = "handshake",
    answer = function(request)
      return answer { ["Sec-WebSocket-Accept"] = request:match "Key: (%S+)" }(request)
    end },
  { name = "HTTP/1.0", rfc = "4.1, 9110 7.8", answer = answer(nil, "HTTP/1.0 101 Switching Protocols"), code = "handshake" },
  { name = "HTTP/2", rfc = "9112 2.3", answer = answer(nil, "HTTP/2 101 Switching Protocols"), code = "handshake" },
  { name = "a status of two digits", rfc = "9112 4", answer = answer(nil, "HTTP/1.1 10 x"), code = "handshake" },
  { name = "no HTTP", rfc = "9112 4", answer = text "220 mail.example ESMTP\r\n", code = "handshake" },
  { name = "an alert of TLS", rfc = "9112 4", answer = text "\x15\x03\x01\x00\x02\x02\x46", code = "handshake" },
  { name = "bare LF for all line ends", rfc = "9112 2.2", answer = replaced("\r\n", "\n"), code = "handshake" },
  { name = "a folded line", rfc = "9112 5.2", answer = answer { ["X-A"] = "b\r\n c" }, code = "handshake" },
  { name = "a NUL in a value", rfc = "9110 5.5", answer = answer { ["X-A"] = "b\0c" }, code = "handshake" },
  { name = "a head that never ends", rfc = "9110 17.5", code = "handshake",
    answer = text("HTTP/1.1 101 x\r\nX: " .. ("y"):rep(20000)) },
  { name = "a subprotocol nobody offered", rfc = "4.1", code = "handshake",
    answer = answer { ["Sec-WebSocket-Protocol"] = "chat" } },
  { name = "another subprotocol than was offered", rfc = "4.1", code = "handshake", protocols = { "chat.v1" },
    answer = answer { ["Sec-WebSocket-Protocol"] = "chat.v2" } },
  { name = "a subprotocol in other letters", rfc = "4.1", code = "handshake", protocols = { "chat" },
    answer = answer { ["Sec-WebSocket-Protocol"] = "Chat" } },
  { name = "two subprotocols", rfc = "4.1", code = "handshake", protocols = { "a", "b" },
    answer = answer { ["Sec-WebSocket-Protocol"] = "a, b" } },
  { name = "two headers of subprotocols", rfc = "11.3.4", code = "handshake", protocols = { "a", "b" },
    answer = answer { ["Sec-WebSocket-Protocol"] = { "a", "b" } } },
  { name = "compression nobody offered", rfc = "4.1, 9.1", code = "handshake",
    answer = answer { [EXTENSIONS] = "permessage-deflate" } },
  { name = "another extension", rfc = "4.1, 9.1", code = "handshake", compress = true,
    answer = answer { [EXTENSIONS] = "x-webkit-deflate-frame" } },
  { name = "compression with an unknown parameter", rfc = "7692 7.1", code = "handshake", compress = true,
    answer = answer { [EXTENSIONS] = "permessage-deflate; server_no_context_takeover; best" } },
  { name = "compression without what was asked for", rfc = "7692 7.1.1.1", code = "handshake", compress = true,
    answer = answer { [EXTENSIONS] = "permessage-deflate" } },
  { name = "compression twice", rfc = "7692 5.1", code = "handshake", compress = true,
    answer = answer { [EXTENSIONS] = ("permessage-deflate; server_no_context_takeover, "):rep(2):sub(1, -3) } },
  { name = "extensions that are no list", rfc = "9.1", code = "handshake", compress = true,
    answer = answer { [EXTENSIONS] = "permessage-deflate; =" } },
  { name = "nothing, and the end", rfc = "7.1.7", answer = text "", code = "reset", ends = true },
  { name = "half an answer, and the end", rfc = "7.1.7", answer = text "HTTP/1.1 101 Switching Protocols\r\nUpgr",
    code = "reset", ends = true },
}

local TAKEN = {
  { name = "names and values in any case", rfc = "4.1", answer = replaced("Upgrade: websocket", "uPGRADE: WebSocket") },
  { name = "Connection with other things", rfc = "4.1", answer = answer { Connection = "keep-alive, UPGRADE" } },
  { name = "an empty reason", rfc = "9112 4", answer = answer(nil, "HTTP/1.1 101 ") },
  { name = "no reason and no blank", rfc = "9112 4", answer = answer(nil, "HTTP/1.1 101") },
  { name = "interim answers first", rfc = "9110 15.2",
    answer = function(request)
      return "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" .. answer()(request)
    end },
  { name = "no subprotocol, though some were offered", rfc = "4.1", answer = answer(), protocols = { "a", "b" } },
  { name = "one of the subprotocols", rfc = "4.1", answer = answer { ["Sec-WebSocket-Protocol"] = "b" },
    protocols = { "a", "b" }, protocol = "b" },
  { name = "no compression, though it was offered", rfc = "7692 5.1", answer = answer(), compress = true },
  { name = "an empty list of extensions", rfc = "9.1", answer = answer { [EXTENSIONS] = "" }, compress = true },
  { name = "frames behind it", rfc = "4.1", messages = { "one", "two" },
    answer = answer(nil, nil, raw.encode({ raw.text "one", raw.ping "p", raw.text "two" }, false)) },
  { name = "a frame that is wrong behind it", rfc = "5.1", messages = { "one" }, closes = 1002,
    answer = answer(nil, nil, raw.encode({ raw.text "one", raw.text("two", { masked = true }) }, false)) },
  { name = "a close behind it", rfc = "7.1.4", messages = {}, closes = 4000,
    answer = answer(nil, nil, raw.encode({ raw.close(4000) }, false)) },
}

local server

setup(function()
  server = raw.listen()
end)

teardown(function()
  raw.close_all()
end)

-- Connect, and note what the handlers were told.
local function connect(row)
  local record = { open = 0, messages = {}, closes = {}, failures = {} }
  record.ws = moonwire.connect("ws://localhost/", {
    path = server.address.path,
    wait = false,
    protocols = row.protocols,
    compress = row.compress,
    open = function(ws)
      record.open, record.protocol = record.open + 1, ws.protocol
      async.wake()
    end,
    message = function(_, data)
      table.insert(record.messages, data)
      async.wake()
    end,
    close = function(_, code)
      table.insert(record.closes, code)
      async.wake()
    end,
    error = function(_, message, code)
      table.insert(record.failures, { message, code })
      async.wake()
    end,
  })
  return record
end

-- Run a row with its answer cut in all ways; `check(record, peer)` for each.
local function run(row, check)
  local function open()
    local record = connect(row)
    local peer = server:accept()
    return record, peer, row.answer(peer:take_head())
  end
  -- Every request has its own key: only the length of the answer stays.
  local count = #raw.ways(("?"):rep(#row.answer(raw.opening "/")), SPLIT_MAX)
  for first = 1, count, BATCH do
    local records, peers, batch = {}, {}, {}
    for i = 1, math.min(BATCH, count - first + 1) do
      local bytes
      records[i], peers[i], bytes = open()
      batch[i] = raw.ways(bytes, SPLIT_MAX)[first + i - 1]
    end
    raw.send_in_pieces(peers, batch)
    for i, peer in ipairs(peers) do
      if row.ends then
        peer:shutdown()
      end
      check(records[i], peer)
      peer:close()
    end
  end
end

describe("moonwire.connect refuses", function()
  for _, row in ipairs(REFUSED) do
    it(("%s (§%s)"):format(row.name, row.rfc), function()
      run(row, function(record, peer)
        async.wait_until(function()
          return record.failures[1]
        end, "the failure")
        peer:wait_for_end()
        raw.turn()
        assert.equal(1, #record.failures)
        assert.equal(row.code, record.failures[1][2])
        assert.is_true(#record.failures[1][1] > 5)
        assert.same({ 0, {}, {} }, { record.open, record.messages, record.closes })
        assert.equal(3, record.ws.ready_state)
      end)
    end)
  end
end)

describe("moonwire.connect takes", function()
  for _, row in ipairs(TAKEN) do
    it(("%s (§%s)"):format(row.name, row.rfc), function()
      run(row, function(record, peer)
        async.wait_until(function()
          return record.open == 1 and #record.messages == #(row.messages or {})
        end, "open, and the messages behind the answer")
        assert.equal(row.protocol, record.protocol)
        assert.same(row.messages or {}, record.messages)
        if not row.closes then
          assert.is_true((record.ws:send "hello"))
          record.ws:close()
          peer:write(raw.encode({ raw.close(1000) }, false))
        end
        peer:wait_for_close_frame()
        peer:shutdown()
        async.wait_until(function()
          return record.closes[1]
        end, "close")
        peer:wait_for_end()
        raw.turn()
        assert.same({ row.closes or 1000 }, record.closes)
        assert.same({ 1, {} }, { record.open, record.failures })
      end)
    end)
  end
end)
