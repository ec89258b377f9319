-- Carries out settlements, each by itself: fence, writes, chord part, pushes, closing of a chord, and the ack last of all, so that an
-- error on the way leaves the delivery leased and the whole is repeated. Writes come before pushes because they may be repeated.
-- KEYS     1 unacked, 2 unacked_index
-- ARGV     1 our database, 2 the results' database; then for each settlement the number of its values and these:
--          tag ('' for none), list to requeue to ('' to ack), text to requeue;
--          number of writes, each with its 4 values; '1' and the 8 values of a chord part, or '0';
--          number of chords to close, each with base and token; number of pushes, each with list and text
-- Returns  for each settlement 0 lost, 1 done, 2 chord complete and ours, 3 chord complete and another's, or '!' and an error.
local at = 2
local here = ARGV[1]

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

-- Takes `rows` rows of `width` values.
local function take_rows(width)
  local rows = {}
  for row = 1, tonumber(take()) do
    rows[row] = {}
    for column = 1, width do rows[row][column] = take() end
  end
  return rows
end

local function settle_results(writes, parts, closes)
  if #writes + #parts + #closes == 0 then return 1 end
  use(ARGV[2])
  for _, row in ipairs(writes) do write(unpack(row)) end
  local answer = 1
  for _, row in ipairs(parts) do answer = count_part(unpack(row)) end
  if answer == 1 then
    for _, row in ipairs(closes) do
      if keep_claim(row[1], row[2], 6) == 0 then answer = 3 end
    end
  end
  use(ARGV[1])
  return answer
end

local function settle()
  local tag, list, text = take(), take(), take()
  local writes, parts, closes, pushes = take_rows(4), take_rows(8), take_rows(2), take_rows(2)
  if tag ~= '' and redis.call('HEXISTS', KEYS[1], tag) == 0 then return 0 end
  redis.call('HDEL', KEYS[1], '') -- a write that memory limits never refuse, and so allows those after it
  local answer = settle_results(writes, parts, closes)
  if answer ~= 1 then return answer end
  for _, row in ipairs(pushes) do redis.call('LPUSH', row[1], row[2]) end
  if #closes > 0 then
    use(ARGV[2])
    for _, row in ipairs(closes) do close_chord(row[1], row[2]) end
    use(ARGV[1])
  end
  if tag == '' then return 1 end
  if list ~= '' then redis.call('LPUSH', list, text) end
  redis.call('ZREM', KEYS[2], tag)
  redis.call('HDEL', KEYS[1], tag)
  return 1
end

local answers = {}
while at < #ARGV do
  local stop = tonumber(take())
  stop = stop + at
  local ok, answer = pcall(settle)
  use(ARGV[1])
  at = stop
  answers[#answers + 1] = ok and answer or ('!' .. tostring(type(answer) == 'table' and answer.err or answer))
end
return answers
