-- Turns of a rate: gives one to a leased message or lets it wait behind others, and lets those go on that wait.
-- KEYS     1 when the next turn comes, microseconds, 2 names of the rates for which messages wait
-- ARGV     1 microseconds between two turns, 2 name of the rate, 3 end of the lists of those that wait, then
--          'take', unacked, unacked_index, tag, the message's list, its text while it waits
--            Returns 1: it has a turn, 0: it waits, -1: it was not leased any more.
--          'admit', how many at most, lists of messages, served first first
--            Returns how many went back to the heads of their lists, and after how many microseconds the next may; -1: none waits.
local t = redis.call('TIME')
local now, every = t[1] * 1e6 + t[2], tonumber(ARGV[1])
redis.call('SREM', KEYS[2], '') -- a write that memory limits never refuse, and so allows those after it

-- Takes up to `most` turns; those of the last `slack` can be caught up on. What a slower rate left behind is forgotten.
local function take(most, slack)
  if every <= 0 then return most, 0 end
  local next = math.min(tonumber(redis.call('GET', KEYS[1]) or 0), now + every)
  next = math.max(next, now - slack)
  local turns = next > now and 0 or math.min(most, 1 + math.floor((now - next) / every))
  next = next + turns * every
  if turns > 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', string.format('%.0f', (next - now + slack) / 1e3 + 1000))
  end
  return turns, math.max(0, next - now)
end

if ARGV[4] == 'take' then
  if redis.call('HEXISTS', ARGV[5], ARGV[7]) == 0 then return -1 end
  local waiting = ARGV[8] .. ARGV[3]
  if redis.call('EXISTS', waiting) == 0 and take(1, 0) == 1 then return 1 end
  redis.call('SADD', KEYS[2], ARGV[2])
  redis.call('LPUSH', waiting, ARGV[9])
  redis.call('ZREM', ARGV[6], ARGV[7])
  redis.call('HDEL', ARGV[5], ARGV[7])
  return 0
end

local lists, most = {}, 0
for i = 6, #ARGV do
  local waiting = redis.call('LLEN', ARGV[i] .. ARGV[3])
  if waiting > 0 then lists[#lists + 1], most = ARGV[i], most + waiting end
end
if most == 0 then return { 0, -1 } end
-- While some wait nobody loses a turn by looking late: one, or as many as there are in 50 ms.
local turns, wait = take(math.min(most, tonumber(ARGV[5])), math.max(every, 5e4))
local admitted = 0
for _, list in ipairs(lists) do
  if admitted < turns then
    local waiting = list .. ARGV[3]
    local going = redis.call('LRANGE', waiting, admitted - turns, -1)
    for i = 1, #going do redis.call('RPUSH', list, going[i]) end -- the last is the first in line
    redis.call('LTRIM', waiting, 0, -1 - #going)
    admitted = admitted + #going
  end
end
return { admitted, string.format('%.0f', wait) }
