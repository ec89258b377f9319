-- Forgets bindings of queues whose owners vanished: ours one by one, and kombu's sets as its own sweep does (SWEEP_BINDINGS): a set that
-- holds no queue that stays, and that nobody refreshed in time.
-- KEYS     1 when ours may go, 2 when whole sets may go
-- ARGV     1 what stands before an exchange in the name of a set, 2 the same for the sets of those that stay, 3 the separator, 4 how many at most
-- Returns  how many of ours were forgotten
local t = redis.call('TIME')
local ours = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', t[1], 'LIMIT', 0, ARGV[4])
for _, binding in ipairs(ours) do
  local at = binding:find(ARGV[3], 1, true)
  local exchange, member = binding:sub(1, at - 1), binding:sub(at + #ARGV[3])
  if redis.call('SISMEMBER', ARGV[2] .. exchange, member) == 0 then redis.call('SREM', ARGV[1] .. exchange, member) end
  redis.call('ZREM', KEYS[1], binding)
end
for _, exchange in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', t[1] .. '000', 'LIMIT', 0, ARGV[4])) do
  if redis.call('EXISTS', ARGV[2] .. exchange) == 0 then redis.call('DEL', ARGV[1] .. exchange) end
  redis.call('ZREM', KEYS[2], exchange)
end
return #ours
