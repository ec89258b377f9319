-- Reads one page of leased messages whose score is old enough.
-- KEYS     1 hash, 2 sorted set
-- ARGV     1 seconds before now, 2 what a tag begins with, 3 offset, 4 how many rows
-- Returns  the number of rows looked at; then for each fitting row its tag and entry ('' if the hash has none).
local t = redis.call('TIME')
local limit = string.format('%.6f', t[1] + t[2] / 1e6 - tonumber(ARGV[1]))
local rows = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', limit, 'LIMIT', ARGV[3], ARGV[4])
local found = { #rows }
for _, tag in ipairs(rows) do
  if tag:sub(1, #ARGV[2]) == ARGV[2] then
    found[#found + 1] = tag
    found[#found + 1] = redis.call('HGET', KEYS[1], tag) or ''
  end
end
return found
