-- Removes the oldest dead letters: those that are too old, and what there are too many of.
-- KEYS     1 dead letters, 2 their index
-- ARGV     1 seconds after which a letter is too old ('' for never), 2 how many are kept, 3 how many are removed at most
-- Returns  how many were removed
local count, most = redis.call('ZCARD', KEYS[2]) - ARGV[2], tonumber(ARGV[3])
if ARGV[1] ~= '' then
  local t = redis.call('TIME')
  local old = redis.call('ZCOUNT', KEYS[2], '-inf', '(' .. string.format('%.6f', t[1] + t[2] / 1e6 - ARGV[1]))
  count = math.max(count, old)
end
count = math.min(count, most)
if count <= 0 then return 0 end
local ids = redis.call('ZRANGE', KEYS[2], 0, count - 1)
redis.call('HDEL', KEYS[1], unpack(ids))
redis.call('ZREM', KEYS[2], unpack(ids))
return #ids
