-- http_app_rows.lua - requests that HTTP has nothing against, and that mean harm or ask for too much all the same: paths that
-- climb, headers smuggled through parameters, ranges without end, and opening handshakes that are none. http_rows.lua says
-- what a row has; `target` alone is a GET of it.
-- SPDX-License-Identifier: MIT

local M = {}

local NOT_FOUND = { { 404 } }

-- A GET of a file. Bytes of the target are sent as they are.
local function file(name, rfc, target, answers, extra)
  local row = { name = name, rfc = rfc, answers = answers }
  row.bytes = ("GET /files%s HTTP/1.1\r\nHost: x\r\n%s\r\n"):format(target, extra or "")
  return row
end

local function bad_target(name, rfc, target)
  local row = file(name, rfc, target)
  row.refused = 400
  return row
end

M.files = {
  file("a file", "9110 9.3.1", "/a.txt", { { 200, "0123456789" } }),
  file("a file behind harmless dots", "3986 5.2.4", "/sub/../././a.txt", { { 200, "0123456789" } }),
  file("a file outside, by dots", "3986 5.2.4", "/../secret.txt", NOT_FOUND),
  bad_target("a path above the root", "3986 5.2.4", "/../../../../etc/passwd"),
  bad_target("a path above the root, encoded", "3986 2.1", "/%2e%2e/%2E%2e/etc/passwd"),
  bad_target("a path above the root, half encoded", "3986 2.1", "/.%2e/%2e./etc/passwd"),
  file("encoded slashes", "3986 2.2", "/..%2f..%2fetc%2fpasswd", NOT_FOUND),
  file("an encoded slash at the end", "3986 2.2", "/a.txt%2f", NOT_FOUND),
  file("dots encoded twice", "3986 2.4", "/%252e%252e/secret.txt", NOT_FOUND),
  file("overlong dots", "3629 3", "/%c0%ae%c0%ae/secret.txt", NOT_FOUND),
  file("backslashes", "3986 2", "/..\\secret.txt", NOT_FOUND),
  file("encoded backslashes", "3986 2.1", "/..%5c..%5csecret.txt", NOT_FOUND),
  bad_target("a NUL that cuts an ending off", "3986 2.1", "/a.txt%00.html"),
  bad_target("half an escape", "3986 2.1", "/a.txt%2"),
  bad_target("an escape that is not hex", "3986 2.1", "/%zz"),
  file("a dot file", "9110 17.3", "/.hidden", NOT_FOUND),
  file("an encoded dot file", "9110 17.3", "/%2ehidden", NOT_FOUND),
  file("a file in a dot directory", "9110 17.3", "/.git/config", NOT_FOUND),
  file("a link that leads out", "9110 17.3", "/link.txt", NOT_FOUND),
  file("a directory that leads out", "9110 17.3", "/out/secret.txt", NOT_FOUND),
  file("a pipe", "9110 17.3", "/pipe", NOT_FOUND),
  file("an empty segment", "3986 3.3", "//etc/passwd", NOT_FOUND),
  file("a file as a directory", "3986 3.3", "/a.txt/", NOT_FOUND),
  file("below a file", "3986 3.3", "/a.txt/b", NOT_FOUND),
  file("a name of 300 bytes", "3986 3.3", "/" .. ("a"):rep(300), NOT_FOUND),
  file("a path of 4,000 directories", "3986 3.3", ("/a"):rep(4000), NOT_FOUND),

  -- ---- ranges ----
  file("one range", "9110 14.2", "/a.txt", { { 206, "234" } }, "Range: bytes=2-4\r\n"),
  file("the last bytes", "9110 14.1.2", "/a.txt", { { 206, "9" } }, "Range: bytes=-1\r\n"),
  file("a thousand ranges", "9110 14.2", "/a.txt", { { 200, "0123456789" } },
    "Range: bytes=" .. ("0-,"):rep(1000) .. "0-\r\n"),
  file("a range from behind to the front", "9110 14.1.1", "/a.txt", { { 200, "0123456789" } }, "Range: bytes=5-2\r\n"),
  file("a range behind the end", "9110 15.5.17", "/a.txt", { { 416 } }, "Range: bytes=10-\r\n"),
  file("the last no bytes", "9110 14.1.2", "/a.txt", { { 416 } }, "Range: bytes=-0\r\n"),
  file("a range of more than 64 bits", "9110 14.1.1", "/a.txt", { { 206, "123456789" } },
    "Range: bytes=1-18446744073709551617\r\n"),
  file("a range from more than 64 bits", "9110 15.5.17", "/a.txt", { { 416 } },
    "Range: bytes=18446744073709551616-\r\n"),
  file("a range below zero", "9110 14.1.1", "/a.txt", { { 200, "0123456789" } }, "Range: bytes=--5\r\n"),
  file("a range in another unit", "9110 14.1", "/a.txt", { { 200, "0123456789" } }, "Range: lines=0-1\r\n"),
}
M.files[#M.files + 1] = { name = "a file to be written", rfc = "9110 15.5.6", answers = { { 405 } },
  bytes = "PUT /files/a.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nHello", has = { allow = "^GET, HEAD" } }

