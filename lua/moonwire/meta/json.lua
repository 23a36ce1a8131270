---@meta
-- json.lua - declarations of `require "moonwire.json"`, which is also `moonwire.json`.
-- SPDX-License-Identifier: MIT
-- luacheck: no unused args

---@class moonwire.json
---@field null lightuserdata JSON's null, in both directions
---@field empty_array table encoded as `[]`, as opposed to `{}`
local json = {}

---Write a value as JSON text. Integers are exact; other numbers have 14 digits. A table is an array when all its keys are
---positive integers; an empty one is an object unless marked. Raises for NaN, functions, tables that contain themselves, a
---nesting of more than 128, and arrays with many holes.
---@param value any
---@return string text
function json.encode(value) end

---Read JSON text. Numbers without a fraction become integers. `[]` and `{}` both become an empty table.
---@param text string
---@return any value
---@return string? message
---@return "json"? code
function json.decode(text) end

---Mark a table as an array, so that it is `[]` while it is empty.
---```lua
---json.encode { users = json.array() } --> {"users":[]}
---```
---@generic T: table
---@param t? T
---@return T t the same table, or a new one
function json.array(t) end

return json
