-- http_rows.lua - requests that are malformed or hostile, or right in an unusual way, each with what must come of it.
-- A row has:
--   name, rfc   what it is and where the standard speaks of it ("9110 …": semantics, "9112 …": HTTP/1.1)
--   bytes       what is sent
--   refused     a status: the one answer, with Connection: close, after which the server closes. No handler runs, not for
--               this request and not for the good one that is sent behind it
--   answers     instead: { status, body } for each request, in order; `head = true`: an answer to HEAD, which has no body
--   calls       what reaches the application, as "METHOD path body"
--   ends        the server closes after the answers
--   has, lacks  headers of the last answer, by lower-case name: a pattern; `lacks`: names
--   log         a pattern of the one line that is logged; without it, none may be
-- http_hostile_spec.lua has the application. max_body is 100; other limits are the defaults.
-- SPDX-License-Identifier: MIT

local M = {}

local HOST = "Host: x\r\n"
local GET = "GET / HTTP/1.1\r\n" .. HOST
local POST = "POST /echo HTTP/1.1\r\n" .. HOST
local CHUNKED = POST .. "Transfer-Encoding: chunked\r\n\r\n"
local ROOT = { 200, "root" }

local function request_line(line)
  return line .. "\r\n" .. HOST .. "\r\n"
end

local function with_line(line)
  return GET .. line .. "\r\n\r\n"
end

local function with_host(lines)
  return "GET / HTTP/1.1\r\n" .. lines .. "\r\n"
end

local function with_framing(lines, body)
  return POST .. lines .. "\r\n\r\n" .. (body or "")
end

