-- Carries out settlements, each by itself: fence, writes, chord part, pushes, closing of a chord, and the ack last of all, so that an
-- error on the way leaves the delivery leased and the whole is repeated. Writes come before pushes because they may be repeated.
-- All results are written before the first push, so that the database is changed twice in a call and not twice a settlement.
-- KEYS     1 unacked, 2 unacked_index, 3 dead letters, 4 their index, 5 parked, 6 its index
-- ARGV     1 our database, 2 the results' database; then for each settlement the number of its values and these:
--          tag ('' for none); number of writes, each with 4 values; number of chord parts (0 or 1), each with 8 values;
--          number of chords to end, each with 'close' or 'fail', base and token; number of pushes, each with list and text;
--          'requeue', list and text, or 'bury', id and dead letter, or '' three times to ack; number of unique keys (0 or 1), each with
--          key, holder, tag, and 'run', 'keep' or 'free'
-- Returns  for each settlement 0 lost, 1 done, 2 chord complete and ours, 3 chord complete and another's, '+' and the lists that refused
--          a message if it is done but for these, or '!' and an error.
local at, here = 2, ARGV[1]

local function take()
  at = at + 1
  return ARGV[at]
end

local function use(database)
  if here ~= database then
    redis.call('SELECT', database)
    here = database
  end
end

-- In the results' database: 1 if the rest may follow.
local function write_results()
  for _ = 1, take() do write(take(), take(), take(), take()) end
  local answer = 1
  for _ = 1, take() do answer = count_part(take(), take(), take(), take(), take(), take(), take(), take()) end
  local closes = at
  for _ = 1, take() do
    -- Who has lost the claim must not publish the body.
    local _, base, token = take(), take(), take()
    if answer == 1 and keep_claim(base, token, 6) == 0 then answer = 3 end
  end
  return answer, closes
end

local ours = {}
for _, key in ipairs(KEYS) do ours[key] = true end

local function bury(id, letter)
  local t = redis.call('TIME')
  redis.call('ZADD', KEYS[4], t[1] .. '.' .. string.format('%06d', t[2]), id)
  redis.call('HSET', KEYS[3], id, letter)
end

-- Pushes a message; the list if it is none. A signature may name what is no queue, the broker's own keys even while they are empty: a push that can never succeed
-- makes a dead letter, for trying again would hold the worker for ever and push what comes before it each time.
local function push(list, text)
  local answer = not ours[list] and redis.pcall('LPUSH', list, text)
  if type(answer) == 'number' then return end
  if answer and not answer.err:find('WRONGTYPE', 1, true) then error(answer) end
  local reason, seconds = 'its queue is no queue: another key has that name', tonumber(redis.call('TIME')[1])
  bury(redis.sha1hex(list .. text),
    cjson.encode({ list = list, reason = reason, nodename = '', deliveries = 0, seconds = seconds, envelope = text }))
  return list
end

-- What becomes of a unique key. It is freed before the ack, for then the task has ended; of one that was acked before its run, the row in
-- the index is all that was left.
local function settle_key(acked, key, id, tag, fate)
  if acked then redis.call('ZREM', KEYS[2], tag) end
  if redis.pcall('HGET', key, 'id') ~= id then return end
  if fate == 'free' then redis.call('DEL', key)
  elseif fate == 'run' then redis.call('HSET', key, 'early', 1)
  else redis.call('HDEL', key, 'early') end
end

-- In ours: everything but the ack; the lists that refused a message, and whether the row of its tag in the index stays.
local function publish(tag, closes)
  local refused, runs = {}, false
  at = closes
  local count = tonumber(take())
  at = at + 3 * count
  for _ = 1, take() do refused[#refused + 1] = push(take(), take()) end
  local how, place, text = take(), take(), take()
  for _ = 1, take() do
    local key, id, held, fate = take(), take(), take(), take()
    settle_key(tag == '', key, id, held, fate)
    runs = fate == 'run'
  end
  if count > 0 then
    use(ARGV[2])
    at = closes + 1
    for _ = 1, count do end_chord(take(), take(), take()) end
    use(ARGV[1])
  end
  if how == 'requeue' then refused[#refused + 1] = push(place, text) end
  if how == 'bury' then bury(place, text) end
  return refused, runs
end

local answers, alive, settled, any_results = {}, {}, {}, false
local function fail(number, cause) answers[number] = '!' .. tostring(type(cause) == 'table' and cause.err or cause) end

redis.pcall('HDEL', KEYS[1], '') -- a write that memory limits never refuse, and so allows those after it
while at < #ARGV do
  local values = tonumber(take())
  local stop, tag = at + values, take()
  local number = #answers + 1
  local leased = tag == '' or redis.pcall('HEXISTS', KEYS[1], tag)
  answers[number] = leased == 0 and 0 or 1
  if type(leased) == 'table' then
    fail(number, leased)
  elseif leased ~= 0 then
    alive[#alive + 1] = { number = number, tag = tag, at = at }
    -- No writes, no part, nothing to close: the results' database is not needed.
    any_results = any_results or ARGV[at + 1] ~= '0' or ARGV[at + 2] ~= '0' or ARGV[at + 3] ~= '0'
  end
  at = stop
end

if any_results then use(ARGV[2]) end
for _, one in ipairs(alive) do
  at = one.at
  local ok, answer, closes = pcall(write_results)
  if ok then answers[one.number], one.closes = answer, closes else fail(one.number, answer) end
end
use(ARGV[1])
local acks, acked, rows, incomplete = {}, {}, {}, {}
for _, one in ipairs(alive) do
  if answers[one.number] == 1 then
    if settled[one.tag] then
      answers[one.number] = 0 -- twice in one call
    else
      local ok, refused, runs = pcall(publish, one.tag, one.closes)
      use(ARGV[1])
      if ok and #refused > 0 then incomplete[one.number] = '+' .. table.concat(refused, ' ') end
      if not ok then
        fail(one.number, refused)
      elseif one.tag ~= '' then
        settled[one.tag] = true
        acks[#acks + 1], acked[#acked + 1] = one.tag, one.number
        if not runs then rows[#rows + 1] = one.tag end
      end
    end
  end
end
if #acks > 0 then
  local removed = #rows == 0 and 0 or redis.pcall('ZREM', KEYS[2], unpack(rows))
  if type(removed) == 'number' then removed = redis.pcall('HDEL', KEYS[1], unpack(acks)) end
  if type(removed) == 'table' then
    for _, number in ipairs(acked) do fail(number, removed) end
  end
end
for number, refused in pairs(incomplete) do
  if answers[number] == 1 then answers[number] = refused end
end
return answers
