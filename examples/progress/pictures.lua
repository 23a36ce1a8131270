-- pictures.lua - a small picture server: moons over a hill, no two alike, sent in pieces, and now and then a failure.
-- Stands in for the servers that pictures come from. An app of its own, on a port of its own.
--
--   GET /pictures/N   picture N. Every eighth doesn't tell its length
--   GET /count        how often it was asked, how many pictures left whole, and their bytes
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"

local M = {}

local WIDTH, HEIGHT, PIECES = 160, 120, 8
local HILL, MOON = string.pack("BBB", 38, 26, 20), string.pack("BBB", 176, 232, 250) -- blue, green, red
local RADIUS, CENTRE_X, CENTRE_Y = 34, 92, 74

---A BMP file: 24 bits a pixel, the lowest row first.
---@param number integer
---@return string
function M.draw(number)
  local phase = 0.95 * math.cos(number * 0.37) -- a crescent at least
  local rows = {}
  for y = 0, HEIGHT - 1 do
    local light = y // 2 + number * 29 % 60
    local sky = string.pack("BBB", 60 + light, 30 + light // 2, 24 + number * 47 % 50 + light // 3)
    local half = math.sqrt(math.max(0, RADIUS ^ 2 - (y - CENTRE_Y) ^ 2))
    local left, right = math.floor(CENTRE_X + half * phase), math.floor(CENTRE_X + half)
    local hill = math.max(0, math.floor(WIDTH * (1 - y / (18 + number % 5 * 4))))
    left, right = math.max(left, hill), math.max(right, hill)
    rows[y + 1] = HILL:rep(hill) .. sky:rep(left - hill) .. MOON:rep(right - left) .. sky:rep(WIDTH - right)
  end
  local pixels = table.concat(rows)
  return string.pack("<c2I4I4I4 I4i4i4I2I2I4I4i4i4I4I4", "BM", 54 + #pixels, 0, 54,
    40, WIDTH, HEIGHT, 1, 24, 0, #pixels, 2835, 2835, 0, 0) .. pixels
end

-- What goes wrong, one after the other.
local failures = {
  function(res)
    res.status = 500
    res:send "the painter has dropped the brush\n"
  end,
  function(res, picture) -- less than it has promised: the connection is cut
    res.headers["Content-Length"] = #picture
    res:write(picture:sub(1, #picture // 2))
  end,
  function(res)
    res.status = 404
    res:send "there is no such picture\n"
  end,
}

---Start it on a free port of this machine.
---@param failing number share of the requests that fail, from 0 to 1
---@param slow number seconds between two pieces of a picture
---@return string url to which the number of a picture is appended
function M.serve(failing, slow)
  local app = moonwire.app()
  local count = { requests = 0, failed = 0, whole = 0, bytes = 0 }

  app:get("/pictures/:number", function(req, res)
    local number = math.tointeger(req.params.number) or 0
    local picture = M.draw(number)
    res.headers["Content-Type"] = "image/bmp"
    count.requests = count.requests + 1
    if count.failed < math.floor(count.requests * failing) then
      count.failed = count.failed + 1
      return failures[count.failed % #failures + 1](res, picture)
    end
    if number % 8 ~= 0 then
      res.headers["Content-Length"] = #picture
    end
    local size = #picture // PIECES + 1
    for at = 1, #picture, size do
      moonwire.sleep(slow * (0.5 + number * 7 % 11 / 10))
      if not res:write(picture:sub(at, at + size - 1)) then
        return
      end
    end
    count.whole, count.bytes = count.whole + 1, count.bytes + #picture
  end)

  app:get("/count", function(_, res)
    res:json(count)
  end)

  local listener = assert(app:listen { host = "127.0.0.1", port = 0 })
  return ("http://127.0.0.1:%d/pictures/"):format(listener:address().port)
end

return M
