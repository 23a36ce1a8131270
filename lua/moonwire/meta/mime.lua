---@meta
-- mime.lua - declarations of `require "moonwire.mime"`.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.mime
---@field DEFAULT string "application/octet-stream"
---@field types table<string, string> by lower-case ending; add your own
local mime = {}

---The type of a file, or of an ending given alone.
---@param name string "logo.PNG", "a/b/page.html", or just "html"
---@return string type `DEFAULT` when the ending is unknown
function mime.of(name) end

return mime
