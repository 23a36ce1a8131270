-- seeds.lua - writes the inputs that fuzzing starts from: the rows of the specs, and lists that stand here, as each target of
-- spec/fuzz reads them. moonwire spec/fuzz/seeds.lua FOLDER, from the root. docs/fuzzing.md says what is then done with them.
-- SPDX-License-Identifier: MIT

package.path = "./?.lua;" .. package.path

local uv = require "luv"
local raw = require "spec.support.raw"
local frame_rows = require "spec.support.frame_rows"
local http_rows = require "spec.support.http_rows"
local http_app_rows = require "spec.support.http_app_rows"

local folder = assert(arg[1], "usage: moonwire spec/fuzz/seeds.lua FOLDER")
local CUT = "0" -- any byte above 7: pieces of changing length

local function write(target, name, bytes)
  uv.fs_mkdir(folder, 493)
  uv.fs_mkdir(folder .. "/" .. target, 493)
  local slug = name:lower():gsub("[^%w]+", "-"):gsub("^%-", ""):gsub("%-$", "")
  local file = assert(io.open(("%s/%s/%s"):format(folder, target, slug), "wb"))
  file:write(bytes)
  file:close()
end

-- ---- frame: bits of the first byte: 1 the client's role, 2 compression, 8 echoes ----

for _, row in ipairs(frame_rows.rows) do
  for _, role in ipairs { "server", "client" } do
    local bytes = raw.encode(row.bytes, role == "server")
    if (row.only or role) == role and #bytes < 1500 then
      local choices = 8 | (role == "client" and 1 or 0) | (row.deflate and 2 or 0)
      write("frame", row.name .. "-" .. role, string.char(choices) .. CUT .. bytes)
    end
  end
  -- Compressed payloads are inputs of the inflater, too: no choices, a limit of 16 KiB.
  for i, frame in ipairs(row.deflate and row.bytes or {}) do
    if type(frame) == "table" and #frame.payload < 200 then
      write("deflate", row.name .. "-" .. i, "\0" .. CUT .. "\255" .. frame.payload)
    end
  end
end
for i, text in ipairs { "", "Hello", ("ab"):rep(300), "ein Satz, der zweimal kommt; ein Satz, der zweimal kommt" } do
  write("deflate", "round-trip-" .. i, "\1" .. CUT .. "\255" .. text)
  write("deflate", "with-context-" .. i, "\11" .. CUT .. "\255" .. text)
end

-- ---- HTTP: "!" reads bodies; "1" a request, "0" a response ----

local function is_small(bytes)
  return type(bytes) == "string" and #bytes < 900
end

for _, rows in ipairs { http_rows.refused, http_rows.taken, http_app_rows.files, http_app_rows.handshakes,
  http_app_rows.not_upgrades } do
  for _, row in ipairs(rows) do
    if is_small(row.bytes) then
      write("http", row.name, "!" .. CUT .. row.bytes)
      write("handshake", row.name, "1" .. row.bytes)
    end
  end
end

-- "%" allows bodies of 10 bytes, "C" answers late and at length, "#" only when the client has ended, "1" small limits, "(" no
-- keep-alive.
local POST = "POST /a HTTP/1.1\r\nHost: x\r\n"
local CHUNKED = POST .. "Transfer-Encoding: chunked\r\n\r\n"
local requests = {
  ["chunks of 8 and 2"] = CHUNKED .. "8\r\n12345678\r\n2\r\nab\r\n0\r\nA: b\r\n\r\n",
  ["chunks of 8 and 8"] = CHUNKED .. "8\r\n12345678\r\n8\r\nabcdefgh\r\n0\r\n\r\n",
  ["a length of 11"] = POST .. "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n12345678901",
  ["three in a row"] = POST .. "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: x\r\n\r\n"
    .. CHUNKED .. "1\r\na\r\n0\r\n\r\n",
  ["a good and a bad one"] = "GET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTTP/1.1\r\n\r\n",
  ["half a body"] = POST .. "Content-Length: 5\r\n\r\nab",
}
for name, bytes in pairs(requests) do
  for i, choices in ipairs { "%", "C", "#", "1", "(" } do
    write("http", ("%s-%d"):format(name, i), choices .. CUT .. bytes)
  end
