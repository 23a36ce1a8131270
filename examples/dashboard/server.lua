-- server.lua - a wall of live charts that all windows share, a home page, and the data behind them over HTTP.
--
--   moonwire examples/dashboard/server.lua [port] [host] [data port] [seconds between two pushes, 0: none]
--
-- The pages and their WebSockets (screen.lua, home.lua) are on one port, the data interface (middleware.lua) on another:
-- 8080 and 8888, or any free ones when the first is 0.
-- SPDX-License-Identifier: MIT

local moonwire = require "moonwire"

local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. package.path

local figures = require("figures").read(here .. "/data")
local middleware = require "middleware"

local CHARTJS = os.getenv "CHARTJS" or "/usr/share/javascript/chart.js"
if not io.open(CHARTJS .. "/chart.min.js") then
  error(("no Chart.js in %s: install Debian's libjs-chart.js, or name its directory in CHARTJS"):format(CHARTJS), 0)
end

local port, host = arg[1] or "8080", arg[2] or "127.0.0.1"
local pages, data = moonwire.app(), moonwire.app()
local screen, push_screens = require("screen").new(pages, figures)
local home, push_homes = require("home").new(pages, figures)

pages:ws("/", screen)
pages:ws("/home", home)
pages:static("/", here .. "/public")
pages:static("/common", here .. "/../common")
pages:static("/lib", CHARTJS)

data:use(middleware.duration)
data:use(middleware.headers)
data:use(middleware.data(figures))

local pause = assert(tonumber(arg[4] or 2), "the seconds between two pushes must be a number")
if pause > 0 then
  moonwire.every(pause, function()
    figures:step()
    push_screens()
    push_homes()
  end)
end

local address = assert(pages:listen { host = host, port = port }):address()
print(("The dashboard is at http://%s:%d/"):format(address.host, address.port))
address = assert(data:listen { host = host, port = arg[3] or (port == "0" and 0 or 8888) }):address()
print(("Its data are at http://%s:%d/api/trend"):format(address.host, address.port))
