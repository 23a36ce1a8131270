-- deflate_rows.lua - the rows of frame_rows.lua about permessage-deflate (RFC 7692): see there for what a row has.
-- Compressed bytes are the examples of RFC 7692 §7.2.3, or made here bit by bit (RFC 1951).
-- SPDX-License-Identifier: MIT

local raw = require "spec.support.raw"

local text, binary, continuation = raw.text, raw.binary, raw.continuation
local ping, pong, close = raw.ping, raw.pong, raw.close
local COMPRESSED, FIRST = { rsv = raw.RSV1 }, { rsv = raw.RSV1, fin = false }
local OPEN = { fin = false }
local HELLO = "\xf2\x48\xcd\xc9\xc9\x07\x00"

-- Bits of one block with the fixed codes, closed by an empty stored block whose last four bytes are left out.
local function fixed_block(write)
  local bits = {}
  local function number(value, count) -- least significant bit first
    for i = 0, count - 1 do
      bits[#bits + 1] = value >> i & 1
    end
  end
  local function code(value, count) -- Huffman codes: most significant bit first
    for i = count - 1, 0, -1 do
      bits[#bits + 1] = value >> i & 1
    end
  end
  number(2, 3) -- BFINAL 0, BTYPE 01
  write(code)
  code(0, 7) -- the end of the block
  number(0, 3) -- the empty stored block
  local bytes = {}
  for i = 1, #bits, 8 do
    local byte = 0
    for j = 0, 7 do
      byte = byte | (bits[i + j] or 0) << j
    end
    bytes[#bytes + 1] = string.char(byte)
  end
  return table.concat(bytes)
end

-- 1 + 258 * count times "a": 13 bits for every 258 bytes.
local function bomb(count)
  return fixed_block(function(code)
    code(0x30 + 0x61, 8) -- "a"
    for _ = 1, count do
      code(0xc5, 8) -- a match of 258 bytes …
      code(0, 5) -- … one byte back
    end
  end)
end

-- A match that reaches behind the beginning.
local TOO_FAR = fixed_block(function(code)
  code(0x30 + 0x61, 8)
  code(1, 7) -- a match of 3 bytes …
  code(3, 5) -- … four bytes back
end)

-- Stored: an incompressible message grows.
local function stored(payload)
  return "\0" .. ("<I2I2"):pack(#payload, ~#payload & 0xffff) .. payload .. "\0"
end

local list = {
  { name = "a compressed text", rfc = "7692 7.2.3.1",
    bytes = { text(HELLO, COMPRESSED) }, expect = { text "Hello" } },
  { name = "a compressed text in two fragments, with a ping between them", rfc = "7692 7.2.3.1, 6.1",
    bytes = { text(HELLO:sub(1, 3), FIRST), ping "p", continuation(HELLO:sub(4)) },
    expect = { pong "p", text "Hello" } },
  { name = "a compressed text in fragments of nothing", rfc = "7692 6.1",
    bytes = { text("", FIRST), continuation(HELLO, OPEN), continuation "" }, expect = { text "Hello" } },
  { name = "the same message again, out of the window", rfc = "7692 7.2.3.2", takeover = true,
    bytes = { text(HELLO, COMPRESSED), text("\xf2\x00\x11\x00\x00", COMPRESSED) },
    expect = { text "Hello", text "Hello" } },
  { name = "the same message again, out of a window that was given up", rfc = "7692 7.1.1.2",
    bytes = { text(HELLO, COMPRESSED), text("\xf2\x00\x11\x00\x00", COMPRESSED) }, first = { text "Hello" },
    expect = 1007 },
  { name = "a block that is not compressed", rfc = "7692 7.2.3.3",
    bytes = { text("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", COMPRESSED) }, expect = { text "Hello" } },
  { name = "a final block", rfc = "7692 7.2.3.4",
    bytes = { text("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", COMPRESSED), text(HELLO, COMPRESSED) },
    expect = { text "Hello", text "Hello" } },
  { name = "two blocks", rfc = "7692 7.2.3.5",
    bytes = { text("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", COMPRESSED) }, expect = { text "Hello" } },
  { name = "an empty compressed message", rfc = "7692 7.2.3.6",
    bytes = { text("\0", COMPRESSED), binary("\0", COMPRESSED) }, expect = { text "", binary "" } },
  { name = "a message that is not compressed, between two that are", rfc = "7692 6",
    bytes = { text(HELLO, COMPRESSED), text "plain", text(HELLO, COMPRESSED) },
    expect = { text "Hello", text "plain", text "Hello" } },
  { name = "as many bytes as are allowed, which became more by compressing", rfc = "7692 7.2.1",
    bytes = { binary(stored(("x"):rep(1000)), COMPRESSED) }, expect = { binary(("x"):rep(1000)) } },
  { name = "the same in fragments", rfc = "7692 7.2.1",
    bytes = { binary(stored(("x"):rep(1000)):sub(1, 3), FIRST), continuation(stored(("x"):rep(1000)):sub(4)) },
    expect = { binary(("x"):rep(1000)) } },
  { name = "a close between compressed fragments", rfc = "7692 6.1",
    bytes = { text(HELLO:sub(1, 3), FIRST), close(1000) }, expect = { close(1000) } },

  { name = "RSV1 on a continuation", rfc = "7692 6.1",
    bytes = { text(HELLO:sub(1, 3), FIRST), continuation(HELLO:sub(4), COMPRESSED) }, expect = 1002 },
  { name = "RSV1 on the continuation of a plain message", rfc = "7692 6.1",
    bytes = { text("a", OPEN), continuation(HELLO, COMPRESSED) }, expect = 1002 },
  { name = "RSV1 on a ping with compression", rfc = "7692 6",
    bytes = { ping(HELLO, COMPRESSED) }, expect = 1002 },
  { name = "RSV1 on a pong with compression", rfc = "7692 6", bytes = { pong("", COMPRESSED) }, expect = 1002 },
  { name = "RSV1 on a close with compression", rfc = "7692 6", bytes = { close(1000, "", COMPRESSED) }, expect = 1002 },
  { name = "a block of the reserved kind", rfc = "7692 7.2.2, 1951 3.2.3",
    bytes = { text("\xff\xff\xff\xff", COMPRESSED) }, expect = 1007 },
  { name = "a match that reaches behind the beginning", rfc = "7692 7.2.2, 1951 3.2.3",
    bytes = { text(TOO_FAR, COMPRESSED) }, expect = 1007 },
  { name = "a stored block whose lengths disagree", rfc = "7692 7.2.2, 1951 3.2.4",
    bytes = { text("\x00\x05\x00\x05\x00Hello\x00", COMPRESSED) }, expect = 1007 },
  { name = "a stream that ends early", rfc = "7692 7.2.2",
    bytes = { text(HELLO:sub(1, 3), COMPRESSED) }, expect = 1007 },
  { name = "a stream that ends early in the last fragment", rfc = "7692 7.2.2",
    bytes = { text(HELLO:sub(1, 2), FIRST), continuation(HELLO:sub(3, 4)) }, expect = 1007 },
  { name = "a stored block that would go on in the bytes that were left out", rfc = "7692 7.2.2",
    bytes = { binary("\x00\x05\x00\xfa\xff\x48\x65", COMPRESSED) }, expect = 1007 },
  { name = "a stored block made of nothing but the bytes that were left out", rfc = "7692 7.2.1",
    bytes = { binary("\x00\x04\x00\xfb\xff", COMPRESSED) }, expect = 1007 },
  { name = "a stream that ends inside of a table of codes", rfc = "7692 7.2.2, 1951 3.2.7",
    bytes = { text("\x04\xe0\x01", COMPRESSED) }, expect = 1007 },
  { name = "rubbish behind a final block", rfc = "7692 7.2.3.4",
    bytes = { text("\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff", COMPRESSED) }, expect = 1007 },
  { name = "a corrupt message behind a good one", rfc = "7692 7.2.2",
    bytes = { text(HELLO, COMPRESSED), text("\x07", COMPRESSED) }, first = { text "Hello" }, expect = 1007 },
  { name = "a text that is not UTF-8 once it is inflated", rfc = "6455 8.1",
    bytes = { text(stored "ab\xff", COMPRESSED) }, expect = 1007 },
  { name = "the middle of a character at the end, inflated", rfc = "6455 8.1",
    bytes = { text(stored "ab\xe2\x82", COMPRESSED) }, expect = 1007 },
  { name = "a binary that is not UTF-8 once it is inflated", rfc = "6455 5.6",
    bytes = { binary(stored "\xff\xfe", COMPRESSED) }, expect = { binary "\xff\xfe" } },
  { name = "three matches less than a bomb", rfc = "7692 10", bytes = { text(bomb(3), COMPRESSED) },
    expect = { text(("a"):rep(775)) } },
  { name = "a bomb", rfc = "7692 10, 6455 7.4.1",
    bytes = { text(bomb(4), COMPRESSED) }, expect = 1009 },
  { name = "a bomb of 150 KB", rfc = "7692 10, 6455 7.4.1",
    bytes = { text(bomb(600), COMPRESSED) }, expect = 1009 },
  { name = "a bomb in the second fragment", rfc = "7692 10, 6455 7.4.1",
    bytes = { text("\xf2\x48\x05\x00\x00\x00\xff\xff", FIRST), continuation(bomb(4), OPEN) }, expect = 1009 },
  { name = "one byte too many, inflated", rfc = "7692 10, 6455 7.4.1",
    bytes = { binary(stored(("x"):rep(1001)), COMPRESSED) }, expect = 1009 },
  { name = "a compressed frame that announces too much", rfc = "6455 7.4.1",
    bytes = { text("", { rsv = raw.RSV1, announce = 70000 }) }, expect = 1009 },
}
for _, row in ipairs(list) do
  row.deflate = true
end

return list
