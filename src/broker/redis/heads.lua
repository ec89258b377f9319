-- Looks at what waits in the lists of a queue, without taking anything.
-- KEYS     its lists, one a priority step
-- ARGV     1 the most bytes of a message that is read
-- Returns  for each list how many messages it has, and the one that is next ('': none, or a larger one).
local found = {}
for _, list in ipairs(KEYS) do
  local head = redis.call('LRANGE', list, -1, -1)[1]
  found[#found + 1] = redis.call('LLEN', list)
  found[#found + 1] = head and #head <= tonumber(ARGV[1]) and head or ''
end
return found
