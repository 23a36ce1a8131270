-- router.lua - which route answers a method and a path.
-- Owns a tree with one level per path segment. At every level a fixed segment wins over a parameter, a parameter over a
-- wildcard; a branch that turns out to have no route for the method is left again. Pure, knows no request.
-- SPDX-License-Identifier: MIT

local url = require "moonwire.url"

local M = {}

---The pseudo-method of WebSocket routes, which no request can carry.
M.WEBSOCKET = "websocket"
---The pseudo-method of routes that take every method.
M.ANY = "any"

---@class moonwire.Route
---@field pattern string
---@field method string
---@field value any whatever was given to `add`
---@field names string[] of the parameters, in the order of the pattern
---@field label string for log lines: "GET /api/:name"

---@class moonwire.Router
local Router = {}
Router.__index = Router

---@return moonwire.Router
function M.new()
  return setmetatable({ root = {}, literals = {} }, Router)
end

-- The segments of a pattern as { kind =, text = }. Raises for patterns that can't be meant, at the caller's `level`.
local function parse_pattern(pattern, level)
  local function fail(reason)
    error(("route pattern '%s': %s"):format(pattern, reason), level + 2)
  end
  if not pattern:find("^/") then
    fail "must start with '/'"
  elseif pattern:find("[?#]") then
    fail "must not contain a query or a fragment; read req.query in the handler"
  end
  local segments, names, seen = {}, {}, {}
  for text in pattern:gmatch("/([^/]*)") do
    local previous = segments[#segments]
    if previous and previous.kind == "wildcard" then
      fail "a wildcard can only be the last segment"
    end
    local kind, name = "fixed", nil
    if text:find("^:") then
      kind, name = "param", text:sub(2)
    elseif text:find("^%*") then
      kind, name = "wildcard", text == "*" and "*" or text:sub(2)
    elseif text == "." or text == ".." then
      fail "'.' and '..' are resolved before routes are looked up"
    end
    if name then
      if name ~= "*" and not name:find("^[%a_][%w_]*$") then
        fail(("'%s' is no parameter name (letters, digits and '_')"):format(name))
      elseif seen[name] then
        fail(("the parameter '%s' is there twice"):format(name))
      end
      seen[name] = true
      names[#names + 1] = name
    elseif text:find("%", 1, true) then
      text = url.decode(text) or fail "malformed percent-encoding"
    end
    segments[#segments + 1] = { kind = kind, text = text }
  end
  return segments, names
end

---Check a pattern and tell the names of its parameters.
---@param pattern string
---@param level? integer as the caller would give it to `error`
---@return string[] names
function M.check_pattern(pattern, level)
  local _, names = parse_pattern(pattern, (level or 2) + 1)
  return names
end

---The parameters in a path that matches a pattern.
---@param pattern string
---@param path string[] its segments
---@return table<string, string>
function M.params(pattern, path)
  local params = {}
  for i, segment in ipairs((parse_pattern(pattern, 1))) do
    if segment.kind == "param" then
      params[segment.text:sub(2)] = path[i]
    elseif segment.kind == "wildcard" then
      params[segment.text == "*" and "*" or segment.text:sub(2)] = table.concat(path, "/", i)
    end
  end
  return params
end

local function child(node, segment)
  if segment.kind == "fixed" then
    node.fixed = node.fixed or {}
    node.fixed[segment.text] = node.fixed[segment.text] or {}
    return node.fixed[segment.text]
  end
  node[segment.kind] = node[segment.kind] or {}
  return node[segment.kind]
end

---Add a route. Raises when the pattern is malformed or the same method and shape of path is there already.
---@param method string in capitals, or `router.ANY`, `router.WEBSOCKET`
---@param pattern string "/chat/:room", "/files/*path"
---@param value any
---@param level? integer as the caller would give it to `error`
---@return moonwire.Route
function Router:add(method, pattern, value, level)
  level = (level or 2) + 1
  local segments, names = parse_pattern(pattern, level)
  local node = self.root
  for _, segment in ipairs(segments) do
    node = child(node, segment)
  end
  node.routes = node.routes or {}
  local existing = node.routes[method]
  if existing then
    error(("the route %s %s is there already, as '%s'"):format(method, pattern, existing.pattern), level)
  end
  local route = { method = method, pattern = pattern, names = names, value = value, label = method .. " " .. pattern }
  node.routes[method] = route
  if #names == 0 and not pattern:find("%", 1, true) then
    self.literals[method] = self.literals[method] or {}
    self.literals[method][pattern] = route
  end
  return route
end

---The route whose pattern is the very target of a request, without having to take that apart. A fixed segment wins over all
---others, so no other route can be meant.
---@param method string
---@param target string
---@return moonwire.Route?
function Router:literal(method, target)
  local routes = self.literals[method]
  return routes and routes[target]
end

-- The route of a node for a method. HEAD is answered by GET (whose body is then left out).
local function pick(routes, method)
  local route = routes[method]
  if route or method == M.WEBSOCKET then
    return route
  end
  return method == "HEAD" and routes.GET or routes[M.ANY]
end

local function walk(node, segments, index, captures, search)
  local segment = segments[index]
  local found
  if segment == nil then
    local routes = node.routes
    if routes then
      found = pick(routes, search.method)
      if not found then
        search.misses[#search.misses + 1] = routes
      end
    end
    return found
  end
  local fixed = node.fixed and node.fixed[segment]
  found = fixed and walk(fixed, segments, index + 1, captures, search)
  if found then
    return found
  end
  if node.param and segment ~= "" then
    local depth = #captures + 1
    captures[depth] = segment
    found = walk(node.param, segments, index + 1, captures, search)
    if found then
      return found
    end
    captures[depth] = nil
  end
  if node.wildcard then
    found = pick(node.wildcard.routes, search.method)
    if found then
      captures[#captures + 1] = table.concat(segments, "/", index)
    else
      search.misses[#search.misses + 1] = node.wildcard.routes
    end
  end
  return found
end

-- What the paths that matched would have allowed, as an Allow header has it.
local function allowed_methods(misses)
  local seen, list, websocket = {}, {}, false
  for _, routes in ipairs(misses) do
    for method in pairs(routes) do
      if method == M.WEBSOCKET then
        websocket = true
      elseif method ~= M.ANY then
        seen[method] = true
      end
    end
  end
  if seen.GET then
    seen.HEAD = true
  end
  if next(seen) then
    seen.OPTIONS = true
  end
  for method in pairs(seen) do
    list[#list + 1] = method
  end
  table.sort(list)
  return list, websocket
end

---Look a path up.
---@param method string
---@param segments string[] decoded, from `url.split_path`
---@return moonwire.Route? route
---@return table<string, string>|string[] found the parameters; without a route, the methods that the path has
---@return boolean? websocket without a route: whether the path has a WebSocket route
function Router:find(method, segments)
  local captures, search = {}, { method = method, misses = {} }
  local route = walk(self.root, segments, 1, captures, search)
  if not route then
    return nil, allowed_methods(search.misses)
  end
  local params = {}
  for i, name in ipairs(route.names) do
    params[name] = captures[i]
  end
  return route, params
end

---True when `segments` begin with `prefix`: how middleware and static mounts match.
---@param prefix string[]
---@param segments string[]
---@return boolean
function M.has_prefix(prefix, segments)
  for i, segment in ipairs(prefix) do
    if segments[i] ~= segment then
      return false
    end
  end
  return true
end

---The segments of a mount point; "/" and "/a/" are the same as "" and "/a".
---@param prefix string
---@param level? integer as the caller would give it to `error`
---@return string[]
function M.parse_prefix(prefix, level)
  level = (level or 2) + 1
  local segments, names = parse_pattern(prefix, level)
  if #names > 0 then
    error(("the path '%s' must not have parameters"):format(prefix), level)
  end
  local list = {}
  for i, segment in ipairs(segments) do
    list[i] = segment.text
  end
  if list[#list] == "" then
    list[#list] = nil
  end
  return list
end

return M
