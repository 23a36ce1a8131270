-- coroutine_spec.lua - moonwire puts functions of its own in the place of coroutine.resume, wrap and close: nobody may notice.
-- Each case is run with them and with those of the Lua that is linked, and must give the same.
-- SPDX-License-Identifier: MIT

-- The library as Lua made it: the program exports Lua's functions.
local original = assert(package.loadlib("", "luaopen_coroutine"))()

local MANY = 450000 -- fit on a stack twice, not three times

local function numbers(n)
  local list = {}
  for i = 1, n do
    list[i] = i
  end
  return list
end

local function closing(log, name, fault)
  return setmetatable({}, {
    __close = function(_, err)
      log[#log + 1] = name .. ": " .. tostring(err)
      if fault then
        error(fault, 0)
      end
    end,
  })
end

local CASES = {
  {
    "values in and out",
    function(co)
      local thread = co.create(function(...)
        local got = table.pack(...)
        local again = table.pack(co.yield(got.n, ...))
        return again.n, nil, again[2]
      end)
      local log = { co.resume(thread, 1, nil, nil) }
      table.insert(log, table.pack(co.resume(thread, nil, "x", nil)))
      return log, co.status(thread), co.resume(thread, 1, 2)
    end,
  },
  {
    "no values",
    function(co)
      local thread = co.create(function()
        co.yield()
      end)
      return select("#", co.resume(thread)), select("#", co.resume(thread)), co.resume(thread)
    end,
  },
  {
    "arguments of the wrong kind",
    function(co)
      return { pcall(co.resume) },
        { pcall(co.resume, 1) },
        { pcall(co.resume, print) },
        { pcall(co.wrap) },
        { pcall(co.wrap, {}) },
        { pcall(co.wrap, setmetatable({}, { __call = print })) },
        { pcall(co.close) },
        { pcall(co.close, "x") }
    end,
  },
  {
    "names in messages",
    function(co)
      local resume, wrap, close = co.resume, co.wrap, co.close
      return pcall(function()
        return {
          pcall(function()
            resume(nil)
          end),
        }, {
          pcall(function()
            co.wrap(nil)
          end),
        }, {
          pcall(function()
            close(true)
          end),
        }, {
          pcall(function()
            wrap "x"
          end),
        }
      end)
    end,
  },
  {
    "C functions as bodies",
    function(co)
      return { co.resume(co.create(math.max), 1, 3, 2) }, co.wrap(string.rep)("ab", 2), { co.resume(co.create(error), "x") },
        { pcall(co.wrap(error), "x", 0) }, { pcall(co.wrap(error)) }, { co.resume(co.create(co.yield), 1, 2) }
    end,
  },
  {
    "itself, and the one that resumed it",
    function(co)
      local outer
      outer = co.create(function()
        local own = { co.resume((co.running())) }
        local inner = co.create(function()
          return { co.resume(outer) }, { pcall(co.close, outer) }, co.status(outer)
        end)
        return own, { pcall(co.close, (co.running())) }, co.resume(inner)
      end)
      return co.resume(outer)
    end,
  },
  {
    "a wrapped one that calls itself",
    function(co)
      local f
      f = co.wrap(function()
        return pcall(f)
      end)
      return f()
    end,
  },
  {
    "the main state",
    function(co)
      return co.resume(co.create(function()
        return co.isyieldable(), select(2, co.running())
      end))
    end,
  },
  {
    "dead ones",
    function(co)
      local thread = co.create(function() end)
      local f = co.wrap(function() end)
      f()
      co.resume(thread)
      local failed = co.create(error)
      co.resume(failed, "x")
      return { co.resume(thread) }, { pcall(f) }, { pcall(f) }, { co.resume(failed) }, { co.resume(failed) }, co.status(failed)
    end,
  },
  {
    "errors that are no strings",
    function(co)
      local object = { "object" }
      local results = {}
      for i, fault in ipairs { object, 12, true, "text" } do
        local resumed = { co.resume(co.create(error), fault) }
        local wrapped = { pcall(co.wrap(error), fault) }
        results[i] = { resumed, wrapped, resumed[2] == fault, wrapped[2] == fault }
      end
      return results, { co.resume(co.create(error), nil) }, { pcall(co.wrap(error), nil) }
    end,
  },
  {
    "an error through several wraps gets each one's place",
    function(co)
      local function deep(n)
        if n == 0 then
          error "at the bottom"
        end
        co.wrap(deep)(n - 1)
      end
      return pcall(deep, 4)
    end,
  },
  {
    "a wrapped one that failed stays dead",
    function(co)
      local f = co.wrap(function()
        co.yield(1)
        error "once"
      end)
      return f(), { pcall(f) }, { pcall(f) }, { pcall(f) }
    end,
  },
  {
    "tables that are closed",
    function(co)
      local log = {}
      local function body(fault)
        local _ <close> = closing(log, "a")
        local _ <close> = closing(log, "b", fault)
        co.yield(1)
        error "in the body"
      end
      local results = {}
      for _, fault in ipairs { false, "in b" } do
        local f = co.wrap(body)
        table.insert(results, { f(fault), pcall(f) })
        local thread = co.create(body)
        co.resume(thread, fault)
        table.insert(results, { co.close(thread) })
        table.insert(results, { co.status(thread), co.close(thread) })
        thread = co.create(body)
        co.resume(thread, fault)
        table.insert(results, { co.resume(thread) })
        table.insert(results, { co.status(thread), co.close(thread) })
        table.insert(results, { co.status(thread), co.close(thread) })
      end
      return results, log
    end,
  },
  {
    "one that closes while another is closed",
    function(co)
      local log = {}
      local function nested(n)
        local _ <close> = setmetatable({}, {
          __close = function(_, err)
            log[#log + 1] = n .. tostring(err)
            if n > 0 then
              local thread = co.create(nested)
              co.resume(thread, n - 1)
              log[#log + 1] = table.pack(co.close(thread))
              log[#log + 1] = table.pack(pcall(co.wrap(function()
                local _ <close> = closing(log, "b" .. n, "fault " .. n)
                error("body " .. n)
              end)))
            end
          end,
        })
        co.yield()
      end
      local thread = co.create(nested)
      co.resume(thread, 3)
      return co.close(thread), log
    end,
  },
  {
    "what was never started",
    function(co)
      local thread = co.create(print)
      return co.status(thread), co.close(thread), co.status(thread), co.resume(thread)
    end,
  },
  {
    "waiting inside of pcall, of metamethods and of iterators",
    function(co)
      local log = {}
      local object = setmetatable({}, {
        __add = function(_, n)
          return co.yield(n)
        end,
        __index = function(_, name)
          return co.yield(name)
        end,
      })
      local f = co.wrap(function()
        log[1] = table.pack(pcall(function()
          return object + 1, object.name
        end))
        for n in co.wrap(function()
          for i = 1, 3 do
            co.yield(i)
          end
        end) do
          co.yield("from " .. n)
        end
        return "over"
      end)
      for i = 1, 6 do
        log[#log + 1] = f(i)
      end
      return log
    end,
  },
  {
    "where it can't wait",
    function(co)
      return co.resume(co.create(function()
        return {
          pcall(table.sort, { 3, 2, 1 }, function()
            co.yield()
          end),
        }, {
          pcall(string.gsub, "abc", ".", function()
            co.yield()
          end),
        }
      end))
    end,
  },
  {
    "too much to hand over",
    function(co)
      local list = numbers(MANY)
      local give = co.wrap(function()
        co.yield()
        co.yield(table.unpack(list))
        return "still here"
      end)
      give()
      local thread = co.create(function(...)
        co.yield()
        co.yield(table.unpack(list))
        return "still here"
      end)
      co.resume(thread)
      local results = {
        (function(...)
          local first, second = { pcall(give) }, { co.resume(thread) }
          return first, second, select("#", ...)
        end)(table.unpack(list)),
      }
      table.insert(results, { pcall(give) })
      table.insert(results, { co.resume(thread) })
      local function deep(...)
        local _ = { ... }
        return co.yield(...)
      end
      thread, give = co.create(deep), co.wrap(deep)
      co.resume(thread, table.unpack(list))
      give(table.unpack(list))
      table.insert(results, { co.resume(thread, table.unpack(list)) })
      table.insert(results, { pcall(give, table.unpack(list)) })
      table.insert(results, { co.status(thread), pcall(give) })
      return results
    end,
  },
  {
    "coroutines in coroutines without end",
    function(co)
      local function resumes()
        local ok, message = co.resume(co.create(resumes))
        return ok, message
      end
      local depth = 0
      local function wraps()
        depth = depth + 1
        return co.wrap(wraps)()
      end
      local results = { resumes(), pcall(wraps) }
      return results[1], results[2], (results[3]:gsub("^.*: ", "")), depth > 100
    end,
  },
  {
    "coroutines in what closes coroutines, without end",
    function(co)
      local depth = 0
      local function closes()
        depth = depth + 1
        co.wrap(function()
          local _ <close> = setmetatable({}, { __close = closes })
          error "again"
        end)()
      end
      local ok, message = pcall(closes)
      return ok, type(message), depth > 10
    end,
  },
  {
    "generators",
    function(co)
      local sum = 0
      for a, b in co.wrap(function()
        for i = 1, 1000 do
          co.yield(i, -i // 2)
        end
      end) do
        sum = sum + a * b
      end
      return sum
    end,
  },
  {
    "the hook of whoever made it",
    function(co)
      local count = 0
      local thread = co.create(function()
        co.yield()
      end)
      debug.sethook(thread, function()
        count = count + 1
      end, "cr")
      co.resume(thread)
      co.resume(thread)
      return count
    end,
  },
}

-- What can be compared: functions, coroutines and objects by their kind.
local function plain(value, seen)
  local kind = type(value)
  if kind ~= "table" then
    return (kind == "function" or kind == "thread" or kind == "userdata") and kind or value
  end
  seen = seen or {}
  if seen[value] then
    return "again"
  end
  seen[value] = true
  local copy = {}
  for key, field in pairs(value) do
    copy[key] = plain(field, seen)
  end
  return copy
end

-- Messages name functions as they are found in package.loaded.
local function run(fn, library)
  local ours = package.loaded.coroutine
  -- Some cases need large stacks, which Lua 5.4.6 does not collect garbage for.
  collectgarbage()
  package.loaded.coroutine = library
  local results = table.pack(pcall(fn, library))
  package.loaded.coroutine = ours
  return plain(results)
end

describe("coroutine.resume, wrap and close", function()
  it("are moonwire's own here, and Lua's to compare them with", function()
    for _, name in ipairs { "resume", "wrap", "close" } do
      assert.are_not.equal(original[name], coroutine[name])
    end
  end)

  for _, case in ipairs(CASES) do
    it("do as Lua's: " .. case[1], function()
      local expected = run(case[2], original)
      local got = run(case[2], coroutine)
      assert.is_true(expected[1], tostring(expected[2]))
      assert.same(expected, got)
    end)
  end
end)
