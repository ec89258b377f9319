-- Puts dead letters back to the tails of their queues; the push of a letter and its removal are one step. A letter whose list is no list
-- stays.
-- KEYS     1 dead letters, 2 their index, and other keys that no message may be pushed to
-- ARGV     for each letter its id, list and text
-- Returns  the ids of those that went
local ours, gone = {}, {}
for _, key in ipairs(KEYS) do ours[key] = true end
redis.call('HDEL', KEYS[1], '') -- a write that memory limits never refuse, and so allows those after it
for at = 1, #ARGV, 3 do
  local id, list, text = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if not ours[list] and redis.call('HEXISTS', KEYS[1], id) == 1 and type(redis.pcall('LPUSH', list, text)) == 'number' then
    redis.call('ZREM', KEYS[2], id)
    redis.call('HDEL', KEYS[1], id)
    gone[#gone + 1] = id
  end
end
return gone
