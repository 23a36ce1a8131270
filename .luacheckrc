-- What luacheck holds against the Lua files; `make check` runs it.
std = "lua54"
max_line_length = 120
max_comment_line_length = 130
unused_args = false -- handlers take what they are given
cache = false
exclude_files = { "spec/node_modules" }

-- busted's words; tables of cases have one row a line.
files["spec"] = { std = "+busted", max_line_length = 130 }

-- Declarations: functions without bodies, locals that only carry a type.
files["lua/moonwire/meta"] = { ignore = { "211", "212", "221", "241" } }
