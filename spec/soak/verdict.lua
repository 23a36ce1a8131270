-- verdict.lua - whether a series of samples grows: a straight line through the medians of blocks of it, and how far the true
-- slope may be from the one that was found. Neighbouring samples resemble each other, those of different blocks hardly; and
-- medians do not mind a handler that now and then takes all the memory there is.
-- SPDX-License-Identifier: MIT

local M = {}

local BLOCKS = 12
-- Of Student's distribution with 10 degrees of freedom: the true slope lies within this many standard errors in 99 of 100 runs.
local STUDENT = 3.169

-- The mean time and the median value of each block.
local function blocks_of(series)
  local blocks = {}
  for i = 1, BLOCKS do
    local first, last = (i - 1) * #series // BLOCKS + 1, i * #series // BLOCKS
    local time, values = 0, {}
    for at = first, last do
      time = time + series[at][1] / (last - first + 1)
      table.insert(values, series[at][2])
    end
    table.sort(values)
    blocks[i] = { time, (values[(#values + 1) // 2] + values[#values // 2 + 1]) / 2 }
  end
  return blocks
end

---How much a series grew from its beginning to its end, by the line that fits it best.
---@param series number[][] pairs of time and value, in order; twelve at least
---@param share number what may be added over the whole time, as a share of the level, even if it is no noise
---@param floor number the same as an amount; the larger one counts
---@return {level: number, growth: number, noise: number, grows: boolean} verdict `growth` and `noise` in the unit of the values:
---  the true growth is within `growth` ± `noise`. It `grows` when it did beyond doubt, and more than may be.
function M.of(series, share, floor)
  assert(#series >= BLOCKS, "too few samples")
  local blocks = blocks_of(series)
  local time, level = 0, 0
  for _, block in ipairs(blocks) do
    time, level = time + block[1] / BLOCKS, level + block[2] / BLOCKS
  end
  local spread, product = 0, 0
  for _, block in ipairs(blocks) do
    spread = spread + (block[1] - time) ^ 2
    product = product + (block[1] - time) * (block[2] - level)
  end
  local slope = product / spread
  local rest = 0
  for _, block in ipairs(blocks) do
    rest = rest + (block[2] - level - slope * (block[1] - time)) ^ 2
  end
  local duration = series[#series][1] - series[1][1]
  local growth = slope * duration
  local noise = STUDENT * math.sqrt(rest / (BLOCKS - 2) / spread) * duration
  return { level = level, growth = growth, noise = noise, grows = growth > noise and growth > math.max(share * level, floor) }
end

return M
