-- http_date.lua - the dates of HTTP (RFC 9110 §5.6.7), independent of locale and time zone.
-- Pure; the C library's own calendar is not asked, because it follows the locale and rejects nothing.
-- SPDX-License-Identifier: MIT

local M = {}

local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local LONG_DAYS = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }
local MONTH_LENGTHS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
local DAY_SECONDS = 86400

local function index_of(list)
  local index = {}
  for i, name in ipairs(list) do
    index[name] = i
  end
  return index
end

local day_index, long_day_index, month_index = index_of(DAYS), index_of(LONG_DAYS), index_of(MONTHS)

-- Days since 1970-01-01 in the Gregorian calendar. Years are counted from March, so that a leap day comes last.
local function days_from_civil(year, month, day)
  if month <= 2 then
    year, month = year - 1, month + 12
  end
  local era = year // 400
  local year_of_era = year - era * 400
  local day_of_year = (153 * (month - 3) + 2) // 5 + day - 1
  return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
end

local function civil_from_days(days)
  days = days + 719468
  local era = days // 146097
  local day_of_era = days - era * 146097
  local year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
  local day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
  local shifted = (5 * day_of_year + 2) // 153
  local day = day_of_year - (153 * shifted + 2) // 5 + 1
  local month = shifted < 10 and shifted + 3 or shifted - 9
  return year_of_era + era * 400 + (month <= 2 and 1 or 0), month, day
end

---Write a date the one way HTTP wants it: "Sun, 06 Nov 1994 08:49:37 GMT".
---@param time integer seconds since 1970 (fractions are dropped)
---@return string
function M.format(time)
  local seconds = time // 1 | 0
  local days = seconds // DAY_SECONDS
  local rest = seconds - days * DAY_SECONDS
  local year, month, day = civil_from_days(days)
  return ("%s, %02d %s %04d %02d:%02d:%02d GMT"):format(
    DAYS[(days + 4) % 7 + 1], day, MONTHS[month], year, rest // 3600, rest // 60 % 60, rest % 60)
end

local cached_time, cached_text

---The current date, formatted once per second.
---@return string
function M.now()
  local time = os.time()
  if time ~= cached_time then
    cached_time, cached_text = time, M.format(time)
  end
  return cached_text
end

local function is_leap(year)
  return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

local function to_time(year, month, day, hour, minute, second)
  if not month or day < 1 or hour > 23 or minute > 59 or second > 60 then
    return nil
  end
  if day > MONTH_LENGTHS[month] + (month == 2 and is_leap(year) and 1 or 0) then
    return nil
  end
  return days_from_civil(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second
end

-- A year of two digits is the one closest to now that is at most 50 years ahead (RFC 9110 §5.6.7).
local function full_year(two_digits)
  local this_year = civil_from_days(os.time() // DAY_SECONDS)
  local year = this_year - this_year % 100 + two_digits
  return year > this_year + 50 and year - 100 or year
end

---Read a date in any of the three forms of HTTP: IMF-fixdate, RFC 850, asctime.
---@param text string
---@return integer? time seconds since 1970; nil when it is not a date
function M.parse(text)
  local name, day, month, year, hour, minute, second =
    text:match("^(%a+), (%d%d) (%a%a%a) (%d%d%d%d) (%d%d):(%d%d):(%d%d) GMT$")
  if name then
    if not day_index[name] then
      return nil
    end
  else
    name, day, month, year, hour, minute, second =
      text:match("^(%a+), (%d%d)%-(%a%a%a)%-(%d%d) (%d%d):(%d%d):(%d%d) GMT$")
    if name then
      if not long_day_index[name] then
        return nil
      end
      year = full_year(math.tointeger(tonumber(year)))
    else
      name, month, day, hour, minute, second, year =
        text:match("^(%a%a%a) (%a%a%a) ([%d ]%d) (%d%d):(%d%d):(%d%d) (%d%d%d%d)$")
      if not day_index[name or ""] then
        return nil
      end
    end
  end
  local function int(digits)
    return math.tointeger(tonumber(digits))
  end
  return to_time(int(year), month_index[month], int(day), int(hour), int(minute), int(second))
end

return M
