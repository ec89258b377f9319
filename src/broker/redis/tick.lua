-- Publishes a run of a timetable's entry and records it. Everything that can be refused is refused before anything is written.
-- KEYS     1 the lead, 2 the states
-- ARGV     1 the lead's token, 2 the entry, 3 its state as it was read, 4 its state from now on, then list and text of each message
-- Returns  1 done, 0 the lead is another's, 2 the state is another.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if redis.call('HGET', KEYS[2], ARGV[2]) ~= ARGV[3] then return 2 end
for i = 5, #ARGV, 2 do
  local kind = redis.call('TYPE', ARGV[i]).ok
  if kind ~= 'none' and kind ~= 'list' then return redis.error_reply('WRONGTYPE the queue is no queue: another key has its name') end
end
for i = 5, #ARGV, 2 do redis.call('LPUSH', ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
return 1
