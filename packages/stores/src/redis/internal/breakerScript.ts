/**
 * What the server does when a circuit has changed, and when somebody asks what is open. Times are milliseconds of
 * the server's clock.
 *
 * A change is remembered as `revision origin state` and, on the next line, its JSON.
 */
import { script } from "./Script.ts"

const now = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
`

/**
 * `KEYS`: until, changes. `ARGV`: key, state, how long to remember it in milliseconds, revision, origin, JSON,
 * channel. A few changes that are over go for each one that comes; the keys go with the last change.
 */
export const publishScript = script(`${now}
local key, state, keep, revision, origin, json = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]

for _, over in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.3f', now), 'LIMIT', 0, 16)) do
  redis.call('ZREM', KEYS[1], over)
  redis.call('HDEL', KEYS[2], over)
end

-- Byte by byte, since the language's own comparison depends on the server's locale.
local function after(a, b)
  for i = 1, math.min(#a, #b) do
    if string.byte(a, i) ~= string.byte(b, i) then return string.byte(a, i) > string.byte(b, i) end
  end
  return #a > #b
end

local newer = true
local known = redis.call('HGET', KEYS[2], key)
if known then
  local itsRevision, itsOrigin = string.match(known, '^(%S+) (%S*) ')
  itsRevision = tonumber(itsRevision)
  newer = revision > itsRevision or (revision == itsRevision and after(origin, itsOrigin))
end
if newer then
  redis.call('HSET', KEYS[2], key, ARGV[4] .. ' ' .. origin .. ' ' .. state .. '\\n' .. json)
  redis.call('ZADD', KEYS[1], string.format('%.3f', now + keep), key)
  local ttl = string.format('%.0f', math.max(math.ceil(keep), redis.call('PTTL', KEYS[1]), 1))
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl)
end
redis.call('PUBLISH', ARGV[7], json)
return newer and 1 or 0
`)

/** `KEYS`: until, changes. The answer is milliseconds left and JSON by turns, of each open change. */
export const loadScript = script(`${now}
local found = {}
local open = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.3f', now), '+inf', 'WITHSCORES')
for i = 1, #open, 2 do
  local known = redis.call('HGET', KEYS[2], open[i])
  local state, json = string.match(known or '', '^%S+ %S* (%S+)\\n(.*)$')
  if state == 'open' then
    found[#found + 1] = string.format('%.3f', tonumber(open[i + 1]) - now)
    found[#found + 1] = json
  end
end
return found
`)
