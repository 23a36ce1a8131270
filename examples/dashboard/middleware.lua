-- middleware.lua - the data interface, one small function for each thing that every answer needs.
-- SPDX-License-Identifier: MIT

local uv = require "luv"

local M = {}

---How long the answer took, in whole milliseconds.
function M.duration(_, res, next)
  local start = uv.hrtime()
  res:before_send(function()
    res.headers["X-Response-Time"] = ("%dms"):format((uv.hrtime() - start) // 1000000)
  end)
  next()
end

---JSON for pages of every origin.
function M.headers(req, res, next)
  res.headers["Content-Type"] = "application/json; charset=utf-8"
  res.headers["Access-Control-Allow-Origin"] = "*"
  res.headers["Access-Control-Allow-Methods"] = "OPTIONS, GET, PUT, POST, DELETE"
  if req.method == "OPTIONS" then -- a browser that asks first (a preflight)
    res.status = 204
    return res:send()
  end
  next()
end

---The figures of /api/NAME. Only names that are known are ever looked up, so no path leads anywhere else.
---@param figures dashboard.Figures
function M.data(figures)
  return function(req, res)
    local text = figures.texts[req.path:match "^/api/(%a+)$"]
    if text and (req.method == "GET" or req.method == "HEAD") then
      return res:send(text)
    end
    res.status = 404
    res:send '{"message":"no such data; under /api are trend, seller, map, rank, hot and stock","status":404}'
  end
end

return M
