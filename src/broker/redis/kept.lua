-- What was kept in a shared set since a time of the server's clock.
-- KEYS     1 the sorted set
-- ARGV     1 since when, in milliseconds, 2 how old a text may be, 3 how many are wanted, the youngest
-- Returns  the time now, then a text and its time for each, youngest first
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local since = string.format('%.0f', math.max(tonumber(ARGV[1]), now - tonumber(ARGV[2])))
local rows = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', since, 'WITHSCORES', 'LIMIT', 0, tonumber(ARGV[3]))
return {string.format('%.0f', now), rows}