local function get(target)
  return ("GET %s HTTP/1.1\r\nHost: x\r\n\r\n"):format(target)
end

-- What a script passes on from a request must not become a header of its own.
M.injections = {
  { name = "CR LF in a value", rfc = "9110 5.5", bytes = get "/set?value=a%0d%0aX-Evil:%20b", answers = { { 500 } },
    lacks = { "x-evil", "x-set" }, log = "GET /set: .*CR" },
  { name = "a bare LF in a value", rfc = "9110 5.5", bytes = get "/set?value=a%0aX-Evil:%20b", answers = { { 500 } },
    lacks = { "x-evil", "x-set" }, log = "GET /set: .*LF" },
  { name = "a NUL in a value", rfc = "9110 5.5", bytes = get "/set?value=a%00b", answers = { { 500 } },
    lacks = { "x-set" }, log = "GET /set: .*NUL" },
  { name = "a second response in a Location", rfc = "9110 17.10",
    bytes = get "/redirect?to=/%0d%0aContent-Length:%200%0d%0a%0d%0aHTTP/1.1%20200%20OK", answers = { { 500 } },
    lacks = { "location" }, log = "GET /redirect: .*CR" },
  { name = "a value that is just strange", rfc = "9110 5.5", bytes = get "/set?value=%22%3b%09%e4",
    answers = { { 200, "set" } },
    has = { ["x-set"] = '^";\t\xe4$' } },
  { name = "control characters in a path, in the log", rfc = "3986 7.3", bytes = get "/fail/%1b%5b2J%0d%0aforged",
    answers = { { 500 } }, log = "^error GET /fail/:what: [^\r\27]*$" },
}

-- ---- opening handshakes ----

local KEY = "dGhlIHNhbXBsZSBub25jZQ=="
local LINES = {
  { "Host", "x" }, { "Upgrade", "websocket" }, { "Connection", "Upgrade" },
  { "Sec-WebSocket-Key", KEY }, { "Sec-WebSocket-Version", "13" },
}

