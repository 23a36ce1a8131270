-- source.lua - where the pictures come from: the URLs of the command line or, without any, a picture server of its own.
-- SPDX-License-Identifier: MIT

local pictures = require "pictures"

local M = {}

local MOST_MOONS = 500

---Sort what the command line says: URLs, settings, and the rest in its order.
---@param arguments string[]
---@param settings table<string, number> those there are, with their defaults; changed
---@return {most: integer, list: fun(count: integer), url: string?} source `most`: how many can be asked for
---@return string[] rest
function M.read(arguments, settings)
  local urls, rest = {}, {}
  for _, argument in ipairs(arguments) do
    local name, value = argument:match "^(%l+)=([%d.]+)$"
    if argument:find("://", 1, true) then
      table.insert(urls, argument)
    elseif settings[name] then
      settings[name] = tonumber(value)
    else
      table.insert(rest, argument)
    end
  end
  return urls[1] and M.of_urls(urls) or M.of_moons(settings), rest
end

-- Only these are ever asked for. If a page could name a URL, anybody could make this machine fetch what only this
-- machine can reach.
function M.of_urls(urls)
  local names = {}
  for i, url in ipairs(urls) do
    local name = url:gsub("[?#].*", ""):match "([^/@]+)/*$"
    names[i] = name and utf8.len(name) and name or "picture " .. i
  end
  local function list(count)
    local files = {}
    for i = 1, count do
      files[i] = { name = names[i], url = urls[i] }
    end
    return files
  end
  return { most = #urls, list = list }
end

function M.of_moons(settings)
  local url = pictures.serve(settings.failing, settings.slow)
  local function list(count)
    local files = {}
    for i = 1, count do
      files[i] = { name = "moon " .. i, url = url .. i }
    end
    return files
  end
  return { most = MOST_MOONS, list = list, url = url }
end

return M