end

local ACCEPT = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
local SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
local answers = {
  ["plain"] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello",
  ["until the end"] = "HTTP/1.1 200 OK\r\n\r\nHello",
  ["chunked"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nHello\r\n0\r\nTrailer: x\r\n\r\n",
  ["interim"] = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
  ["no reason"] = "HTTP/1.0 404\r\nConnection: close\r\n\r\n",
  ["both framings"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
  ["bad chunk"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nHello",
  ["redirect"] = "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
  ["upgrade"] = SWITCH .. ACCEPT .. "\r\n",
  ["upgrade with protocol"] = SWITCH .. ACCEPT .. "Sec-WebSocket-Protocol: superchat\r\n\r\n\x81\5Hello",
  ["upgrade with compression"] = SWITCH .. ACCEPT
    .. "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_max_window_bits=10\r\n\r\n",
  ["upgrade without accept"] = SWITCH .. "\r\n",
}
for name, bytes in pairs(answers) do
  write("response", name, "0" .. CUT .. bytes)
  write("handshake", "answer-" .. name, "0" .. bytes)
  write("opening", name, "3" .. CUT .. bytes:gsub("Accept: [^\r]*", "Accept: {accept}"))
end

-- ---- extensions: "0" the defaults ----

for i, value in ipairs {
  "permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; server_max_window_bits=10",
  "permessage-deflate; client_max_window_bits=8; server_no_context_takeover", "x-webkit-deflate-frame, permessage-deflate",
  'permessage-deflate; server_max_window_bits="\\1\\0"', "foo; a=1; b=\"x,y\", permessage-deflate;client_no_context_takeover",
  "permessage-deflate; server_max_window_bits=16, permessage-deflate", "permessage-deflate;;", ", ,permessage-deflate,",
} do
  write("extensions", "value-" .. i, "0" .. value)
  write("extensions", "narrow-" .. i, "<" .. value)
end

-- ---- Lua: the letter is the parser ----

local texts = {
  u = { "wss://user:p%40ss@Example.COM:8443/a/b?c=d#e", "http://[::1]:81", "ws://h?x", "http://h:0/", "https://ü/", "x" },
  r = { "../b?c", "//other/x", "http://a/b/../c/%2e%2e/\n./%2E/d", "?q", "#f", "ws:x" },
  t = { "/a/b/c?d=e&f", "*", "http://Host:81/a%20b?c", "/%2e%2e/x", "/a/../b/./", "/%zz", "a" },
  q = { "a=b&c=%20+&a=&&=x", "%zz=%41", "a[]=1&a[]=2" },
  d = { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
    "Thu, 29 Feb 1900 00:00:00 GMT" },
  h = { "X-Name\nvalue", "Content-Type\ntext/html; charset=utf-8", "a b\nc", "A\nx\r\nSet-Cookie: y", "file.tar.gz\n" },
  b = { "100bytes=0-9", "100bytes=-5", "10bytes = 9-", "0bytes=0-", '"1-2-3", W/"x"', "Sun, 06 Nov 1994 08:49:37 GMT" },
  o = { "https://example.com\nexample.com", "http://[::1]:81\n[::1]:81", "null\nx", "HTTP://Example.com:80\nexample.com" },
  j = { '{"a":[1,2.5,-3e2,null,true,"\\u00e4\\ud83d\\ude00\\n"]}', "[]", "{}", "1e400", '"\1"', "123456789012345678",
    ("["):rep(130) .. ("]"):rep(130) },
}
for letter, list in pairs(texts) do
  for i, text in ipairs(list) do
    write("lua", letter .. "-" .. i, letter .. text)
  end
end
