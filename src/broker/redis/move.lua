-- Moves a leased message elsewhere: parks it, or makes it a dead letter.
-- KEYS     1 unacked, 2 unacked_index, 3 the other hash, 4 its sorted set
-- ARGV     1 tag, 2 score in the other set, 3 value in the other hash ('' for the entry as it lies)
-- Returns  1, or 0 if it was not leased any more.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then return 0 end
redis.call('HDEL', KEYS[1], '') -- a write that memory limits never refuse, and so allows those after it
redis.call('ZADD', KEYS[4], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3] ~= '' and ARGV[3] or entry)
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
return 1
