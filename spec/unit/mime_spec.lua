local mime = require "moonwire.mime"

describe("mime.of", function()
  for _, case in ipairs {
    { "index.html", "text/html; charset=utf-8" },
    { "INDEX.HTML", "text/html; charset=utf-8" },
    { "a/b.c/app.js", "text/javascript; charset=utf-8" },
    { "style.min.css", "text/css; charset=utf-8" },
    { "data.json", "application/json; charset=utf-8" },
    { "logo.svg", "image/svg+xml; charset=utf-8" },
    { "logo.png", "image/png" },
    { "font.woff2", "font/woff2" },
    { "module.wasm", "application/wasm" },
    { "html", "text/html; charset=utf-8" },
    { "dir/html", "application/octet-stream" },
    { "dir.html/file", "application/octet-stream" },
    { "unknown.xyz", "application/octet-stream" },
    { "Makefile", "application/octet-stream" },
    { "trailing.", "application/octet-stream" },
    { "", "application/octet-stream" },
  } do
    it("knows " .. case[1], function()
      assert.equal(case[2], mime.of(case[1]))
    end)
  end

  it("says the encoding of every kind of text, and of nothing binary", function()
    for ending, kind in pairs(mime.types) do
      assert.matches("^[%w%-]+/[%w%-%+%.]+", kind)
      assert.equal(ending:lower(), ending)
      if kind:find("^text/") then
        assert.matches("; charset=utf%-8$", kind)
      elseif kind:find("^image/[^s]") or kind:find("^audio/") or kind:find("^video/") or kind:find("^font/") then
        assert.not_matches("charset", kind)
      end
    end
  end)
end)