M.refused = {
  -- ---- what could be read in two ways: request smuggling ----
  { name = "Content-Length beside Transfer-Encoding", rfc = "9112 6.3", refused = 400,
    bytes = with_framing("Content-Length: 6\r\nTransfer-Encoding: chunked", "0\r\n\r\nG") },
  { name = "Transfer-Encoding beside Content-Length", rfc = "9112 6.3", refused = 400,
    bytes = with_framing("Transfer-Encoding: chunked\r\nContent-Length: 3", "1\r\nA\r\n0\r\n\r\n") },
  { name = "two lengths that differ", rfc = "9112 6.3", refused = 400,
    bytes = with_framing("Content-Length: 1\r\nContent-Length: 5", "Hello") },
  { name = "the same length twice", rfc = "9110 8.6", refused = 400,
    bytes = with_framing("Content-Length: 5\r\nContent-Length: 5", "Hello") },
  { name = "a list of lengths", rfc = "9110 8.6", refused = 400,
    bytes = with_framing("Content-Length: 5, 5", "Hello") },
  { name = "a length with a plus", rfc = "9110 8.6", refused = 400,
    bytes = with_framing("Content-Length: +5", "Hello") },
  { name = "a length below zero", rfc = "9110 8.6", refused = 400,
    bytes = with_framing("Content-Length: -5", "Hello") },
  { name = "a length with a blank in it", rfc = "9110 8.6", refused = 400,
    bytes = with_framing("Content-Length: 5 5", "Hello") },
  { name = "a length in hex", rfc = "9110 8.6", refused = 400, bytes = with_framing("Content-Length: 0x5", "Hello") },
  { name = "a length with a letter", rfc = "9110 8.6", refused = 400,
    bytes = with_framing("Content-Length: 5e0", "Hello") },
  { name = "an empty length", rfc = "9110 8.6", refused = 400, bytes = with_framing("Content-Length:", "Hello") },
  { name = "a length of 2^63", rfc = "9110 8.6", refused = 400,
    bytes = with_framing("Content-Length: 9223372036854775808", "Hello") },
  { name = "a length of 2^64 + 5", rfc = "9110 8.6", refused = 400,
    bytes = with_framing("Content-Length: 18446744073709551621", "Hello") },
  { name = "an encoding that is only like chunked", rfc = "9112 6.3", refused = 400,
    bytes = with_framing("Transfer-Encoding: xchunked", "0\r\n\r\n") },
  { name = "identity", rfc = "9112 6.3", refused = 400, bytes = with_framing("Transfer-Encoding: identity", "Hello") },
  { name = "chunked, and something after it", rfc = "9112 6.3", refused = 400,
    bytes = with_framing("Transfer-Encoding: chunked, gzip", "0\r\n\r\n") },
  { name = "chunked twice", rfc = "9112 7.1", refused = 400,
    bytes = with_framing("Transfer-Encoding: chunked, chunked", "0\r\n\r\n") },
  { name = "chunked in two headers", rfc = "9112 6.1", refused = 400,
    bytes = with_framing("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n") },
  { name = "chunked with a parameter", rfc = "9112 7", refused = 400,
    bytes = with_framing("Transfer-Encoding: chunked;a=b", "0\r\n\r\n") },
  { name = "an empty encoding", rfc = "9112 6.1", refused = 400, bytes = with_framing("Transfer-Encoding:", "Hello") },
  { name = "chunked behind a vertical tab", rfc = "9110 5.5", refused = 400,
    bytes = with_framing("Transfer-Encoding: \vchunked", "0\r\n\r\n") },
  { name = "chunked behind a blank before the colon", rfc = "9112 5.1", refused = 400,
    bytes = with_framing("Transfer-Encoding : chunked", "0\r\n\r\n") },
  { name = "chunked on a folded line", rfc = "9112 5.2", refused = 400,
    bytes = with_framing("Transfer-Encoding:\r\n chunked", "0\r\n\r\n") },
  { name = "chunked in HTTP/1.0", rfc = "9112 6.1", refused = 400,
    bytes = "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
  { name = "a coding that is not known, before chunked", rfc = "9112 6.1", refused = 501,
    bytes = with_framing("Transfer-Encoding: gzip, chunked", "0\r\n\r\n") },

  -- ---- lines and bytes ----
  { name = "bare LF for all line ends", rfc = "9112 2.2", refused = 400,
    bytes = "GET / HTTP/1.1\nHost: x\n\n" },
  { name = "a bare LF that hides a header", rfc = "9112 2.2", refused = 400,
    bytes = with_line "X-A: b\nContent-Length: 50" },
  { name = "a bare CR in a value", rfc = "9112 2.2", refused = 400,
    bytes = with_line "X-A: b\rContent-Length: 50" },
  { name = "CR CR LF", rfc = "9112 2.2", refused = 400, bytes = "GET / HTTP/1.1\r\r\nHost: x\r\r\n\r\r\n" },
  { name = "a bare LF as the blank line", rfc = "9112 2.2", refused = 400, bytes = GET .. "\n" },
  { name = "two empty lines first", rfc = "9112 2.2", refused = 400, bytes = "\r\n\r\n" .. GET .. "\r\n" },
  { name = "a NUL in a value", rfc = "9110 5.5", refused = 400, bytes = with_line "X-A: b\0c" },
  { name = "a NUL in a name", rfc = "9110 5.1", refused = 400, bytes = with_line "X\0A: b" },
  { name = "an escape character in a value", rfc = "9110 5.5", refused = 400, bytes = with_line "X-A: \27[2J" },
  { name = "a folded value", rfc = "9112 5.2", refused = 400, bytes = with_line "X-A: b\r\n\tc" },
  { name = "a blank before the first header", rfc = "9112 2.2", refused = 400, bytes = with_host " Host: x\r\n" },
  { name = "no colon", rfc = "9112 5", refused = 400, bytes = with_line "nonsense" },
  { name = "an empty name", rfc = "9110 5.1", refused = 400, bytes = with_line ": b" },
  { name = "a blank in a name", rfc = "9110 5.1", refused = 400, bytes = with_line "X A: b" },
  { name = "a bracket in a name", rfc = "9110 5.6.2", refused = 400, bytes = with_line "X(A): b" },
  { name = "a name that is not ASCII", rfc = "9110 5.1", refused = 400, bytes = with_line "X-\xc3\xa4: b" },

  -- ---- request lines ----
  { name = "no version", rfc = "9112 3", refused = 400, bytes = "GET /\r\n\r\n" },
  { name = "a blank in the target", rfc = "9112 3.2", refused = 400, bytes = request_line "GET /a b HTTP/1.1" },
  { name = "two blanks", rfc = "9112 3", refused = 400, bytes = request_line "GET  / HTTP/1.1" },
  { name = "tabs instead of blanks", rfc = "9112 3", refused = 400, bytes = request_line "GET\t/\tHTTP/1.1" },
  { name = "a blank in front", rfc = "9112 3", refused = 400, bytes = request_line " GET / HTTP/1.1" },
  { name = "a blank behind", rfc = "9112 3", refused = 400, bytes = request_line "GET / HTTP/1.1 " },
  { name = "a version in small letters", rfc = "9112 2.3", refused = 400, bytes = request_line "GET / http/1.1" },
  { name = "a version with one digit more", rfc = "9112 2.3", refused = 400, bytes = request_line "GET / HTTP/1.10" },
  { name = "another protocol", rfc = "9112 2.3", refused = 400, bytes = request_line "GET / RTSP/1.0" },
  { name = "HTTP/2.0", rfc = "9110 15.6.6", refused = 505, bytes = request_line "GET / HTTP/2.0" },
  { name = "the preface of HTTP/2", rfc = "9113 3.4", refused = 505, bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
  { name = "HTTP/0.9 by name", rfc = "9110 15.6.6", refused = 505, bytes = request_line "GET / HTTP/0.9" },
  { name = "a method that is no token", rfc = "9110 9.1", refused = 400, bytes = request_line "GE{T / HTTP/1.1" },
  { name = "no method", rfc = "9112 3.1", refused = 400, bytes = request_line " / HTTP/1.1" },
  { name = "a relative target", rfc = "9112 3.2", refused = 400, bytes = request_line "GET index.html HTTP/1.1" },
  { name = "a fragment in the target", rfc = "9112 3.2.1", refused = 400, bytes = request_line "GET /#top HTTP/1.1" },
  { name = "a NUL in the target", rfc = "9112 3.2", refused = 400, bytes = request_line "GET /\0 HTTP/1.1" },
  { name = "a target that is not ASCII", rfc = "9112 3.2", refused = 400,
    bytes = request_line "GET /\xc3\xa4 HTTP/1.1" },
  { name = "a star for GET", rfc = "9112 3.2.4", refused = 400, bytes = request_line "GET * HTTP/1.1" },
  { name = "CONNECT", rfc = "9112 3.2.3", refused = 400, bytes = request_line "CONNECT x.example:443 HTTP/1.1" },
  { name = "an absolute target without a host", rfc = "9110 4.2.1", refused = 400,
    bytes = request_line "GET http:///a HTTP/1.1" },
  { name = "an absolute target with a user", rfc = "9110 4.2.4", refused = 400,
    bytes = request_line "GET http://me:secret@x/ HTTP/1.1" },
  { name = "the start of TLS", rfc = "9112 3", refused = 400,
    bytes = "\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03" },
  { name = "a request line of 8,193 bytes", rfc = "9112 3, 9110 15.5.15", refused = 414,
    bytes = request_line("GET /" .. ("a"):rep(8193 - 14) .. " HTTP/1.1") },
  { name = "a request line that never ends", rfc = "9112 3", refused = 414, bytes = "GET /" .. ("a"):rep(9000) },

  -- ---- Host ----
  { name = "no Host", rfc = "9112 3.2", refused = 400, bytes = with_host "" },
  { name = "Host twice", rfc = "9112 3.2", refused = 400,
    bytes = with_host "Host: x\r\nHost: y\r\n" },
  { name = "an empty Host", rfc = "9110 4.2.1", refused = 400, bytes = with_host "Host:\r\n" },
  { name = "a list of hosts", rfc = "9112 3.2", refused = 400, bytes = with_host "Host: x, y\r\n" },
  { name = "a Host with a path", rfc = "9110 7.2", refused = 400, bytes = with_host "Host: x/evil\r\n" },
  { name = "a Host with a user", rfc = "9110 7.2", refused = 400, bytes = with_host "Host: good@evil\r\n" },
  { name = "a Host with a port of letters", rfc = "9110 7.2", refused = 400, bytes = with_host "Host: x:80a\r\n" },
  { name = "a Host with a port of 65,536", rfc = "9110 7.2", refused = 400, bytes = with_host "Host: x:65536\r\n" },

  -- ---- sizes and expectations ----
  { name = "101 headers", rfc = "6585 5", refused = 431, bytes = GET .. ("X: y\r\n"):rep(100) .. "\r\n" },
  { name = "a head of more than 16 KiB", rfc = "6585 5", refused = 431, bytes = with_line("X: " .. ("y"):rep(16384)) },
  { name = "a header that never ends", rfc = "6585 5", refused = 431, bytes = GET .. "X: " .. ("y"):rep(20000) },
  { name = "an unknown expectation", rfc = "9110 10.1.1", refused = 417,
    bytes = with_framing("Expect: 200-ok\r\nContent-Length: 2", "hi") },
  { name = "a known and an unknown expectation", rfc = "9110 10.1.1", refused = 417,
    bytes = with_framing("Expect: 100-continue, x\r\nContent-Length: 2", "hi") },
  { name = "a length above the limit", rfc = "9110 15.5.14", refused = 413,
    bytes = with_framing "Content-Length: 101" },
  { name = "a length of 2^63 - 1", rfc = "9110 15.5.14", refused = 413,
    bytes = with_framing "Content-Length: 9223372036854775807" },
  { name = "a length above the limit that waits for a 100", rfc = "9110 10.1.1, 15.5.14", refused = 413,
    bytes = with_framing "Content-Length: 101\r\nExpect: 100-continue" },

  -- ---- chunks ----
  { name = "chunks above the limit", rfc = "9110 15.5.14", refused = 413,
    bytes = CHUNKED .. ("20\r\n" .. ("x"):rep(32) .. "\r\n"):rep(4) },
  { name = "one byte more in chunks than the limit", rfc = "9110 15.5.14", refused = 413,
    bytes = CHUNKED .. "64\r\n" .. ("x"):rep(100) .. "\r\n1\r\nx\r\n0\r\n\r\n" },
  { name = "a chunk above the limit, announced", rfc = "9110 15.5.14", refused = 413,
    bytes = CHUNKED .. "7fffffff\r\n" .. ("x"):rep(101) },
  { name = "a chunk size that is no number", rfc = "9112 7.1", refused = 400,
    bytes = CHUNKED .. "xyz\r\n" },
  { name = "no chunk size", rfc = "9112 7.1", refused = 400, bytes = CHUNKED .. "\r\n" },
  { name = "a chunk size below zero", rfc = "9112 7.1", refused = 400, bytes = CHUNKED .. "-1\r\n" },
  { name = "a chunk size with 0x", rfc = "9112 7.1", refused = 400, bytes = CHUNKED .. "0x5\r\nHello\r\n0\r\n\r\n" },
  { name = "a chunk size behind a blank", rfc = "9112 7.1", refused = 400,
    bytes = CHUNKED .. " 5\r\nHello\r\n0\r\n\r\n" },
  { name = "a chunk size with a blank behind", rfc = "9112 7.1.1", refused = 400,
    bytes = CHUNKED .. "5 \r\nHello\r\n0\r\n\r\n" },
  { name = "a chunk size of 2^64 + 5", rfc = "9112 7.1", refused = 400,
    bytes = CHUNKED .. "10000000000000005\r\nHello\r\n0\r\n\r\n" },
  { name = "a chunk size that ends with a bare LF", rfc = "9112 7.1", refused = 400,
    bytes = CHUNKED .. "5\nHello\r\n0\r\n\r\n" },
  { name = "a chunk size that ends with two of them", rfc = "9112 7.1", refused = 400,
    bytes = CHUNKED .. "5\n\nHello\r\n0\r\n\r\n" },
  { name = "a chunk that ends with a bare LF", rfc = "9112 7.1", refused = 400,
    bytes = CHUNKED .. "5\r\nHello\n0\r\n\r\n" },
  { name = "a chunk that ends with two of them", rfc = "9112 7.1", refused = 400,
    bytes = CHUNKED .. "5\r\nHello\n\n0\r\n\r\n" },
  { name = "a chunk longer than it said", rfc = "9112 7.1", refused = 400,
    bytes = CHUNKED .. "4\r\nHello\r\n0\r\n\r\n" },
  { name = "a chunk shorter than it said", rfc = "9112 7.1", refused = 400,
    bytes = CHUNKED .. "6\r\nHello\r\n0\r\n\r\n" },
  { name = "a chunk extension with a bare LF", rfc = "9112 7.1.1", refused = 400,
    bytes = CHUNKED .. "5;a\nb\r\nHello\r\n0\r\n\r\n" },
  { name = "a chunk extension of 5,000 bytes", rfc = "9112 7.1.1", refused = 400,
    bytes = CHUNKED .. "5;" .. ("a"):rep(5000) .. "\r\nHello\r\n0\r\n\r\n" },
  { name = "a trailer without a colon", rfc = "9112 7.1.2", refused = 400, bytes = CHUNKED .. "0\r\nnonsense\r\n\r\n" },
  { name = "a folded trailer", rfc = "9112 7.1.2", refused = 400, bytes = CHUNKED .. "0\r\nX: a\r\n b\r\n\r\n" },
  { name = "trailers without an end", rfc = "9112 7.1.2", refused = 400,
    bytes = CHUNKED .. "0\r\n" .. ("X-Trailer: " .. ("y"):rep(1000) .. "\r\n"):rep(20) },
}

M.taken = {
  -- ---- framing ----
  { name = "a length with leading zeros and blanks around it", rfc = "9110 8.6",
    bytes = with_framing("Content-Length: \t 0005 ", "Hello"), answers = { { 200, "Hello" } },
    calls = { "POST /echo Hello" } },
  { name = "chunks with extensions and trailers", rfc = "9112 7.1.1, 7.1.2",
    bytes = CHUNKED .. "2;a=\"b\"\r\nHe\r\n0003 ; c\r\nllo\r\n000\r\nContent-Length: 9\r\nX-Test: no\r\n\r\n",
    answers = { { 200, "Hello" } }, calls = { "POST /echo Hello" } },
  { name = "a trailer that would be a header", rfc = "9110 6.5.1",
    bytes = "POST /header HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\nX-Test: smuggled\r\n\r\n",
    answers = { { 200, "none" } }, calls = { "POST /header " } },
  { name = "a GET with a body", rfc = "9110 9.3.1",
    bytes = "GET /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nHello" .. GET .. "\r\n",
    answers = { { 200, "Hello" }, ROOT }, calls = { "GET /echo Hello", "GET / " } },
  { name = "a body that looks like a request", rfc = "9112 6",
    bytes = with_framing("Content-Length: 18", "GET /evil HTTP/1.1") .. GET .. "\r\n",
    answers = { { 200, "GET /evil HTTP/1.1" }, ROOT }, calls = { "POST /echo GET /evil HTTP/1.1", "GET / " } },
  { name = "as many bytes as are allowed", rfc = "9110 15.5.14",
    bytes = with_framing("Content-Length: 100", ("x"):rep(100)), answers = { { 200, ("x"):rep(100) } },
    calls = { "POST /echo " .. ("x"):rep(100) } },
  { name = "as many bytes as are allowed, in chunks", rfc = "9110 15.5.14",
    bytes = CHUNKED .. "32\r\n" .. ("x"):rep(50) .. "\r\n32\r\n" .. ("x"):rep(50) .. "\r\n0\r\n\r\n",
    answers = { { 200, ("x"):rep(100) } }, calls = { "POST /echo " .. ("x"):rep(100) } },
  { name = "a length of nothing", rfc = "9112 6.3", bytes = with_framing "Content-Length: 0", answers = { { 200, "" } },
    calls = { "POST /echo " } },
  { name = "no length and no chunks", rfc = "9112 6.3", bytes = POST .. "\r\n" .. GET .. "\r\n",
    answers = { { 200, "" }, ROOT }, calls = { "POST /echo ", "GET / " } },

  -- ---- lines ----
  { name = "an empty line first", rfc = "9112 2.2", bytes = "\r\n" .. GET .. "\r\n",
    answers = { ROOT }, calls = { "GET / " } },
  { name = "an empty line behind a body, before the next request", rfc = "9112 2.2",
    bytes = with_framing("Content-Length: 5", "Hello") .. "\r\n" .. GET .. "\r\n",
    answers = { { 200, "Hello" }, ROOT }, calls = { "POST /echo Hello", "GET / " } },
  { name = "names in any case, and blanks around a value", rfc = "9110 5.1, 5.5",
    bytes = "GET /header HTTP/1.1\r\nhOST: x\r\nx-tEST: \t a b \t\r\n\r\n",
    answers = { { 200, "a b" } }, calls = { "GET /header " } },
  { name = "a repeated header", rfc = "9110 5.3",
    bytes = "GET /header HTTP/1.1\r\nHost: x\r\nX-Test: a\r\nX-Other: b\r\nX-Test: c\r\n\r\n",
    answers = { { 200, "a, c" } }, calls = { "GET /header " } },
  { name = "a value that is not ASCII", rfc = "9110 5.5",
    bytes = "GET /header HTTP/1.1\r\nHost: x\r\nX-Test: \xff\xe4\r\n\r\n",
    answers = { { 200, "\xff\xe4" } }, calls = { "GET /header " } },
  { name = "100 headers", rfc = "6585 5", bytes = GET .. ("X: y\r\n"):rep(99) .. "\r\n",
    answers = { ROOT }, calls = { "GET / " } },
  { name = "a Host of an IPv6 address", rfc = "9110 7.2", bytes = "GET /host HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
    answers = { { 200, "[::1]:8080" } }, calls = { "GET /host " } },

  -- ---- targets and methods ----
  { name = "an absolute target, which wins over Host", rfc = "9112 3.2.2",
    bytes = "GET http://good.example:81/host?x HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    answers = { { 200, "good.example:81" } }, calls = { "GET /host " } },
  { name = "OPTIONS for everything", rfc = "9110 9.3.7", bytes = request_line "OPTIONS * HTTP/1.1",
    answers = { { 204, "" } }, calls = { "OPTIONS * " } },
  { name = "OPTIONS for one path", rfc = "9110 9.3.7", bytes = request_line "OPTIONS / HTTP/1.1",
    answers = { { 204, "" } }, calls = { "OPTIONS / " }, has = { allow = "^GET, HEAD, OPTIONS$" } },
  { name = "TRACE", rfc = "9110 9.3.8", bytes = "TRACE / HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n",
    answers = { { 405 } }, calls = { "TRACE / " }, has = { allow = "GET" } },
  { name = "a method nobody knows", rfc = "9110 15.5.6", bytes = request_line "BREW / HTTP/1.1",
    answers = { { 405 } }, calls = { "BREW / " }, has = { allow = "GET" } },
  { name = "a method in small letters", rfc = "9110 9.1", bytes = request_line "get / HTTP/1.1",
    answers = { { 405 } }, calls = { "get / " } },
  { name = "HEAD", rfc = "9110 9.3.2", bytes = request_line "HEAD / HTTP/1.1" .. GET .. "\r\n",
    answers = { { 200, "", head = true }, ROOT }, calls = { "HEAD / ", "GET / " },
    has = { ["content-length"] = "^4$" } },
  { name = "HEAD of a stream", rfc = "9110 9.3.2", bytes = request_line "HEAD /stream HTTP/1.1" .. GET .. "\r\n",
    answers = { { 200, "", head = true }, ROOT }, calls = { "HEAD /stream ", "GET / " } },
  { name = "an address that is not there", rfc = "9110 15.5.5", bytes = request_line "GET /nowhere HTTP/1.1",
    answers = { { 404 } }, calls = { "GET /nowhere " } },

  -- ---- connections ----
  { name = "Connection: close", rfc = "9112 9.6",
    bytes = GET .. "Connection: close\r\n\r\n" .. GET .. "\r\n",
    answers = { ROOT }, calls = { "GET / " }, ends = true },
  { name = "close among other things, in capitals", rfc = "9110 7.6.1",
    bytes = GET .. "Connection: keep-alive , x\r\nConnection: CLOSE\r\n\r\n" .. GET .. "\r\n",
    answers = { ROOT }, calls = { "GET / " }, ends = true },
  { name = "HTTP/1.0", rfc = "9112 9.3", bytes = "GET / HTTP/1.0\r\n\r\n" .. GET .. "\r\n", answers = { ROOT },
    calls = { "GET / " }, ends = true, has = { connection = "^close$" } },
  { name = "HTTP/1.0 that wants to stay", rfc = "9112 9.3, C.2.2",
    bytes = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", answers = { ROOT }, calls = { "GET / " },
    has = { connection = "^keep%-alive$" } },
  { name = "a stream to HTTP/1.1", rfc = "9112 7.1", bytes = request_line "GET /stream HTTP/1.1" .. GET .. "\r\n",
    answers = { { 200, "one, two" }, ROOT }, calls = { "GET /stream ", "GET / " } },
  { name = "a stream to HTTP/1.0, which knows no chunks", rfc = "9112 7.1, 6.3",
    bytes = "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", answers = { { 200, "one, two" } },
    calls = { "GET /stream " }, ends = true, lacks = { "transfer-encoding", "content-length" } },

  -- ---- pipelines ----
  { name = "three requests at once", rfc = "9112 9.3.2",
    bytes = request_line "GET /slow HTTP/1.1" .. GET .. "\r\n" .. request_line "GET /slow HTTP/1.1",
    answers = { { 200, "slow" }, ROOT, { 200, "slow" } }, calls = { "GET /slow ", "GET / ", "GET /slow " } },
  { name = "bodies and requests in one", rfc = "9112 9.3.2",
    bytes = with_framing("Content-Length: 3", "abc") .. CHUNKED .. "3\r\ndef\r\n0\r\n\r\n" .. GET .. "\r\n",
    answers = { { 200, "abc" }, { 200, "def" }, ROOT }, calls = { "POST /echo abc", "POST /echo def", "GET / " } },
  { name = "fifty requests at once", rfc = "9112 9.3.2", bytes = (GET .. "\r\n"):rep(50), times = 50,
    answers = { ROOT }, calls = { "GET / " } },
  { name = "an error behind a good request", rfc = "9112 9.3.2",
    bytes = GET .. "\r\nnonsense\r\n\r\n" .. GET .. "\r\n", answers = { ROOT, { 400 } }, calls = { "GET / " },
    ends = true },
  { name = "an error behind a slow request", rfc = "9112 9.3.2",
    bytes = request_line "GET /slow HTTP/1.1" .. "nonsense\r\n\r\n" .. GET .. "\r\n",
    answers = { { 200, "slow" }, { 400 } }, calls = { "GET /slow " }, ends = true },
  { name = "a body that is too large, behind a good request", rfc = "9112 9.3.2, 9110 15.5.14",
    bytes = GET .. "\r\n" .. with_framing("Content-Length: 101", GET .. "\r\n"), answers = { ROOT, { 413 } },
    calls = { "GET / " }, ends = true },
}

return M
