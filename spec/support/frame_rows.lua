-- frame_rows.lua - frame sequences that are wrong, hostile, or right in an unusual way, each with what must come of it.
-- A row has:
--   name, rfc   what it is and where the standard speaks of it (a bare section: RFC 6455; "7692 …": compression)
--   bytes       the frames, in order; strings are sent as they are
--   expect      a close code: the sequence is refused with it; a list of frames: exactly these come back, messages being
--               echoed, and at the end of a list without a Close the harness closes with 1000; "lost": the stream ends
--               here without a Close, and nothing comes back
--   first       what comes back before a refusal; MANY_PONGS: any number of pongs
--   only        "server" or "client": the role under test; both without it
--   deflate     permessage-deflate was agreed on
-- The side under test has max_payload = 1000, max_fragments = 8, max_control_per_second = 20.
-- SPDX-License-Identifier: MIT

local raw = require "spec.support.raw"

local text, binary, continuation = raw.text, raw.binary, raw.continuation
local ping, pong, close, frame = raw.ping, raw.pong, raw.close, raw.frame
local RSV1, RSV2, RSV3 = raw.RSV1, raw.RSV2, raw.RSV3
local OPEN = { fin = false }

local M = { MANY_PONGS = "any number of pongs", MAX_PAYLOAD = 1000, MAX_FRAGMENTS = 8, MAX_CONTROL_PER_SECOND = 20 }

local function times(count, make)
  local list = {}
  for i = 1, count do
    list[i] = make(tostring(i))
  end
  return list
end

local function continuation_of_nothing()
  return continuation("", OPEN)
end

local rows = {}
M.rows = rows

