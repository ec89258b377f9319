-- Gives the lead over the timetable up.
-- KEYS     1 the lead
-- ARGV     1 its token
-- Returns  1, or 0 if it was another's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
