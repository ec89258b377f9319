-- Writes an entry with everything that follows from it, if nobody else has written it in the meantime.
-- KEYS     1 the job, 2 its events, 3 the events of all jobs
-- ARGV     1 the version it was read in ('0': there was none), 2 the entry, 3 after how many ms it goes ('': never),
--          4 how many events are kept of a job, 5 after how many ms its events go ('': never),
--          6 how many chores a list has at most: of more, those that are due longest go;
--          then four counts, each followed by so many: places it leaves (list, id), places it joins (list, time, id),
--          chores (list, in how many ms, chore), events (event)
-- Returns  1, or 0 if it is in another version
if string.match(redis.call('GET', KEYS[1]) or '0', '^%d+') ~= ARGV[1] then return 0 end
local at = 6
local function take()
  at = at + 1
  return ARGV[at]
end

-- One text with its version before it: a hash would take a third more.
redis.call('SET', KEYS[1], string.format('%d ', tonumber(ARGV[1]) + 1) .. ARGV[2])
if ARGV[3] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
for _ = 1, take() do redis.call('ZREM', take(), take()) end
for _ = 1, take() do redis.call('ZADD', take(), take(), take()) end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _ = 1, take() do
  local list, due = take(), string.format('%d', now + take())
  redis.call('ZADD', list, due, take())
  local surplus = math.min(redis.call('ZCARD', list) - ARGV[6], redis.call('ZCOUNT', list, '-inf', now))
  if surplus > 0 then redis.call('ZREMRANGEBYRANK', list, 0, surplus - 1) end
end
local most = tonumber(ARGV[4])
for _ = 1, take() do
  local event = take()
  local id = redis.call('XADD', KEYS[3], 'MAXLEN', '~', 4 * most, '*', 'e', event)
  -- Of one job alone under the same id, so that who has seen it in one finds his place in the other.
  local own = redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', most, id, 'e', event)
  if type(own) == 'table' and own.err then redis.call('XADD', KEYS[2], 'MAXLEN', '~', most, '*', 'e', event) end
end
if ARGV[5] == '' then redis.call('PERSIST', KEYS[2]) else redis.call('PEXPIRE', KEYS[2], ARGV[5]) end
return 1