local function section(list)
  for _, row in ipairs(list) do
    rows[#rows + 1] = row
  end
end

-- ---- §5.1, §5.3: masking ----

section {
  { name = "an unmasked text", rfc = "5.1", only = "server",
    bytes = { text("x", { masked = false }) }, expect = 1002 },
  { name = "an unmasked ping", rfc = "5.1", only = "server",
    bytes = { ping("x", { masked = false }) }, expect = 1002 },
  { name = "an unmasked close", rfc = "5.1", only = "server",
    bytes = { close(1000, "", { masked = false }) }, expect = 1002 },
  { name = "an unmasked empty text", rfc = "5.1", only = "server",
    bytes = { text("", { masked = false }) }, expect = 1002 },
  { name = "an unmasked continuation of a masked text", rfc = "5.1", only = "server",
    bytes = { text("a", OPEN), continuation("b", { masked = false }) }, expect = 1002 },
  { name = "an unmasked text behind a masked one", rfc = "5.1", only = "server",
    bytes = { text "good", text("bad", { masked = false }) }, first = { text "good" }, expect = 1002 },
  { name = "a masked text from a server", rfc = "5.1", only = "client",
    bytes = { text("x", { masked = true }) }, expect = 1002 },
  { name = "a masked close from a server", rfc = "5.1", only = "client",
    bytes = { close(1000, "", { masked = true }) }, expect = 1002 },
  { name = "a masked ping from a server, behind a good one", rfc = "5.1", only = "client",
    bytes = { ping "a", ping("b", { masked = true }) }, first = { pong "a" }, expect = 1002 },
  { name = "a mask of zeros", rfc = "5.3", only = "server",
    bytes = { text("plain", { key = "\0\0\0\0" }) }, expect = { text "plain" } },
  { name = "another mask for every frame", rfc = "5.3", only = "server",
    bytes = { text("abcde", { key = "\xff\0\xff\1", fin = false }), ping("p", { key = "\1\2\3\4" }),
      continuation("fghij", { key = "\x80\x7f\0\xfe" }) },
    expect = { pong "p", text "abcdefghij" } },
}

-- ---- §5.2: reserved bits and opcodes ----

section {
  { name = "RSV1 on a text without compression", rfc = "5.2",
    bytes = { text("x", { rsv = RSV1 }) }, expect = 1002 },
  { name = "RSV1 on a binary without compression", rfc = "5.2",
    bytes = { binary("x", { rsv = RSV1 }) }, expect = 1002 },
  { name = "RSV1 on a ping without compression", rfc = "5.2", bytes = { ping("x", { rsv = RSV1 }) }, expect = 1002 },
  { name = "RSV1 on a close without compression", rfc = "5.2",
    bytes = { close(1000, "", { rsv = RSV1 }) }, expect = 1002 },
  { name = "RSV2 on a text", rfc = "5.2", bytes = { text("x", { rsv = RSV2 }) }, expect = 1002 },
  { name = "RSV3 on a text", rfc = "5.2", bytes = { text("x", { rsv = RSV3 }) }, expect = 1002 },
  { name = "RSV2 and RSV3 on a pong", rfc = "5.2", bytes = { pong("x", { rsv = RSV2 | RSV3 }) }, expect = 1002 },
  { name = "RSV3 on a continuation", rfc = "5.2",
    bytes = { text("a", OPEN), continuation("b", { rsv = RSV3 }) }, expect = 1002 },
  { name = "all reserved bits on a close", rfc = "5.2",
    bytes = { close(1000, "", { rsv = RSV1 | RSV2 | RSV3 }) }, expect = 1002 },
  { name = "RSV2 with compression", rfc = "5.2", deflate = true,
    bytes = { text("x", { rsv = RSV2 }) }, expect = 1002 },
  { name = "RSV1 and RSV3 with compression", rfc = "5.2", deflate = true,
    bytes = { text("\xf2\x48\xcd\xc9\xc9\x07\x00", { rsv = RSV1 | RSV3 }) }, expect = 1002 },
  { name = "a reserved opcode behind a good message", rfc = "5.2",
    bytes = { text "good", frame(0xb, "bad") }, first = { text "good" }, expect = 1002 },
  { name = "a reserved opcode inside of a fragmented message", rfc = "5.2",
    bytes = { text("a", OPEN), frame(3, "b"), continuation "c" }, expect = 1002 },
  { name = "a reserved opcode that says it is not the last", rfc = "5.2",
    bytes = { frame(7, "x", OPEN) }, expect = 1002 },
}
for _, opcode in ipairs { 3, 4, 5, 6, 7, 11, 12, 13, 14, 15 } do
  section { { name = ("the reserved opcode %d"):format(opcode), rfc = "5.2",
    bytes = { frame(opcode, "x") }, expect = 1002 } }
end

-- ---- §5.2: lengths ----

section {
  { name = "5 bytes with a length of 16 bits", rfc = "5.2",
    bytes = { text("Hello", { width = 2 }) }, expect = 1002 },
  { name = "no bytes with a length of 16 bits", rfc = "5.2", bytes = { text("", { width = 2 }) }, expect = 1002 },
  { name = "125 bytes with a length of 16 bits", rfc = "5.2",
    bytes = { binary(("x"):rep(125), { width = 2 }) }, expect = 1002 },
  { name = "no bytes with a length of 64 bits", rfc = "5.2", bytes = { text("", { width = 8 }) }, expect = 1002 },
  { name = "126 bytes with a length of 64 bits", rfc = "5.2",
    bytes = { binary(("x"):rep(126), { width = 8 }) }, expect = 1002 },
  { name = "65,535 bytes announced with 64 bits", rfc = "5.2",
    bytes = { binary("", { announce = 65535, width = 8 }) }, expect = 1002 },
  { name = "a length of 2^63", rfc = "5.2",
    bytes = { binary("", { announce = math.mininteger }) }, expect = 1002 },
  { name = "a length of 2^64 - 1", rfc = "5.2", bytes = { binary("", { announce = -1 }) }, expect = 1002 },
  { name = "a length of 2^63 - 1", rfc = "5.2, 7.4.1",
    bytes = { binary("", { announce = math.maxinteger }) }, expect = 1009 },
  { name = "a length of 2^32 + 5", rfc = "7.4.1",
    bytes = { text("Hello", { announce = (1 << 32) + 5 }) }, expect = 1009 },
  { name = "126 bytes", rfc = "5.2",
    bytes = { text(("x"):rep(126)) }, expect = { text(("x"):rep(126)) } },
  { name = "an empty message of each kind", rfc = "5.6",
    bytes = { text "", binary "" }, expect = { text "", binary "" } },
  { name = "as many bytes as are allowed", rfc = "5.2",
    bytes = { binary(("x"):rep(1000)) }, expect = { binary(("x"):rep(1000)) } },
  { name = "one byte too many", rfc = "7.4.1", bytes = { binary(("x"):rep(1001)) }, expect = 1009 },
  { name = "one byte too many, announced only", rfc = "7.4.1",
    bytes = { text("", { announce = 1001 }) }, expect = 1009 },
  { name = "too many bytes behind a good message", rfc = "7.4.1",
    bytes = { text "good", text("", { announce = 70000 }) }, first = { text "good" }, expect = 1009 },
}

-- ---- §5.4: fragmentation ----

local function fragments(count)
  local list = { text("0", OPEN) }
  for i = 2, count do
    list[i] = continuation(tostring(i % 10), { fin = i == count })
  end
  return list
end

section {
  { name = "a continuation of nothing", rfc = "5.4", bytes = { continuation "x" }, expect = 1002 },
  { name = "a continuation of nothing that is not the last", rfc = "5.4",
    bytes = { continuation("x", OPEN) }, expect = 1002 },
  { name = "a continuation behind a whole message", rfc = "5.4",
    bytes = { text "whole", continuation "x" }, first = { text "whole" }, expect = 1002 },
  { name = "a continuation behind the last fragment", rfc = "5.4",
    bytes = { text("a", OPEN), continuation "b", continuation "c" }, first = { text "ab" }, expect = 1002 },
  { name = "a continuation behind a ping", rfc = "5.4",
    bytes = { ping "p", continuation "x" }, first = { pong "p" }, expect = 1002 },
  { name = "a text inside of a fragmented text", rfc = "5.4",
    bytes = { text("a", OPEN), text "b" }, expect = 1002 },
  { name = "a binary inside of a fragmented text", rfc = "5.4",
    bytes = { text("a", OPEN), binary "b" }, expect = 1002 },
  { name = "a fragmented text inside of a fragmented binary", rfc = "5.4",
    bytes = { binary("a", OPEN), text("b", OPEN) }, expect = 1002 },
  { name = "two fragments", rfc = "5.4, 5.7",
    bytes = { text("Hel", OPEN), continuation "lo" }, expect = { text "Hello" } },
  { name = "empty fragments in front, between and behind", rfc = "5.4",
    bytes = { binary("", OPEN), continuation("a", OPEN), continuation("", OPEN), continuation("b", OPEN),
      continuation "" },
    expect = { binary "ab" } },
  { name = "nothing but empty fragments", rfc = "5.4",
    bytes = { text("", OPEN), continuation("", OPEN), continuation "" }, expect = { text "" } },
  { name = "pings and a pong between fragments", rfc = "5.4, 5.5",
    bytes = { text("a", OPEN), ping "1", continuation("b", OPEN), pong "?", ping "2", continuation "c", text "d" },
    expect = { pong "1", pong "2", text "abc", text "d" } },
  { name = "a close between fragments", rfc = "5.4, 5.5.1",
    bytes = { text("a", OPEN), close(1000), continuation "b" }, expect = { close(1000) } },
  { name = "as many fragments as are allowed", rfc = "10.4", bytes = fragments(8), expect = { text "02345678" } },
  { name = "one fragment too many", rfc = "10.4, 7.4.1", bytes = fragments(9), expect = 1008 },
  { name = "too many empty fragments", rfc = "10.4, 7.4.1",
    bytes = { text("", OPEN), table.unpack(times(8, continuation_of_nothing)) },
    expect = 1008 },
  { name = "as many bytes as are allowed, in fragments", rfc = "7.4.1",
    bytes = { binary(("x"):rep(600), OPEN), continuation(("y"):rep(400)) },
    expect = { binary(("x"):rep(600) .. ("y"):rep(400)) } },
  { name = "one byte too many in fragments, announced only", rfc = "7.4.1",
    bytes = { binary(("x"):rep(600), OPEN), continuation("", { announce = 401 }) }, expect = 1009 },
  { name = "a last fragment of 2^63 - 1 bytes", rfc = "7.4.1",
    bytes = { binary("x", OPEN), continuation("", { announce = math.maxinteger }) }, expect = 1009 },
}

-- ---- §5.5: control frames ----

section {
  { name = "a fragmented ping", rfc = "5.5",
    bytes = { ping("a", OPEN), continuation "b" }, expect = 1002 },
  { name = "a fragmented pong", rfc = "5.5", bytes = { pong("a", OPEN) }, expect = 1002 },
  { name = "a fragmented close", rfc = "5.5", bytes = { close(1000, "", OPEN) }, expect = 1002 },
  { name = "a ping of 126 bytes", rfc = "5.5", bytes = { ping(("x"):rep(126)) }, expect = 1002 },
  { name = "a pong of 126 bytes", rfc = "5.5", bytes = { pong(("x"):rep(126)) }, expect = 1002 },
  { name = "a close with a reason of 124 bytes", rfc = "5.5", bytes = { close(1000, ("x"):rep(124)) }, expect = 1002 },
  { name = "a ping with a length of 64 bits, announced only", rfc = "5.5",
    bytes = { ping("", { announce = 70000 }) }, expect = 1002 },
  { name = "a ping of 5 bytes with a length of 16 bits", rfc = "5.5",
    bytes = { ping("Hello", { width = 2 }) }, expect = 1002 },
  { name = "pings of 0 and 125 bytes", rfc = "5.5.2",
    bytes = { ping "", ping(("x"):rep(125)) }, expect = { pong "", pong(("x"):rep(125)) } },
  { name = "several pings at once, each to be answered in its order", rfc = "5.5.2, 5.5.3",
    bytes = { ping "1", ping "2", text "between", ping "3", ping "4" },
    expect = { pong "1", pong "2", text "between", pong "3", pong "4" } },
  { name = "pongs nobody asked for", rfc = "5.5.3",
    bytes = { pong "", pong "x", text "still here" }, expect = { text "still here" } },
  { name = "a ping that is not UTF-8", rfc = "5.5.2", bytes = { ping "\xff\xfe\0" }, expect = { pong "\xff\xfe\0" } },
  { name = "as many pings as are allowed", rfc = "10.4", bytes = times(20, ping), expect = times(20, pong) },
  { name = "a flood of pings", rfc = "10.4, 7.4.1", bytes = times(41, ping), first = M.MANY_PONGS, expect = 1008 },
  { name = "a flood of pongs", rfc = "10.4, 7.4.1", bytes = times(41, pong), expect = 1008 },
  { name = "a flood of pings inside of a message", rfc = "10.4, 7.4.1",
    bytes = { text("a", OPEN), table.unpack(times(41, ping)) }, first = M.MANY_PONGS, expect = 1008 },
}

-- ---- §5.5.1, §7: closing ----

section {
  { name = "a close without a code", rfc = "5.5.1, 7.1.5",
    bytes = { close() }, expect = { close() } },
  { name = "a close with half a code", rfc = "5.5.1",
    bytes = { raw.frame(8, "\x03") }, expect = 1002 },
  { name = "a reason of 123 bytes", rfc = "5.5.1",
    bytes = { close(1000, ("ü"):rep(61) .. "!") }, expect = { close(1000) } },
  { name = "a reason that is not UTF-8", rfc = "5.5.1, 8.1",
    bytes = { close(1000, "a\xff") }, expect = 1007 },
  { name = "a reason that ends in the middle of a character", rfc = "5.5.1, 8.1",
    bytes = { close(1000, "\xe2\x82") }, expect = 1007 },
  { name = "a reason with a surrogate", rfc = "5.5.1, 8.1", bytes = { close(3000, "\xed\xa0\x80") }, expect = 1007 },
  { name = "a text behind a close", rfc = "5.5.1",
    bytes = { close(1000, "bye"), text "ignored" }, expect = { close(1000) } },
  { name = "a ping behind a close", rfc = "5.5.1", bytes = { close(1001), ping "ignored" }, expect = { close(1001) } },
  { name = "a broken frame behind a close", rfc = "5.5.1, 7.1.4",
    bytes = { close(1000), frame(15, "x", { rsv = RSV3 }) }, expect = { close(1000) } },
  { name = "two closes", rfc = "5.5.1", bytes = { close(3001), close(3002) }, expect = { close(3001) } },
  { name = "a text in front of a close", rfc = "5.5.1",
    bytes = { text "last words", close(1000) }, expect = { text "last words", close(1000) } },
  { name = "the end of the stream instead of a close", rfc = "7.1.5", bytes = {}, expect = "lost" },
  { name = "the end of the stream inside of a header", rfc = "7.1.5", bytes = { "\x81" }, expect = "lost" },
  { name = "the end of the stream inside of a payload", rfc = "7.1.5",
    bytes = { text("ten bytes", { announce = 10 }) }, expect = "lost" },
  { name = "the end of the stream between fragments", rfc = "7.1.5", bytes = { text("a", OPEN) }, expect = "lost" },
}
for _, code in ipairs { 0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535 } do
  section { { name = ("the close code %d, which must not be sent"):format(code), rfc = "7.4",
    bytes = { close(code, "x") }, expect = 1002 } }
end
local SENDABLE = { 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999 }
for _, code in ipairs(SENDABLE) do
  section { { name = ("the close code %d"):format(code), rfc = "7.4",
    bytes = { close(code, "why") }, expect = { close(code) } } }
end

-- ---- §8.1: UTF-8 ----

section {
  { name = "a text across the borders of characters", rfc = "8.1, 5.6",
    bytes = { text("\xe2", OPEN), continuation("\x82", OPEN), ping "", continuation("\xac\xf0\x9f", OPEN),
      continuation "\x8c\x99" },
    expect = { pong "", text "€🌙" } },
  { name = "NUL, the byte order mark, and non-characters", rfc = "8.1",
    bytes = { text "\0", text "\xef\xbb\xbfx", text "\xef\xbf\xbf\xf4\x8f\xbf\xbf" },
    expect = { text "\0", text "\xef\xbb\xbfx", text "\xef\xbf\xbf\xf4\x8f\xbf\xbf" } },
  { name = "a binary message that is not UTF-8", rfc = "5.6",
    bytes = { binary("\xff", OPEN), continuation "\xfe\xed\xa0\x80" }, expect = { binary "\xff\xfe\xed\xa0\x80" } },
  { name = "a wrong byte in a fragment, before the message is whole", rfc = "8.1",
    bytes = { text("ab\xff", OPEN) }, expect = 1007 },
  { name = "a wrong character across two fragments", rfc = "8.1",
    bytes = { text("\xe2", OPEN), continuation "(\xa1" }, expect = 1007 },
  { name = "a character above U+10FFFF, before it is whole", rfc = "8.1",
    bytes = { text("\xf4\x90", OPEN) }, expect = 1007 },
  { name = "the middle of a character at the end", rfc = "8.1",
    bytes = { text "abc\xf0\x9f\x8c" }, expect = 1007 },
  { name = "the middle of a character at the end of the last fragment", rfc = "8.1",
    bytes = { text("a", OPEN), continuation("b", OPEN), continuation "\xe2\x82" }, expect = 1007 },
  { name = "a wrong text behind a good one", rfc = "8.1",
    bytes = { text "good", text "\xc3(" }, first = { text "good" }, expect = 1007 },
}
for _, case in ipairs {
  { "a lone continuation byte", "\x80" },
  { "an overlong slash in two bytes", "\xc0\xaf" },
  { "an overlong slash in three bytes", "\xe0\x80\xaf" },
  { "an overlong slash in four bytes", "\xf0\x80\x80\xaf" },
  { "a surrogate", "\xed\xbf\xbf" },
  { "a character above U+10FFFF", "\xf4\x90\x80\x80" },
  { "the byte F5", "\xf5\x80\x80\x80" },
  { "the byte FE", "\xfe" },
  { "a wrong byte behind sixteen good ones", ("a"):rep(16) .. "\xff" .. ("a"):rep(16) },
} do
  section { { name = "in a text, " .. case[1], rfc = "8.1", bytes = { text(case[2]) }, expect = 1007 } }
end

section(require "spec.support.deflate_rows")

return M
