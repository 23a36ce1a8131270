-- static.lua - files over HTTP: whole, in part, or "you have it already".
-- Owns the descriptor of each file while it is being sent. A file leaves only if its real path, symbolic links
-- followed, lies inside the directory that was given. Reads in pieces, never faster than the client takes them.
-- SPDX-License-Identifier: MIT

local core = require "moonwire.core"
local fs = require "moonwire.fs"
local http_date = require "moonwire.http_date"
local mime = require "moonwire.mime"
local options = require "moonwire.options"
local router = require "moonwire.router"
local url = require "moonwire.url"
local uv = require "luv"

local M = {}

local PIECE_SIZE = 65536
-- A FIFO must not hold a thread of the pool until somebody writes to it.
local OPEN_FLAGS = uv.constants.O_RDONLY | uv.constants.O_NONBLOCK

-- Codes that say nothing about the file: it may well be there.
M.SHORTAGES = { ENOMEM = true, EMFILE = true, ENFILE = true }

local YEAR = 31536000
local MOUNT_OPTIONS = {
  index = options.either("a file name or false", options.string, options.off),
  max_age = options.seconds(0, YEAR),
  dotfiles = options.boolean,
}
local FILE_OPTIONS = { type = options.string, max_age = options.seconds(0, YEAR) }

---A strong validator: it changes whenever the file is replaced or written to.
---@param stat table luv's
---@return string etag
---@return integer modified seconds, as Last-Modified tells it
function M.validators(stat)
  local mtime = stat.mtime
  return ('"%x-%x-%x"'):format(stat.size, mtime.sec * 1000000000 + mtime.nsec, stat.ino), mtime.sec
end

-- Whether a list of entity tags (If-Match, If-None-Match) has this one.
local function lists_etag(list, etag, is_weak_allowed)
  if list:match("^%s*(.-)%s*$") == "*" then
    return true
  end
  for weak, tag in list:gmatch('(W?/?)("[^"]*")') do
    if tag == etag and (weak == "" or is_weak_allowed) then
      return true
    end
  end
  return false
end

---What the conditions of a request come to, in the order of RFC 9110 §13.2.2.
---@param headers table<string, string> of the request
---@param etag string
---@param modified integer
---@return 304|412|nil status nil: send it
function M.evaluate_conditions(headers, etag, modified)
  local if_match, if_none_match = headers["if-match"], headers["if-none-match"]
  if if_match then
    if not lists_etag(if_match, etag, false) then
      return 412
    end
  elseif headers["if-unmodified-since"] then
    local date = http_date.parse(headers["if-unmodified-since"])
    if date and modified > date then
      return 412
    end
  end
  if if_none_match then
    return lists_etag(if_none_match, etag, true) and 304 or nil
  end
  local date = headers["if-modified-since"] and http_date.parse(headers["if-modified-since"])
  return date and modified <= date and 304 or nil
end

local function to_integer(digits)
  return #digits > 15 and math.maxinteger or math.tointeger(tonumber(digits))
end

---Read a Range header for a representation of `size` bytes.
---@param header? string
---@param size integer
---@return integer|false|nil first nil: no single range, send the whole; false: nothing of it is there (416)
---@return integer? last inclusive
function M.parse_range(header, size)
  local unit, first, last = (header or ""):match("^%s*(%a+)%s*=%s*(%d*)%s*%-%s*(%d*)%s*$")
  if not unit or unit:lower() ~= "bytes" or (first == "" and last == "") then
    return nil
  elseif first == "" then
    local length = to_integer(last)
    if length == 0 then
      return false
    end
    -- The last bytes of nothing can't be told in a Content-Range.
    return size > 0 and math.max(0, size - length) or nil, size - 1
  end
  first = to_integer(first)
  last = last == "" and math.maxinteger or to_integer(last)
  if last < first then
    return nil
  elseif first >= size then
    return false
  end
  return first, math.min(last, size - 1)
