-- Reads the parked messages that are due, and when the one after them is.
-- KEYS     1 parked, 2 its index
-- ARGV     1 how many at most
-- Returns  the microseconds until that one is due, -1: there is none; then of each that is its tag and entry ('' if the hash has none).
local t = redis.call('TIME')
local now = t[1] + t[2] / 1e6
local tags = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('%.6f', now), 'LIMIT', 0, ARGV[1])
local after = redis.call('ZRANGE', KEYS[2], #tags, #tags, 'WITHSCORES')[2]
local found = { after and math.max(0, math.ceil((after - now) * 1e6)) or -1 }
for _, tag in ipairs(tags) do
  found[#found + 1] = tag
  found[#found + 1] = redis.call('HGET', KEYS[1], tag) or ''
end
return found
