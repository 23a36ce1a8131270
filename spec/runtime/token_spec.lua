-- token_spec.lua - examples/common/token.lua: what is signed is believed, and nothing else.
-- SPDX-License-Identifier: MIT

local async = require "spec.support.async"
local example = require "spec.support.example"
local lfs = require "lfs"

local token = dofile(example.path "examples/common/token.lua")

local SECRET = ("s"):rep(32)

local function signer()
  local directory = async.directory()
  local file <close> = assert(io.open(directory .. "/secret.key", "wb"))
  file:write(SECRET)
  file:flush()
  return token.signer(directory)
end

local function request(fields)
  local made = { headers = {}, query = {}, params = {}, protocols = {} }
  for name, value in pairs(fields) do
    made[name] = value
  end
  return made
end

describe("a signed token", function()
  it("gives its claims back, whatever they are", function()
    local tokens = signer()
    for length = 1, 60 do
      local claims = assert(tokens:verify(tokens:sign({ sub = ("ß\0"):rep(length), role = "agent" }, 60)))
      assert.same({ ("ß\0"):rep(length), "agent" }, { claims.sub, claims.role })
      assert.is_true(claims.exp > os.time() and claims.exp <= os.time() + 60)
    end
  end)

  it("is one that others understand", function()
    -- Made by node's crypto: {"alg":"HS256","typ":"JWT"} . {"sub":"ada","exp":4102444800}
    local theirs = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJleHAiOjQxMDI0NDQ4MDB9."
      .. "DsaSQdDZDl1r1DxKXi7pYOnk61fDzr3C7kSA3vdWq1k"
    assert.equal("ada", assert(signer():verify(theirs)).sub)
  end)

  it("is refused with the reason", function()
    local tokens = signer()
    local good = tokens:sign({ sub = "ada" }, 60)
    local head, body, mark = good:match "^(.-)%.(.-)%.(.*)$"
    for reason, texts in pairs {
      ["a token is missing"] = { "" },
      ["this is not a token"] = { "x", "a.b", "a.b.c.d", "a.b.!", good .. "=", good .. "\n", head .. ".." .. mark,
        ("a"):rep(4000) .. ".b.c" .. ("d"):rep(100) },
      ["the token is not signed by this server"] = {
        head .. "." .. body .. "." .. mark:reverse(),
        head .. "." .. body .. "." .. mark:sub(1, -2),
        head .. "." .. body:sub(1, -2) .. "." .. mark,
        "eyJhbGciOiJub25lIn0." .. body .. "." .. mark, -- {"alg":"none"}
        "bm90aGluZw." .. body .. "." .. mark, -- no JSON
        token.signer(async.directory()):sign({ sub = "ada" }, 60),
      },
      ["the token has expired; log in again"] = { tokens:sign({ sub = "ada" }, 0), tokens:sign({ sub = "ada" }, -60) },
      ["the token doesn't say whose it is, and until when it is good"] = {
        tokens:sign({ sub = "ada", exp = "tomorrow" }, 60), tokens:sign({ sub = "ada", exp = 1e300 }, 60),
        tokens:sign({}, 60), tokens:sign({ sub = { "ada" } }, 60), tokens:sign({ sub = 1 }, 60),
      },
    } do
      for _, text in ipairs(texts) do
        assert.same({ n = 2, nil, reason }, table.pack(tokens:verify(text)), text)
      end
    end
    assert.same({ n = 2, nil, "a token is missing" }, table.pack(tokens:verify(nil)))
  end)

  it("is found wherever a browser can put it", function()
    for where, req in pairs {
      header = { headers = { authorization = "Bearer a.b.c" } },
      query = { query = { Authorization = "Bearer a.b.c" } },
      parameter = { query = { token = "a.b.c" } },
      path = { params = { token = "a.b.c" } },
    } do
      assert.same({ n = 1, "a.b.c" }, table.pack(token.of(request(req))), where)
    end
    assert.same({ "a.b.c", "Bearera.b.c" }, { token.of(request { protocols = { "chat", "Bearera.b.c" } }) })
    assert.is_nil((token.of(request {})))
    assert.is_nil((token.of(request { headers = { authorization = "Basic YTpi" } })))
  end)
end)

describe("the secret of tokens", function()
  it("is made once, for its owner only, and kept", function()
    local directory = async.directory()
    local path = directory .. "/secret.key"
    local text = token.signer(directory):sign({ sub = "ada" }, 60)
    assert.equal("rw-------", lfs.attributes(path, "permissions"))
    assert.equal(32, lfs.attributes(path, "size"))
    assert.equal("ada", token.signer(directory):verify(text).sub)
  end)

  it("must not be a short one, nor out of reach", function()
    local directory = async.directory()
    local file <close> = assert(io.open(directory .. "/secret.key", "wb"))
    file:write "password"
    file:flush()
    assert.error_matches(function()
      token.signer(directory)
    end, "the secret in .*secret%.key is shorter than 32 bytes")
    assert.error_matches(function()
      token.signer(directory .. "/nowhere")
    end, "ENOENT")
  end)
end)
