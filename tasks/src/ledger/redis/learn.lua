-- Takes a figure into a moving mean.
-- KEYS     1 the means
-- ARGV     1 which, 2 the figure, 3 how much it counts
local mean = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.6g', mean + ARGV[3] * (ARGV[2] - mean)))
