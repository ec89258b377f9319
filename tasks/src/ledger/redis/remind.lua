-- Puts a chore on the list, or puts it off.
-- KEYS     1 the list
-- ARGV     1 the chore, 2 in how many ms it is due
local t = redis.call('TIME')
redis.call('ZADD', KEYS[1], string.format('%d', t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[2]), ARGV[1])
