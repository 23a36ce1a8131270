---@meta
-- http_date.lua - declarations of `require "moonwire.http_date"`.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.http_date
local http_date = {}

---Write a date the one way HTTP wants it: "Sun, 06 Nov 1994 08:49:37 GMT".
---@param time number seconds since 1970
---@return string
function http_date.format(time) end

---The current date.
---@return string
function http_date.now() end

---Read a date in any of the three forms of HTTP.
---@param text string
---@return integer? time seconds since 1970; nil when it is not a date
function http_date.parse(text) end

return http_date
