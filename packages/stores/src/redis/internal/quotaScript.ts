/**
 * The quota that processes share, as one script over all its kinds: the core's `internal/sharedQuota.ts` says what each
 * step does, and why. Times are milliseconds of the server's clock. That clock can be set back: by less than the longest
 * window the key's time stands still, by more the state means nothing and is dropped.
 *
 * `KEYS[1]` is one line of numbers: when it was last written, when it was begun, until when it is paused, and for each of
 * the four kinds what is used, its limit (0 where none is known) and its window.
 *
 * `ARGV` is `reserve`, and for each kind limit (0 for none), window and need; or `settle`, the same with corrections for
 * needs, the time of the grant, and what was used of each kind right after it; or `pause` and milliseconds. The answer to
 * `reserve` is `granted wait kind paused now` and for each kind what is left (`x` without a limit) and used; the wait is
 * -1 for never, the kind -1 for none.
 */
import { script } from "./Script.ts"

export const quotaScript = script(`
local what, slack, inf = ARGV[1], 1e-6, math.huge
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000

local cells, longest = {}, 60000
local packed = redis.call('GET', KEYS[1])
if packed then
  for text in string.gmatch(packed, '%S+') do cells[#cells + 1] = tonumber(text) end
end
if #cells == 15 then
  for k = 0, 3 do longest = math.max(longest, cells[6 + 3 * k]) end
end
if #cells == 15 and cells[1] - now <= longest then
  if cells[1] > now then now = cells[1] end
else
  cells = { now, now, 0, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1 }
end
local passed = now - cells[1]
cells[1] = now

local function usedAt(k) return 4 + 3 * k end
local function limitOf(k) return cells[5 + 3 * k] end
local function rateOf(k) return cells[5 + 3 * k] / cells[6 + 3 * k] end

for k = 0, 3 do cells[usedAt(k)] = math.max(0, cells[usedAt(k)] - passed * rateOf(k)) end

-- Until when the key has to live. Two milliseconds more, since what expires keys is a clock without fractions.
local function write()
  local life = math.max(0, cells[3] - now)
  for k = 0, 3 do
    if limitOf(k) > 0 then life = math.max(life, cells[usedAt(k)] / rateOf(k)) end
  end
  local texts = {}
  for i = 1, 15 do texts[i] = string.format(i <= 3 and '%.3f' or '%.17g', cells[i]) end
  local ttl = string.format('%.0f', math.ceil(math.min(life, 1e12)) + 2)
  redis.call('SET', KEYS[1], table.concat(texts, ' '), 'PX', ttl)
end

if what == 'pause' then
  cells[3] = math.max(cells[3], now + tonumber(ARGV[2]))
  write()
  return ''
end

local changed, looks, amount = false, true, {}
for k = 0, 3 do
  local limit, window = tonumber(ARGV[2 + 3 * k]), tonumber(ARGV[3 + 3 * k])
  amount[k] = tonumber(ARGV[4 + 3 * k])
  if amount[k] ~= 0 then looks = false end
  if limit > 0 and (limit ~= cells[5 + 3 * k] or window ~= cells[6 + 3 * k]) then
    if packed then changed = true end
    cells[5 + 3 * k], cells[6 + 3 * k] = limit, window
  end
end

if what == 'settle' then
  local at = tonumber(ARGV[14])
  for k = 0, 3 do
    if limitOf(k) > 0 then
      local after = tonumber(ARGV[15 + k])
      -- Times are told with microseconds.
      local left = 0
      if at >= cells[2] - 0.0005 then left = math.max(0, after - math.max(0, now - at) * rateOf(k)) end
      cells[usedAt(k)] = math.max(0, cells[usedAt(k)] + math.max(amount[k], -left))
    end
  end
  write()
  return ''
end

local paused, longestWait, kind = math.max(0, cells[3] - now), 0, -1
for k = 0, 3 do
  local limit, wait = limitOf(k), 0
  if limit > 0 and amount[k] > 0 then
    local over = cells[usedAt(k)] + amount[k] - limit
    if amount[k] > limit then wait = inf
    elseif over > slack then wait = math.max(0, over / rateOf(k) - paused) end
  end
  if wait > longestWait then longestWait, kind = wait, k end
end
local granted = paused + longestWait == 0
if granted and not looks then
  for k = 0, 3 do
    if limitOf(k) > 0 then cells[usedAt(k)] = cells[usedAt(k)] + amount[k] end
  end
end
-- A limit that has changed may count for longer than the key was to live.
if changed or (granted and not looks) then write() end

local wait = paused + longestWait
if wait == inf then wait = -1 end
local answer = { string.format('%d %.17g %d %.17g %.3f', granted and 1 or 0, wait, kind, paused, now) }
for k = 0, 3 do
  local left = limitOf(k) > 0 and string.format('%.17g', limitOf(k) - cells[usedAt(k)]) or 'x'
  answer[#answer + 1] = left .. string.format(' %.17g', cells[usedAt(k)])
end
return table.concat(answer, ' ')
`)
