-- Keeps texts in a set that all peers share, by the time of the server's clock at which each was last kept.
-- KEYS     1 the sorted set
-- ARGV     1 milliseconds a text is kept, 2 how many are kept, then texts
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local expires, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local score = string.format('%.0f', now)
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], score, ARGV[i]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - expires))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -most - 1)
-- Another's may have to last longer.
if redis.call('PTTL', KEYS[1]) < expires then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 0
