-- download.lua - one try to download one picture into a file.
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"

local M = {}

local MAX_BYTES = 16 << 20
-- What pages of ours show. No SVG: that is a document, whose scripts would run as ours.
local TYPES = {}
for name in ("png jpeg gif webp bmp avif"):gmatch "%l+" do
  TYPES["image/" .. name] = true
end
-- Codes of fetch with which it is no use to ask again.
local LASTING = { url = true, malformed = true, redirects = true, too_large = true, tls = true }
local STOPPED = {}

-- What is wrong with an answer, if anything is, and whether that will last.
local function judge(response, kind)
  local status = response.status
  if status < 200 or status > 299 then
    return ("%d %s"):format(status, response.reason), status < 500 and status ~= 408 and status ~= 429
  elseif not TYPES[kind] then
    return "no picture but " .. kind, true
  end
end

---@param url string
---@param path string where it goes; nothing is left there unless it was downloaded
---@param timeout number seconds
---@param progress fun(received: integer, total: integer?): boolean whether it is to go on
---@return string? kind its media type, such as "image/png"
---@return string? problem "" when `progress` stopped it
---@return boolean? is_lasting whether it is no use to try again
function M.try(url, path, timeout, progress)
  local ok, response, message, code = pcall(moonwire.fetch, url, {
    file = path,
    timeout = timeout,
    max_bytes = MAX_BYTES,
    progress = function(received, total)
      if not progress(received, total) then
        error(STOPPED) -- this ends a fetch
      end
    end,
  })
  if response == STOPPED then
    return nil, "", true
  end
  assert(ok, response)
  if not response then
    return nil, message, LASTING[code] or false
  end
  local kind = (response.headers["content-type"] or "nothing"):lower():match "^[^;%s]*"
  local problem, is_lasting = judge(response, kind)
  if problem then
    os.remove(path)
    return nil, problem, is_lasting
  end
  return kind
end

return M
