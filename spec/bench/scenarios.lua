-- scenarios.lua - what is measured, in the order of the table. The fields are options of `moonwire bench`, see there.
-- `path` is / unless it is said: servers may tell echo from fan-out by it, or by the first byte, which is P in fan-out.
-- `is_fresh`: each run gets a new server, as memory that was used once is not given back at once.
-- SPDX-License-Identifier: MIT

return {
  { name = "echo-1", mode = "echo", connections = 1, depth = 1, size = 64 },
  { name = "echo-64", mode = "echo", connections = 64, depth = 1, size = 64 },
  { name = "echo-1000", mode = "echo", connections = 1000, depth = 1, size = 64 },
  { name = "echo-64-deep", mode = "echo", connections = 64, depth = 16, size = 64 },
  { name = "echo-64-16k", mode = "echo", connections = 64, depth = 1, size = 16384 },
  { name = "fanout-1000", mode = "fanout", path = "/fanout", connections = 1000, depth = 1, size = 128 },
  { name = "fanout-1000-4", mode = "fanout", path = "/fanout", connections = 1000, depth = 4, size = 128 },
  { name = "idle-10000", mode = "idle", connections = 10000, is_fresh = true },
  { name = "connect", mode = "connect", connections = 64 },
}
