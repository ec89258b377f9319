-- Puts messages back to the head of their queues: push first, remove after.
-- KEYS     1 hash, 2 sorted set
-- ARGV     1 only rows at least so many seconds old ('' for all); then for each message its tag, list and text, in the order of
--          pushing (the last one is served first). An empty list only drops a row that has no entry.
-- Returns  how many were put back; an error if none was and a queue refused.
local t = redis.call('TIME')
local limit = ARGV[1] ~= '' and t[1] + t[2] / 1e6 - tonumber(ARGV[1])
local count, refused = 0, nil
redis.call('HDEL', KEYS[1], '') -- a write that memory limits never refuse, and so allows those after it
for i = 2, #ARGV, 3 do
  local tag, list = ARGV[i], ARGV[i + 1]
  local score = redis.call('ZSCORE', KEYS[2], tag)
  local old = not limit or (score and tonumber(score) <= limit)
  if redis.call('HEXISTS', KEYS[1], tag) == 0 then
    if old then redis.call('ZREM', KEYS[2], tag) end
  elseif list ~= '' and old then
    local pushed = redis.pcall('RPUSH', list, ARGV[i + 2])
    if type(pushed) == 'number' then
      redis.call('ZREM', KEYS[2], tag)
      redis.call('HDEL', KEYS[1], tag)
      count = count + 1
    else
      refused = pushed
    end
  end
end
if count == 0 and refused then return refused end
return count
