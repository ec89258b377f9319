-- The states of a timetable's entries: begins those that are new, forgets those that are not named.
-- KEYS     1 the lead, 2 the states
-- ARGV     1 the lead's token, 2 the state of who is new, then names
-- Returns  names and states by turns, or nil if the lead is another's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local named = {}
for i = 3, #ARGV do
  named[ARGV[i]] = true
  redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[2])
end
for _, name in ipairs(redis.call('HKEYS', KEYS[2])) do
  if not named[name] then redis.call('HDEL', KEYS[2], name) end
end
return redis.call('HGETALL', KEYS[2])
