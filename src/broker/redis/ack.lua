-- Acks deliveries whose settlement is nothing else, in one step; the same as `settle.lua` does with each of them, without what that must be
-- ready for.
-- KEYS     1 unacked, 2 unacked_index
-- ARGV     tags
-- Returns  for each 0 lost, 1 done.
-- The index first: a row of it without a hash field is harmless. Of a delivery that is lost there is none.
redis.call('ZREM', KEYS[2], unpack(ARGV))
local answers = {}
for number, tag in ipairs(ARGV) do answers[number] = redis.call('HDEL', KEYS[1], tag) end
return answers