-- An opening handshake with some lines replaced (a list: repeated; false: left out) and others added.
local function opening(changes, line)
  local text = { line or "GET /ws HTTP/1.1" }
  local rest = {}
  for name, value in pairs(changes or {}) do
    rest[name] = value
  end
  for _, pair in ipairs(LINES) do
    local name = pair[1]
    local value = rest[name]
    if value == nil then
      value = pair[2]
    end
    rest[name] = nil
    for _, each in ipairs(type(value) == "table" and value or { value or nil }) do
      text[#text + 1] = name .. ": " .. each
    end
  end
  for name, value in pairs(rest) do
    text[#text + 1] = name .. ": " .. value
  end
  return table.concat(text, "\r\n") .. "\r\n\r\n"
end

M.handshakes = {
  { name = "no version", rfc = "6455 4.2.1", refused = 426, bytes = opening { ["Sec-WebSocket-Version"] = false } },
  { name = "version 8", rfc = "6455 4.4", refused = 426,
    bytes = opening { ["Sec-WebSocket-Version"] = "8" } },
  { name = "a list of versions", rfc = "6455 4.4", refused = 426,
    bytes = opening { ["Sec-WebSocket-Version"] = "13, 8" } },
  { name = "two versions", rfc = "6455 11.3.5", refused = 400,
    bytes = opening { ["Sec-WebSocket-Version"] = { "13", "13" } } },
  { name = "no key", rfc = "6455 4.2.1", refused = 400,
    bytes = opening { ["Sec-WebSocket-Key"] = false } },
  { name = "two keys", rfc = "6455 11.3.1", refused = 400, bytes = opening { ["Sec-WebSocket-Key"] = { KEY, KEY } } },
  { name = "an empty key", rfc = "6455 4.2.1", refused = 400, bytes = opening { ["Sec-WebSocket-Key"] = "" } },
  { name = "a key of 15 bytes", rfc = "6455 4.2.1", refused = 400,
    bytes = opening { ["Sec-WebSocket-Key"] = "AAAAAAAAAAAAAAAAAAAA" } },
  { name = "a key that is not base64", rfc = "6455 4.2.1", refused = 400,
    bytes = opening { ["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25j!!==" } },
  { name = "a key in base64 without its end", rfc = "6455 4.2.1", refused = 400,
    bytes = opening { ["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQAA" } },
  { name = "a POST", rfc = "6455 4.2.1, 9110 15.5.6", refused = 405,
    bytes = opening(nil, "POST /ws HTTP/1.1"),
    has = { allow = "^GET$" } },
  { name = "a POST with a body", rfc = "6455 4.2.1", refused = 405,
    bytes = opening({ ["Content-Length"] = "5" }, "POST /ws HTTP/1.1") .. "Hello", has = { allow = "^GET$" } },
  { name = "a GET with a body", rfc = "6455 4.2.1", refused = 400,
    bytes = opening { ["Content-Length"] = "5" } .. "Hello" },
  { name = "a GET with chunks", rfc = "6455 4.2.1", refused = 400,
    bytes = opening { ["Transfer-Encoding"] = "chunked" } .. "0\r\n\r\n" },
  { name = "a subprotocol that is no token", rfc = "6455 4.1, 11.3.4", refused = 400,
    bytes = opening { ["Sec-WebSocket-Protocol"] = "chat, a b" } },
  { name = "extensions that are no list", rfc = "6455 9.1", refused = 400,
    bytes = opening { ["Sec-WebSocket-Extensions"] = "permessage-deflate; =" } },
  { name = "extensions with an open quotation", rfc = "6455 9.1", refused = 400,
    bytes = opening { ["Sec-WebSocket-Extensions"] = 'permessage-deflate; server_max_window_bits="10' } },
  { name = "no Host", rfc = "6455 4.2.1, 9112 3.2", refused = 400, bytes = opening { Host = false } },
  { name = "a page of another site", rfc = "6455 10.2", refused = 403,
    bytes = opening { Origin = "https://evil.example" },
    log = '^warning .*evil%.example.*origins = { "https://evil%.example" } would allow it', told_once = true },
  { name = "a page whose site begins like ours", rfc = "6455 10.2", refused = 403,
    bytes = opening { Origin = "http://x.evil.example" }, log = "x%.evil%.example", told_once = true },
  { name = "a page of our host on another port", rfc = "6454 4", refused = 403,
    bytes = opening { Origin = "http://x:8080" }, log = "x:8080", told_once = true },
  { name = "a page without an origin of its own", rfc = "6454 6.1", refused = 403, bytes = opening { Origin = "null" },
    log = "null", told_once = true },
  { name = "two origins", rfc = "6454 7.3", refused = 403, bytes = opening { Origin = "http://x http://evil.example" },
    log = "evil%.example", told_once = true },
  { name = "an origin with a terminal's commands in it", rfc = "6455 10.2", refused = 403,
    bytes = opening { Origin = "https://\xff\xc2\x9b2J" }, log = [[https://\xff\xc2\x9b2J]], told_once = true },
  { name = "our Host in an absolute target, another in the header", rfc = "9112 3.2.2", refused = 403,
    bytes = opening({ Host = "evil.example", Origin = "http://evil.example" }, "GET http://x/ws HTTP/1.1"),
    log = "evil%.example", told_once = true },
  { name = "an upgrade where there is no WebSocket", rfc = "6455 4.2.2", refused = 404,
    bytes = opening(nil, "GET / HTTP/1.1") },
  { name = "an upgrade where there is nothing", rfc = "6455 4.2.2", refused = 404,
    bytes = opening(nil, "GET /nowhere HTTP/1.1") },
  { name = "an upgrade that the script refuses", rfc = "6455 4.2.2", refused = 401,
    bytes = opening(nil, "GET /refused HTTP/1.1"), has = { ["www-authenticate"] = "^Bearer$" } },
}
for _, row in ipairs(M.handshakes) do
  if row.refused == 426 then
    row.has = { ["sec-websocket-version"] = "^13$", upgrade = "^websocket$", connection = "upgrade" }
  end
end

-- Asks for something, but not for a WebSocket: ordinary requests.
M.not_upgrades = {
  { name = "Upgrade without Connection", rfc = "9110 7.8",
    bytes = opening({ Connection = "keep-alive" }, "GET / HTTP/1.1"),
    answers = { { 200, "root" } }, calls = { "GET / " } },
  { name = "an upgrade to HTTP/2", rfc = "9110 7.8", bytes = opening({ Upgrade = "h2c" }, "GET / HTTP/1.1"),
    answers = { { 200, "root" } }, calls = { "GET / " } },
  { name = "an upgrade in HTTP/1.0", rfc = "9110 7.8", bytes = opening(nil, "GET / HTTP/1.0"),
    answers = { { 200, "root" } }, calls = { "GET / " }, ends = true },
  { name = "a WebSocket's address without an upgrade", rfc = "9110 15.5.22", bytes = get "/ws",
    answers = { { 426 } }, calls = { "GET /ws " }, has = { upgrade = "^websocket$", connection = "upgrade" } },
}

return M
