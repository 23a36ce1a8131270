-- token.lua - signed tokens that end by themselves: JSON Web Tokens (RFC 7519) under HMAC-SHA-256, made and checked with
-- OpenSSL, by way of Debian's lua-luaossl.
-- Owns the file of the secret, which it makes when there is none.
--
--   local signer = require("token").signer(here)
--   local text = signer:sign({ sub = "ada" }, 3600)
--   local claims, problem = signer:verify(text)
-- SPDX-License-Identifier: MIT

local hmac = require "openssl.hmac"
local json = require "moonwire.json"
local rand = require "openssl.rand"
local uv = require "luv"

local M = {}

local HEAD = { alg = "HS256", typ = "JWT" }
local SECRET_BYTES = 32
local MAX_LENGTH = 4096 -- of a token: nobody makes us hash more than that
local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

-- base64url without padding (RFC 4648 §5): six bits a letter.
local function encode(bytes)
  local letters, bits, count = {}, 0, 0
  local function put(value)
    table.insert(letters, ALPHABET:sub(value + 1, value + 1))
  end
  for i = 1, #bytes do
    bits, count = (bits << 8 | bytes:byte(i)) & 0xffff, count + 8
    while count >= 6 do
      count = count - 6
      put(bits >> count & 63)
    end
  end
  if count > 0 then
    put(bits << (6 - count) & 63)
  end
  return table.concat(letters)
end

local function decode(text)
  local bytes, bits, count = {}, 0, 0
  for letter in text:gmatch "." do
    bits, count = (bits << 6 | ALPHABET:find(letter, 1, true) - 1) & 0xffff, count + 6
    if count >= 8 then
      count = count - 8
      table.insert(bytes, string.char(bits >> count & 255))
    end
  end
  return table.concat(bytes)
end

-- Takes the same time wherever the first difference is, so that nobody can find a signature letter by letter.
local function same(a, b)
  local difference = #a ~ #b
  for i = 1, math.min(#a, #b) do
    difference = difference | a:byte(i) ~ b:byte(i)
  end
  return difference == 0
end

-- TOKEN_SECRET of the environment, or else what the file keeps, so that tokens stay good when the server restarts.
local function find_secret(path)
  local secret = os.getenv "TOKEN_SECRET"
  local file = not secret and io.open(path, "rb")
  if file then
    secret = file:read "a"
    file:close()
  elseif not secret then
    secret = rand.bytes(SECRET_BYTES)
    local descriptor = assert(uv.fs_open(path, "wx", tonumber("600", 8)))
    assert(uv.fs_write(descriptor, secret))
    uv.fs_close(descriptor)
  end
  if #secret < SECRET_BYTES then
    error(("the secret in %s is shorter than %d bytes"):format(file and path or "TOKEN_SECRET", SECRET_BYTES), 0)
  end
  return secret
end

---@class token.Signer
local Signer = {}
Signer.__index = Signer

---@param directory string where the secret is kept, unless STATE_DIRECTORY of the environment says otherwise (as under
---systemd): in secret.key, which is made, and readable by its owner only, if it is not there
---@return token.Signer
function M.signer(directory)
  return setmetatable({ secret = find_secret((os.getenv "STATE_DIRECTORY" or directory) .. "/secret.key") }, Signer)
end

local function signature(self, text)
  return encode(hmac.new(self.secret, "sha256"):final(text))
end

---Make a token.
---@param claims table such as { sub = "ada", role = "agent" }; sub, whose it is, has to be there
---@param seconds number how long it is good
---@return string
function Signer:sign(claims, seconds)
  local full = { exp = math.floor(os.time() + seconds) }
  for name, value in pairs(claims) do
    full[name] = value
  end
  local text = encode(json.encode(HEAD)) .. "." .. encode(json.encode(full))
  return text .. "." .. signature(self, text)
end

---Check a token.
---@param text string|nil
---@return table|nil claims
---@return string|nil problem why it is refused, in words for its owner
function Signer:verify(text)
  if type(text) ~= "string" or text == "" then
    return nil, "a token is missing"
  end
  local signed, head, body, mark = text:match "^(([%w_-]+)%.([%w_-]+))%.([%w_-]+)$"
  if not signed or #text > MAX_LENGTH then
    return nil, "this is not a token"
  end
  local how = json.decode(decode(head))
  if type(how) ~= "table" or how.alg ~= HEAD.alg or not same(mark, signature(self, signed)) then
    return nil, "the token is not signed by this server"
  end
  local claims = json.decode(decode(body))
  if type(claims) ~= "table" or type(claims.sub) ~= "string" or math.type(claims.exp) ~= "integer" then
    return nil, "the token doesn't say whose it is, and until when it is good"
  elseif os.time() >= claims.exp then
    return nil, "the token has expired; log in again"
  end
  return claims
end

---Find the token of a request wherever browsers can put one: the Authorization header, the query as `Authorization=Bearer …`
---or `token=…`, the path's parameter `token`, or a subprotocol `Bearer…`, the only header a page may choose.
---@param req moonwire.Request
---@return string|nil text
---@return string|nil protocol the subprotocol that carried it: the answer must name it, or the browser hangs up
function M.of(req)
  for _, protocol in ipairs(req.protocols) do
    local text = protocol:match "^Bearer(.+)$"
    if text then
      return text, protocol
    end
  end
  local bearer = req.headers.authorization or req.query.Authorization or ""
  return bearer:match "^[Bb]earer%s+(%S+)$" or req.query.token or req.params.token
end

return M
