-- Writes another entry in the place of a leased message's.
-- KEYS     1 unacked
-- ARGV     1 tag, 2 entry
-- Returns  1, or 0 if it was not leased any more.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[1], '') -- a write that memory limits never refuse, and so allows those after it
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
