/**
 * Accounts of money as three scripts, each of them one step over all accounts of a reservation. The core's
 * `internal/budgetBook.ts` says what each step does, and why.
 *
 * The server's scripts count in doubles, which are exact to 2⁵³ only. So an amount is two of them, `hi * 1e12 + lo`:
 * exact to 10²⁷, also when a thousand buckets are added up before the carry is taken.
 *
 * An account is a hash: the first millisecond of each bucket, and `spent reserved end` in it, the end 0 for never.
 * Buckets stay for ten minutes longer than they count, because the clocks of processes are not the same; for the same
 * reason what is booked in an old bucket never shortens the life of an account. A reservation that is not settled yet is
 * a key of its own; who takes it away settles.
 */
import { script } from "./Script.ts"

/** How long a bucket stays when it no longer counts, in milliseconds: as far as the clocks of processes may differ. */
export const graceMs = 600_000

const arithmetic = `
local base = 1e12

local function normal(hi, lo)
  local carry = math.floor(lo / base)
  return hi + carry, lo - carry * base
end

local function parse(text)
  local sign = 1
  if string.sub(text, 1, 1) == '-' then
    sign, text = -1, string.sub(text, 2)
  end
  if #text <= 12 then return 0, sign * tonumber(text) end
  return sign * tonumber(string.sub(text, 1, -13)), sign * tonumber(string.sub(text, -12))
end

local function format(hi, lo)
  hi, lo = normal(hi, lo)
  if hi < 0 then
    hi, lo = normal(-hi, -lo)
    return '-' .. (hi == 0 and string.format('%.0f', lo) or string.format('%.0f%012.0f', hi, lo))
  end
  if hi == 0 then return string.format('%.0f', lo) end
  return string.format('%.0f%012.0f', hi, lo)
end

local function plus(one, other, sign)
  local hi, lo = parse(one)
  local more, less = parse(other)
  return format(hi + sign * more, lo + sign * less)
end

-- What counts of an account, the bucket that is booked in, and the names of buckets that are over.
local function standing(key, from, bucket, over)
  local all = redis.call('HGETALL', key)
  local here, old = nil, {}
  local spentHi, spentLo, reservedHi, reservedLo = 0, 0, 0, 0
  for i = 1, #all, 2 do
    local spent, reserved, till = string.match(all[i + 1], '^(%S+) (%S+) (%S+)$')
    if all[i] == bucket then here = { spent, reserved, till } end
    if tonumber(all[i]) >= from then
      local hi, lo = parse(spent)
      spentHi, spentLo = spentHi + hi, spentLo + lo
      hi, lo = parse(reserved)
      reservedHi, reservedLo = reservedHi + hi, reservedLo + lo
    end
    if over and till ~= '0' and tonumber(till) < over then old[#old + 1] = all[i] end
  end
  return format(spentHi, spentLo), format(reservedHi, reservedLo), here, old
end
`

/**
 * `KEYS`: the reservation, and its accounts. `ARGV`: how long the reservation may be open, before when a bucket is over,
 * and for each account bucket, from, end, life (both 0 for ever), amount and limit (empty for none).
 *
 * The answer is `1` and spent and reserved of each account; `0`, the number of the claim that does not fit, counted
 * from 0, and what stands in its account; or `x` for a reservation that was settled before it came.
 */
export const reserveScript = script(`${arithmetic}
if redis.call('EXISTS', KEYS[1]) == 1 then return 'x' end
local over, claims, answer = tonumber(ARGV[2]), {}, { '1' }
for k = 2, #KEYS do
  local a = 3 + (k - 2) * 6
  local spent, reserved, here, old = standing(KEYS[k], tonumber(ARGV[a + 1]), ARGV[a], over)
  local amount, limit = ARGV[a + 4], ARGV[a + 5]
  local held = plus(reserved, amount, 1)
  if limit ~= '' and string.sub(plus(limit, plus(spent, held, 1), -1), 1, 1) == '-' then
    return table.concat({ '0', string.format('%d', k - 2), spent, reserved }, ' ')
  end
  answer[#answer + 1] = spent
  answer[#answer + 1] = held
  claims[k] = { here or { '0', '0', ARGV[a + 2] }, old }
end
for k = 2, #KEYS do
  local a = 3 + (k - 2) * 6
  local here, old = claims[k][1], claims[k][2]
  for i = 1, #old, 1000 do redis.call('HDEL', KEYS[k], unpack(old, i, math.min(i + 999, #old))) end
  redis.call('HSET', KEYS[k], ARGV[a], table.concat({ here[1], plus(here[2], ARGV[a + 4], 1), here[3] }, ' '))
  if ARGV[a + 3] == '0' then
    redis.call('PERSIST', KEYS[k])
  elseif redis.call('PTTL', KEYS[k]) < tonumber(ARGV[a + 3]) then
    redis.call('PEXPIRE', KEYS[k], ARGV[a + 3])
  end
end
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return table.concat(answer, ' ')
`)

/**
 * `KEYS`: the reservation, and its accounts. `ARGV`: how long to remember that there was none, and for each account
 * bucket, from, amount and charge. The answer is what is spent in each account, or nothing for a reservation that
 * is not there. One that is on its way still finds that it is settled, and is not made.
 */
export const settleScript = script(`${arithmetic}
if redis.call('GET', KEYS[1]) ~= '1' then
  redis.call('SET', KEYS[1], 'x', 'PX', ARGV[1])
  return ''
end
redis.call('DEL', KEYS[1])
local answer = {}
for k = 2, #KEYS do
  local a = 2 + (k - 2) * 4
  local spent, _, here = standing(KEYS[k], tonumber(ARGV[a + 1]), ARGV[a], nil)
  if here then
    local charged, held = plus(here[1], ARGV[a + 3], 1), plus(here[2], ARGV[a + 2], -1)
    redis.call('HSET', KEYS[k], ARGV[a], table.concat({ charged, held, here[3] }, ' '))
    if tonumber(ARGV[a]) >= tonumber(ARGV[a + 1]) then spent = plus(spent, ARGV[a + 3], 1) end
  end
  answer[#answer + 1] = spent
end
return table.concat(answer, ' ')
`)

/** `KEYS`: an account. `ARGV`: from which bucket on it counts. The answer is what is spent and reserved. */
export const balanceScript = script(`${arithmetic}
local spent, reserved = standing(KEYS[1], tonumber(ARGV[1]), '', nil)
return spent .. ' ' .. reserved
`)
