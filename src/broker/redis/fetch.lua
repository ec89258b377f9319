-- Takes messages out of their queues and leases them, in one step.
-- KEYS     the queue lists, served first first. Nothing else: a tracking client is woken by every declared key.
-- ARGV     1 how many, 2 how many bytes, 3 tag prefix, 4 first sequence number, 5 unacked, 6 unacked_index,
--          7… for each list the end of its entries: `, "", "<queue>"]`
-- Returns  1 if the lists were left empty and are watched now, else 0; the server's time; then for each message the number of its list
--          and its text.
--          The i-th message has the i-th tag.
local want, room, seq = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local t = redis.call('TIME')
local now = t[1] .. '.' .. string.format('%06d', t[2])
local n, out, h, z, refused = 0, { 0, now }, {}, {}, nil
for k = 1, #KEYS do
  while want > 0 and room > 0 and not refused do
    local got = redis.pcall('RPOP', KEYS[k], math.min(want, 16))
    if not got then break end
    if got.err then refused = got break end -- what was taken before must still be leased
    for i = 1, #got do
      local tag = ARGV[3] .. string.format('%d', seq + n) -- '..' alone turns 1e15 into text
      n = n + 1
      out[2 * n + 1], out[2 * n + 2] = k, got[i]
      room = room - #got[i]
      h[2 * n - 1], h[2 * n] = tag, '[' .. got[i] .. ARGV[6 + k]
      z[2 * n - 1], z[2 * n] = now, tag
    end
    want = want - #got
  end
end
if n > 0 then
  -- The index first: a row of it without a hash field is harmless. A script does not roll back, so put back what cannot be leased.
  local r = redis.pcall('ZADD', ARGV[6], unpack(z))
  if type(r) == 'number' then r = redis.pcall('HSET', ARGV[5], unpack(h)) end
  if type(r) == 'table' then
    for i = n, 1, -1 do redis.call('RPUSH', KEYS[out[2 * i + 1]], out[2 * i + 2]) end
    return r
  end
elseif refused then
  return refused
end
-- The last read sets the watch; RPOP is a write and sets none.
if want > 0 and room > 0 and not refused then
  redis.call('EXISTS', unpack(KEYS))
  out[1] = 1
end
return out
