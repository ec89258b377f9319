-- Renews leases by the server's clock.
-- KEYS     1 unacked_index
-- ARGV     tags, at most 500
-- Returns  the tags that are not leased any more.
local t = redis.call('TIME')
local now = t[1] .. '.' .. string.format('%06d', t[2])
local rows, lost = {}, {}
for i = 1, #ARGV do rows[2 * i - 1], rows[2 * i] = now, ARGV[i] end
if redis.call('ZADD', KEYS[1], 'XX', 'GT', 'CH', unpack(rows)) == #ARGV then return lost end
local scores = redis.call('ZMSCORE', KEYS[1], unpack(ARGV))
for i = 1, #ARGV do
  if not scores[i] then lost[#lost + 1] = ARGV[i] end
end
return lost