end

-- If-Range: a part is only good if it is a part of what the client has.
local function range_applies(headers, etag, modified)
  local if_range = headers["if-range"]
  if not if_range then
    return true
  end
  return if_range == etag or http_date.parse(if_range) == modified
end

-- Set a header unless the handler has its own idea of it.
local function default_header(res, name, value)
  if res.headers[name] == nil then
    res.headers[name] = value
  end
end

-- Read `length` bytes from `offset` and write them as fast as they leave.
local function stream(res, fd, offset, length)
  while length > 0 do
    local data, message, code = fs.read(fd, math.min(length, PIECE_SIZE), offset)
    if not data or data == "" then
      -- Shorter than its head says: ending here makes the client see that.
      if res.sent then
        res:finish()
      end
      return nil, message or "the file became shorter while it was sent", code or "EIO"
    end
    offset, length = offset + #data, length - #data
    local ok, pressure, why = res:write(data)
    if ok and pressure then
      ok, pressure, why = res:drain()
    end
    if not ok then
      return nil, pressure, why
    end
  end
  return res:finish()
end

-- Answer with an open, regular file.
local function send_opened(res, fd, stat, name, settings)
  local request, size = res.request, stat.size
  local etag, modified = M.validators(stat)
  default_header(res, "ETag", etag)
  default_header(res, "Last-Modified", http_date.format(modified))
  local max_age = settings.max_age
  default_header(res, "Cache-Control", max_age and ("public, max-age=%d"):format(max_age // 1 | 0) or "no-cache")
  local first, last = 0, size - 1
  if res.status == 200 then
    local status = M.evaluate_conditions(request.headers, etag, modified)
    if status then
      res.status = status
      return res:send()
    end
    default_header(res, "Accept-Ranges", "bytes")
    if request.method == "GET" and range_applies(request.headers, etag, modified) then
      local from, to = M.parse_range(request.headers.range, size)
      if from == false then
        res.status = 416
        res.headers["Content-Range"] = ("bytes */%d"):format(size)
        return res:send()
      elseif from then
        first, last = from, to
        res.status = 206
        res.headers["Content-Range"] = ("bytes %d-%d/%d"):format(first, last, size)
      end
    end
  end
  default_header(res, "Content-Type", settings.type or mime.of(name))
  default_header(res, "X-Content-Type-Options", "nosniff")
  res.headers["Content-Length"] = last - first + 1
  if request.method == "HEAD" or size == 0 then
    return res:send()
  end
  return stream(res, fd, first, last - first + 1)
end

-- Open a path; `root`, if given, must be where it really is.
local function open(path, root)
  local real, message, code = fs.realpath(path)
  if not real then
    return nil, message, code
  elseif root and real ~= root and real:sub(1, #root + 1) ~= root:gsub("/$", "") .. "/" then
    return nil, "EACCES: the file is outside of the directory: " .. path, "EACCES"
  end
  local fd
  fd, message, code = fs.open(real, OPEN_FLAGS)
  if not fd then
    return nil, message, code
  end
  local stat
  stat, message, code = fs.fstat(fd)
  if not stat then
    fs.close(fd)
    return nil, message, code
  end
  return fd, stat
end

local function close_on_exit(fd)
  return setmetatable({}, {
    __close = function()
      fs.close(fd)
    end,
  })
end

---Answer with the file at `path`, wherever that is. (What `res:file` does.)
---@param res moonwire.Response
---@param path string
---@param file_options? {type: string?, max_age: number?}
---@return true? ok
---@return string? message
---@return string? code
function M.send_file(res, path, file_options)
  options.argument(options.string, path, 1, "file", 3)
  local settings = options.check("res:file", FILE_OPTIONS, file_options, 3)
  local fd, stat, code = open(path)
  if not fd then
    return nil, stat, code
  end
  local _ <close> = close_on_exit(fd)
  if stat.type ~= "file" then
    return nil, "EISDIR: not a regular file: " .. path, "EISDIR"
  end
  return send_opened(res, fd, stat, path, settings)
end

---@class moonwire.static.Mount
---@field prefix string[] segments
---@field root string real path
---@field index string|false
---@field max_age? number
---@field dotfiles boolean

---Prepare a directory. Raises for wrong options and when there is no such directory.
---@param prefix string
---@param directory string
---@param mount_options? table
---@param level? integer as the caller would give it to `error`, 2 by default
---@return moonwire.static.Mount
function M.mount(prefix, directory, mount_options, level)
  level = (level or 2) + 1
  options.argument(options.string, prefix, 1, "static", level)
  options.argument(options.string, directory, 2, "static", level)
  local mount = options.check("static", MOUNT_OPTIONS, mount_options, level)
  mount.prefix = router.parse_prefix(prefix, level)
  local root, message = uv.fs_realpath(directory)
  local stat = root and uv.fs_stat(root)
  if not stat or stat.type ~= "directory" then
    error(("static: %s"):format(message or "not a directory: " .. directory), level)
  end
  mount.root = root
  if mount.index == nil then
    mount.index = "index.html"
  end
  return mount
end

---The path inside a mount that decoded segments stand for.
---@param mount moonwire.static.Mount
---@param segments string[] of the whole request path
---@return string? path nil when nothing there may be served
---@return boolean? wants_directory whether the path ends in "/"
function M.local_path(mount, segments)
  if not router.has_prefix(mount.prefix, segments) then
    return nil
  end
  local parts = { mount.root }
  for i = #mount.prefix + 1, #segments do
    local segment = segments[i]
    local is_last = i == #segments
    if segment == "" then
      return is_last and table.concat(parts, "/") or nil, is_last
    elseif segment:find("[/\\%z]") or segment == "." or segment == ".." then
      return nil
    elseif segment:find("^%.") and not mount.dotfiles then
      return nil
    end
    parts[#parts + 1] = segment
  end
  return table.concat(parts, "/"), false
end

-- "/a b" asked for, "/a b/" is there.
local function redirect_to_slash(request, res)
  local encoded = {}
  for i, segment in ipairs(request.segments) do
    encoded[i] = url.encode(segment)
  end
  local query = request.query_string
  return res:redirect("/" .. table.concat(encoded, "/") .. "/" .. (query ~= "" and "?" .. query or ""), 301)
end

-- A 404 might be kept by clients and caches. False: it is one.
local function fail_for_now(res, message, code)
  if not M.SHORTAGES[code] then
    return false
  end
  core.log("error", message)
  res.status = 503
  res:send "503 Service Unavailable\n"
  return true
end

---Answer from a mount. Waits.
---@param mount moonwire.static.Mount
---@param request moonwire.Request
---@param res moonwire.Response
---@return boolean found when false, nothing was sent
function M.serve(mount, request, res)
  local path, wants_directory = M.local_path(mount, request.segments)
  local fd, stat, code
  if path then
    fd, stat, code = open(path, mount.root)
  end
  if not fd then
    return fail_for_now(res, stat, code)
  elseif stat.type == "directory" then
    fs.close(fd)
    if not mount.index then
      return false
    elseif not wants_directory then
      redirect_to_slash(request, res)
      return true
    end
    path = path .. "/" .. mount.index
    fd, stat, code = open(path, mount.root)
    if not fd then
      return fail_for_now(res, stat, code)
    end
    wants_directory = false
  end
  local _ <close> = close_on_exit(fd)
  if stat.type ~= "file" or wants_directory then
    return false
  elseif request.method ~= "GET" and request.method ~= "HEAD" then
    res.headers["Allow"] = "GET, HEAD, OPTIONS"
    res.status = request.method == "OPTIONS" and 204 or 405
    res:send()
    return true
  end
  send_opened(res, fd, stat, path, mount)
  return true
end

return M
