-- Takes a unique key for the holder of a leased message. A holder whose message is leased, or lies anywhere in a queue, has its key by its id
-- alone; one whose message was acked before its run, by the row of its tag in unacked_index, which its worker renews.
-- KEYS     1 unacked, 2 unacked_index, 3 the key: a hash of the holder's id, its tag, and early where its message was acked
-- ARGV     1 tag, 2 holder, 3 milliseconds it is held at the longest, 4 seconds of a lease, 5 a revoked holder, or ''
-- Returns  1 it is ours, 0 the message was not leased any more, 2 it is ours by another delivery, or who holds it.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
local held = redis.call('HMGET', KEYS[3], 'id', 'tag', 'early')
local id, tag, early = held[1], held[2], held[3]
if early then
  local t, renewed = redis.call('TIME'), redis.call('ZSCORE', KEYS[2], tag)
  if not renewed or tonumber(renewed) < t[1] + t[2] / 1e6 - tonumber(ARGV[4]) then id = false end
end
local leased = id and (early or redis.call('HEXISTS', KEYS[1], tag) == 1)
if id and id ~= ARGV[2] and (leased or id ~= ARGV[5]) then return id end
if id == ARGV[2] and tag ~= ARGV[1] and leased then return 2 end
redis.call('HDEL', KEYS[1], '') -- a write that memory limits never refuse, and so allows those after it
redis.call('HDEL', KEYS[3], 'early')
redis.call('HSET', KEYS[3], 'id', ARGV[2], 'tag', ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[3])
return 1
