-- How states and chords lie in Redis. Not a script: put before the scripts that use it (settle, apply, part, claim).
-- A chord's keys are its base, celeriac's or Python's `celery-taskset-meta-<group id>`, and a suffix:
--   .j results   .s size   .t adjustment of the size   .d parts already counted   .c who finishes it, then 'done'
--   .a tasks already added to the size (ours)

-- JSON as Python and as others write it; msgpack, whose map's length takes one byte or three.
local SUCCESS = {
  ['{"status": "SUCCESS"'] = 1, ['{"status":"SUCCESS"'] = 1, ['\166status\167SUCCESS'] = 2
}

local function is_success(key)
  local head = redis.pcall('GETRANGE', key, 0, 19)
  if type(head) == 'table' then return false end -- no string: SET takes its place
  for start, from in pairs(SUCCESS) do
    if head:sub(from, from + #start - 1) == start or (from == 2 and head:sub(4, 3 + #start) == start) then return true end
  end
  return false
end

local function set(key, value, ttl)
  if (tonumber(ttl) or 0) > 0 then redis.call('SET', key, value, 'EX', ttl) else redis.call('SET', key, value) end
end

-- Stores and announces a state, unless a success lies there.
local function state(key, value, ttl)
  if is_success(key) then return end
  set(key, value, ttl)
  redis.call('PUBLISH', key, value)
end

local function start_chord(base, size, ttl)
  redis.call('DEL', base .. '.c')
  set(base .. '.s', size, ttl)
end

-- One part more to wait for. Python only adds to .t; .a makes that repeatable.
local function grow_chord(base, member, ttl)
  if redis.call('SADD', base .. '.a', member) == 0 then return end
  redis.call('INCRBY', base .. '.t', 1)
  if (tonumber(ttl) or 0) > 0 then
    redis.call('EXPIRE', base .. '.a', ttl)
    redis.call('EXPIRE', base .. '.t', ttl)
  end
end

-- How long a closed chord is remembered, in seconds; Celery's.
local DONE = 300

local function count_part_once(base, member, index, entry, ttl, token, claim, ordered)
  if redis.call('SISMEMBER', base .. '.d', member) == 0 then
    if ordered == '1' then redis.call('ZADD', base .. '.j', index, entry) else redis.call('RPUSH', base .. '.j', entry) end
    redis.call('SADD', base .. '.d', member)
  end
  if redis.call('GET', base .. '.c') == 'done' then
    -- A duplicate, which without a size completes nothing; or the first part of a frozen chord that is applied again: Python sends all of a
    -- header but its last task before it opens the chord anew.
    redis.call('EXPIRE', base .. '.j', DONE)
    redis.call('EXPIRE', base .. '.d', DONE)
    return 1
  end
  local count = redis.call(ordered == '1' and 'ZCARD' or 'LLEN', base .. '.j')
  if (tonumber(ttl) or 0) > 0 then
    for _, suffix in ipairs({ '.j', '.t', '.s', '.d', '' }) do redis.call('EXPIRE', base .. suffix, ttl) end
  end
  local size, adjustment = redis.call('GET', base .. '.s'), redis.call('GET', base .. '.t')
  if not size or count ~= tonumber(size) + (tonumber(adjustment or 0) or 0) then return 1 end
  if redis.call('SET', base .. '.c', token, 'NX', 'EX', claim) then return 2 end
  if redis.call('GET', base .. '.c') ~= token then return 3 end
  redis.call('EXPIRE', base .. '.c', claim)
  return 2
end

local TYPES = { ['.j'] = 'zset', ['.d'] = 'set', ['.s'] = 'string', ['.t'] = 'string', ['.c'] = 'string' }

-- Counts a part: 1 counted (or closed already), 2 complete and ours, 3 complete and another's. What lies in a chord's place and is of another
-- type is none of it: left there, it would let the part be reported for ever.
local function count_part(base, ...)
  local ok, answer = pcall(count_part_once, base, ...)
  if ok then return answer end
  local ordered = select(7, ...)
  for _, suffix in ipairs({ '.j', '.d', '.s', '.t', '.c' }) do
    local wanted = suffix == '.j' and ordered ~= '1' and 'list' or TYPES[suffix]
    local found = redis.call('TYPE', base .. suffix).ok
    if found ~= 'none' and found ~= wanted then redis.call('DEL', base .. suffix) end
  end
  return count_part_once(base, ...)
end

-- Keeps the claim of a chord, or takes a free one of a chord that is still open: 1, else 0.
local function keep_claim(base, token, claim)
  local holder = redis.call('GET', base .. '.c')
  if holder == token then redis.call('EXPIRE', base .. '.c', claim) return 1 end
  if holder or redis.call('EXISTS', base .. '.s') == 0 then return 0 end
  redis.call('SET', base .. '.c', token, 'EX', claim)
  return 1
end

-- Ends a chord, 'close' well or 'fail' badly, unless another holds its claim.
local function end_chord(how, base, token)
  local holder = redis.call('GET', base .. '.c')
  if holder and holder ~= token then return end
  if how == 'fail' then redis.call('DEL', base .. '.s') return end
  redis.call('DEL', base .. '.j', base .. '.t', base .. '.s', base .. '.d', base .. '.a')
  redis.call('SET', base .. '.c', 'done', 'EX', DONE)
end

-- One write, as `results.rs` encodes it: kind and three values.
local function write(kind, a, b, c)
  if kind == 'state' then state(a, b, c)
  elseif kind == 'start' then start_chord(a, b, c)
  elseif kind == 'grow' then grow_chord(a, b, c)
  elseif kind == 'fail' or kind == 'close' then end_chord(kind, a, b)
  else error('unknown write ' .. tostring(kind)) end
end
