/**
 * The limit algorithms of the core as one script over all windows of a key. The core's files of the same names say
 * what each does, and why; here are only the differences that come from where the state is.
 *
 * Times are milliseconds of the server's clock, with its microseconds as fractions. That clock can be set back:
 * by less than the longest window the key's time stands still, by more the state means nothing and is dropped.
 *
 * `KEYS[1]` is one line of numbers: when it was last written, when it was begun, until when it lives, and then the cells
 * of each rule
 *
 * - token bucket: what is used, as of the last write
 * - GCRA: how far the schedule is ahead of the last write, which is precise where a moment of our time is not
 * - sliding log: the sum of its log, which is the list at the next of `KEYS`: `time weight` each
 * - sliding counter: the number of the newest part, and the counts of nine parts
 * - fixed window: when it opened, and what it has taken
 *
 * `ARGV` is `take`, `check` or `give`, the weight, the time of the grant to give back, and then kind, limit, window
 * and burst of each rule. The answer is `allowed wait remaining rule now`, the wait -1 for never.
 */
import { script } from "./Script.ts"

export const limiterScript = script(`
local what, weight, takenAt = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local slack, parts, ring, inf = 1e-6, 8, 9, math.huge
local width = { b = 1, g = 1, l = 1, c = 10, f = 2 }

local rules, cellCount, logCount, longest = {}, 3, 0, 0
for a = 4, #ARGV, 4 do
  local rule = { kind = ARGV[a], limit = tonumber(ARGV[a + 1]), window = tonumber(ARGV[a + 2]), burst = tonumber(ARGV[a + 3]) }
  rule.at = cellCount + 1
  cellCount = cellCount + width[rule.kind]
  if rule.kind == 'l' then
    logCount = logCount + 1
    rule.log = KEYS[1 + logCount]
  end
  if rule.window > longest then longest = rule.window end
  rules[#rules + 1] = rule
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000

local cells = {}
local packed = redis.call('GET', KEYS[1])
if packed then
  for text in string.gmatch(packed, '%S+') do cells[#cells + 1] = tonumber(text) end
end
local known = #cells == cellCount and cells[1] - now <= longest
if known then
  if cells[1] > now then now = cells[1] end
else
  cells = { now, now, now }
  for i = 4, cellCount do cells[i] = 0 end
end
local last = cells[1]
local passed = now - last

local function partOf(rule, at) return math.floor(at / (rule.window / parts) + 1e-9) end

local function oldest(rule) return math.max(cells[rule.at] - parts, partOf(rule, now) - parts, 0) end

local function cell(rule, part) return rule.at + 1 + part % ring end

local function entries(key, size)
  local chunk, base, i = {}, 0, 0
  return function()
    i = i + 1
    if i > #chunk then
      base = base + #chunk
      chunk = redis.call('LRANGE', key, base, base + size - 1)
      size, i = 64, 1
      if #chunk == 0 then return nil end
    end
    local at, count = string.match(chunk[i], '(%S+) (%S+)')
    return tonumber(at), tonumber(count)
  end
end

-- Lets time pass in the cells, in memory only.
local function advance(rule)
  local at = rule.at
  if rule.kind == 'b' then
    cells[at] = math.max(0, cells[at] - passed * (rule.limit / rule.window))
  elseif rule.kind == 'g' then
    cells[at] = math.max(0, cells[at] - passed)
  elseif rule.kind == 'f' then
    if now >= cells[at] + rule.window - slack then cells[at + 1] = 0 end
  elseif rule.kind == 'l' then
    rule.gone = 0
    if not known then return end
    rule.next = entries(rule.log, 8)
    local when, count = rule.next()
    while when and when + rule.window <= now + slack do
      rule.gone = rule.gone + 1
      cells[at] = cells[at] - count
      when, count = rule.next()
    end
    rule.when, rule.count = when, count
    if not when then cells[at] = 0 end
  elseif rule.kind == 'c' then
    rule.sum = 0
    for part = oldest(rule), cells[at] do rule.sum = rule.sum + cells[cell(rule, part)] end
  end
end

local function remaining(rule)
  local at, left = rule.at, 0
  if rule.kind == 'b' then left = rule.burst - cells[at]
  elseif rule.kind == 'g' then left = rule.burst - cells[at] * (rule.limit / rule.window)
  elseif rule.kind == 'f' then left = rule.limit - cells[at + 1]
  elseif rule.kind == 'l' then left = rule.limit - cells[at]
  else left = rule.limit - rule.sum end
  return math.max(0, left)
end

local function logWait(rule)
  local over = cells[rule.at] + weight - rule.limit
  if not rule.when or over <= slack then return 0 end
  local when, count, leaves = rule.when, rule.count, rule.when
  while when do
    leaves = when
    over = over - count
    if over <= slack then break end
    when, count = rule.next()
  end
  return leaves + rule.window - now
end

local function counterWait(rule)
  local over = rule.sum + weight - rule.limit
  if over <= slack then return 0 end
  local newest, part = cells[rule.at], oldest(rule)
  while part < newest do
    over = over - cells[cell(rule, part)]
    if over <= slack then break end
    part = part + 1
  end
  return (part + ring) * (rule.window / parts) - now
end

local function wait(rule)
  if weight > rule.burst then return inf end
  local at = rule.at
  if rule.kind == 'b' then
    local over = cells[at] + weight - rule.burst
    return over <= slack and 0 or over * (rule.window / rule.limit)
  elseif rule.kind == 'g' then
    local spacing = rule.window / rule.limit
    local early = cells[at] + (weight - rule.burst) * spacing
    return early <= slack * spacing and 0 or early
  elseif rule.kind == 'f' then
    return cells[at + 1] + weight <= rule.limit + slack and 0 or cells[at] + rule.window - now
  elseif rule.kind == 'l' then
    return logWait(rule)
  end
  return counterWait(rule)
end

local function take(rule)
  local at = rule.at
  if rule.kind == 'g' then
    cells[at] = cells[at] + weight * (rule.window / rule.limit)
  elseif rule.kind == 'f' then
    if cells[at + 1] == 0 then cells[at] = now end
    cells[at + 1] = cells[at + 1] + weight
  elseif rule.kind == 'c' then
    local current, newest = partOf(rule, now), cells[at]
    for part = math.max(newest + 1, current - parts), current do cells[cell(rule, part)] = 0 end
    if current > newest then cells[at] = current end
    local mine = cell(rule, math.max(current, newest))
    cells[mine] = cells[mine] + weight
  else
    cells[at] = cells[at] + weight
    if rule.kind == 'l' then
      if not known then redis.call('DEL', rule.log) end
      redis.call('RPUSH', rule.log, string.format('%.3f %.17g', now, weight))
      rule.newest = now
    end
  end
end

local function giveLog(rule)
  local left, index = weight, redis.call('LLEN', rule.log) - 1
  while index >= rule.gone and left > 0 do
    local at, count = string.match(redis.call('LINDEX', rule.log, index), '(%S+) (%S+)')
    if tonumber(at) < takenAt - 0.0005 then return end
    if tonumber(at) <= takenAt + 0.0005 then
      local back = math.min(left, tonumber(count))
      redis.call('LSET', rule.log, index, string.format('%s %.17g', at, tonumber(count) - back))
      cells[rule.at] = math.max(0, cells[rule.at] - back)
      left = left - back
    end
    index = index - 1
  end
end

local function give(rule)
  local at = rule.at
  if rule.kind == 'b' or rule.kind == 'g' then
    -- By then even a full bucket has run out: what is in it now is from others.
    if now - takenAt >= rule.burst * (rule.window / rule.limit) then return end
    local back = rule.kind == 'b' and weight or weight * (rule.window / rule.limit)
    cells[at] = math.max(0, cells[at] - back)
  elseif rule.kind == 'f' then
    if takenAt >= cells[at] then cells[at + 1] = math.max(0, cells[at + 1] - weight) end
  elseif rule.kind == 'l' then
    giveLog(rule)
  else
    local part, newest = partOf(rule, takenAt), cells[at]
    if part > newest or part < newest - parts then return end
    cells[cell(rule, part)] = math.max(0, cells[cell(rule, part)] - weight)
  end
end

-- Milliseconds until a rule's cells are as if nobody had asked.
local function idleIn(rule)
  local at = rule.at
  if rule.kind == 'b' then return cells[at] * (rule.window / rule.limit)
  elseif rule.kind == 'g' then return cells[at]
  elseif rule.kind == 'f' then return cells[at] + rule.window - now
  elseif rule.kind == 'l' then return rule.window
  else return (cells[at] + ring) * (rule.window / parts) - now end
end

-- Until when the key has to live: never shorter, since others may count with lower limits, and never in the past, though
-- what is given back may come when the window is over. Two milliseconds more, since
-- what expires keys is a clock without fractions.
local function lifetime()
  local till = cells[3]
  for i = 1, #rules do till = math.max(till, now + math.min(math.max(idleIn(rules[i]), 0), 1e12) + 2) end
  return till
end

local function write()
  cells[3] = lifetime()
  local texts = { string.format('%.3f %.3f %.3f', now, cells[2], cells[3]) }
  for i = 1, #rules do
    local rule = rules[i]
    for at = rule.at, rule.at + width[rule.kind] - 1 do texts[#texts + 1] = string.format('%.17g', cells[at]) end
  end
  local ttl = string.format('%.0f', math.ceil(cells[3] - now))
  redis.call('SET', KEYS[1], table.concat(texts, ' '), 'PX', ttl)
  for i = 1, #rules do
    local rule = rules[i]
    if rule.kind == 'l' then
      if rule.gone > 0 then redis.call('LTRIM', rule.log, rule.gone, -1) end
      redis.call('PEXPIRE', rule.log, ttl)
    end
  end
end

if what == 'give' then
  if not known or not (takenAt >= cells[2] - 0.0005 and takenAt <= last + 0.0005) then return '' end
  for i = 1, #rules do
    advance(rules[i])
    give(rules[i])
  end
  write()
  return ''
end

local waits, decider, left, tightest, trimmed = 0, nil, inf, 1, false
for i = 1, #rules do
  local rule = rules[i]
  advance(rule)
  local mine, free = wait(rule), remaining(rule)
  if mine > waits then waits, decider = mine, i end
  if free < left then left, tightest = free, i end
  if rule.kind == 'l' and rule.gone > 0 then trimmed = true end
end

if decider then
  if what == 'take' and known then
    -- Limits may have been lowered: then the state counts for longer than it was to live.
    if trimmed or lifetime() > cells[3] + 1 then write() end
  end
  if waits == inf then waits = -1 end
  return string.format('0 %.17g %.17g %d %.3f', waits, left, decider, now)
end
if what == 'take' then
  for i = 1, #rules do take(rules[i]) end
  write()
  left = math.max(0, left - weight)
end
return string.format('1 0 %.17g %d %.3f', left, tightest, now)
`)
