-- Takes or keeps the lead over the timetable, by the server's clock.
-- KEYS     1 the lead, 2 how often it was taken
-- ARGV     1 candidate, 2 milliseconds it lasts
-- Returns  its token ('' if it is another's), seconds and microseconds of the clock, milliseconds until it ends.
local t, lead = redis.call('TIME'), redis.call('GET', KEYS[1])
if lead and lead:sub(lead:find(' ', 1, true) + 1) ~= ARGV[1] then return { '', t[1], t[2], redis.call('PTTL', KEYS[1]) } end
lead = lead or redis.call('INCR', KEYS[2]) .. ' ' .. ARGV[1]
redis.call('SET', KEYS[1], lead, 'PX', ARGV[2])
return { lead, t[1], t[2], tonumber(ARGV[2]) }
