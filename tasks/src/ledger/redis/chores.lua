-- Gives chores that are due, and puts them off, so that they are given again if whoever takes them dies.
-- KEYS     1 the list
-- ARGV     1 how many, 2 by how many ms they are put off
-- Returns  the chores, oldest first
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, chore in ipairs(due) do
  redis.call('ZADD', KEYS[1], string.format('%d', now + ARGV[2]), chore)
end
return due
