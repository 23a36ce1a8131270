---@meta
-- time.lua - declarations: what `moonwire.after` and `moonwire.every` return.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.Timer
local Timer = {}

---Don't call the function any more. Calling this twice, or late, is fine.
---```lua
---local timer = moonwire.after(30, function() ws:close(1000, "too slow") end)
---timer:cancel()
---```
---@return boolean pending whether the function would have been called (again)
function Timer:cancel() end

return Timer
