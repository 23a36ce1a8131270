-- mime.lua - the media type of a file, by the end of its name.
-- Owns one table. Text is said to be UTF-8, because nothing else is written today.
-- SPDX-License-Identifier: MIT

local M = {}

M.DEFAULT = "application/octet-stream"

local UTF8 = "; charset=utf-8"

---Types by lower-case ending; a script may add its own.
---@type table<string, string>
M.types = {
  -- text
  html = "text/html" .. UTF8,
  htm = "text/html" .. UTF8,
  css = "text/css" .. UTF8,
  js = "text/javascript" .. UTF8,
  mjs = "text/javascript" .. UTF8,
  txt = "text/plain" .. UTF8,
  text = "text/plain" .. UTF8,
  log = "text/plain" .. UTF8,
  lua = "text/plain" .. UTF8,
  md = "text/markdown" .. UTF8,
  csv = "text/csv" .. UTF8,
  tsv = "text/tab-separated-values" .. UTF8,
  ics = "text/calendar" .. UTF8,
  vtt = "text/vtt" .. UTF8,
  xml = "text/xml" .. UTF8,
  yaml = "application/yaml" .. UTF8,
  yml = "application/yaml" .. UTF8,
  -- data
  json = "application/json" .. UTF8,
  map = "application/json" .. UTF8,
  geojson = "application/geo+json" .. UTF8,
  jsonl = "application/jsonl" .. UTF8,
  webmanifest = "application/manifest+json" .. UTF8,
  xhtml = "application/xhtml+xml" .. UTF8,
  atom = "application/atom+xml" .. UTF8,
  rss = "application/rss+xml" .. UTF8,
  wasm = "application/wasm",
  pdf = "application/pdf",
  rtf = "application/rtf",
  epub = "application/epub+zip",
  -- archives
  zip = "application/zip",
  gz = "application/gzip",
  tgz = "application/gzip",
  bz2 = "application/x-bzip2",
  xz = "application/x-xz",
  zst = "application/zstd",
  tar = "application/x-tar",
  ["7z"] = "application/x-7z-compressed",
  -- pictures
  png = "image/png",
  apng = "image/apng",
  jpg = "image/jpeg",
  jpeg = "image/jpeg",
  gif = "image/gif",
  webp = "image/webp",
  avif = "image/avif",
  bmp = "image/bmp",
  ico = "image/x-icon",
  svg = "image/svg+xml" .. UTF8,
  tif = "image/tiff",
  tiff = "image/tiff",
  -- sound and film
  mp3 = "audio/mpeg",
  m4a = "audio/mp4",
  aac = "audio/aac",
  ogg = "audio/ogg",
  oga = "audio/ogg",
  opus = "audio/ogg",
  flac = "audio/flac",
  wav = "audio/wav",
  weba = "audio/webm",
  mp4 = "video/mp4",
  m4v = "video/mp4",
  webm = "video/webm",
  ogv = "video/ogg",
  mov = "video/quicktime",
  -- fonts
  woff = "font/woff",
  woff2 = "font/woff2",
  ttf = "font/ttf",
  otf = "font/otf",
}

---The type of a file, or of an ending given alone.
---@param name string "logo.PNG", "a/b/page.html", or just "html"
---@return string type `mime.DEFAULT` when the ending is unknown
function M.of(name)
  local base = name:match("[^/]*$")
  local ending = base:match("%.([^%.]*)$")
  if not ending and base == name then
    ending = base
  end
  return M.types[(ending or ""):lower()] or M.DEFAULT
end

return M
