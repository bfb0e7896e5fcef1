-- enqueue stores new records, all or none.
--
-- ARGV[2…] for each record: id; head, READY, with the times that are known; what never
--          changes. A time of the head that is to be counted from now is "+" and the last 17
--          digits of a duration.
-- Returns  the time of the enqueue of all that this call has stored; then, for each other, its
--          place among the records, from 0, and the time of its enqueue if an earlier try of
--          this very call has stored it, otherwise the stored record as HGETALL gives it.
--
-- Idempotent: an id that is there isn't touched. If what never changes, which has a random
-- part, is the same, it was stored by an earlier try of this very call, whose reply was lost.
-- All or none, because the first write, of ids, is where the server refuses if it does, and
-- nothing after it can fail. That write says too whether any id was there before: most often
-- none was, and then no record is looked for.
--
-- Of a head only the enqueue time is missing, and where it belongs can be read off a few bytes,
-- so it isn't taken apart. Numbers are given as text, since the server is slow at making it of
-- them; and one new record, which is what most calls have, goes without tables.
local UNSET = NONE .. NONE
local expiry

local function from_now(t)
  if byte(t) ~= 43 then return t end
  return add(NOW, '0' .. sub(t, 2))
end

-- store writes a record and returns its entry in ready.
local function store(id, h, e)
  local due, times = NOW, sub(h, 54, 89)
  if times ~= UNSET then
    local after, expires = from_now(sub(times, 1, 18)), from_now(sub(times, 19))
    times = after .. expires
    if not early(after) and after > NOW then due = after end
    if expires ~= NONE then
      expiry = expiry or {}
      expiry[#expiry + 1] = '0'
      expiry[#expiry + 1] = expires .. id
    end
  end
  call('HSET', P .. 't:' .. id, 'h', sub(h, 1, 35) .. NOW .. times .. sub(h, 90), 'e', e)
  return sub(h, 3, 5) .. due .. id
end

local function put(index, members)
  local added = 0
  for i = 1, #members, 2000 do
    added = added + call('ZADD', P .. index, unpack(members, i, math.min(i + 1999, #members)))
  end
  return added
end

-- finish counts n new records, whose heads end in tail, and tells those that wait for their queue.
local function finish(tail, queue, n)
  call('HINCRBY', P .. 'counts', 'R' .. tail, n)
  call('SADD', P .. 'queues', queue)
  if call('EXISTS', P .. 'idle') == 1 then wake(queue) end
end

local function queue_of(tail) return sub(tail, 4, 3 + sub(tail, 1, 3)) end

if #ARGV == 4 and call('ZADD', P .. 'ids', '0', ARGV[2]) == 1 then
  local tail = sub(ARGV[3], 212)
  local queue = queue_of(tail)
  call('ZADD', P .. 'ready:' .. queue, '0', store(ARGV[2], ARGV[3], ARGV[4]))
  if expiry then put('expiry', expiry) end
  finish(tail, queue, '1')
  return { NOW }
end

local ids = {}
for i = 2, #ARGV, 3 do
  ids[#ids + 1] = '0'
  ids[#ids + 1] = ARGV[i]
end
local none = put('ids', ids) == #ids / 2

local answers, kinds = { NOW }, {} -- the entries by the tails of the heads
for i = 2, #ARGV, 3 do
  local id, h, e = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local k = P .. 't:' .. id
  if none or call('EXISTS', k) == 0 then
    local tail = sub(h, 212)
    local m = kinds[tail]
    if not m then
      m = {}
      kinds[tail] = m
    end
    m[#m + 1] = '0'
    m[#m + 1] = store(id, h, e)
  else
    local known = call('HGET', k, 'e') == e and call('HGET', k, 'h')
    answers[#answers + 1] = (i - 2) / 3
    answers[#answers + 1] = known and byte(known) == 49 and sub(known, 36, 53) or call('HGETALL', k)
  end
end
for tail, m in pairs(kinds) do
  put('ready:' .. queue_of(tail), m)
  finish(tail, queue_of(tail), fmt('%d', #m / 2))
end
if expiry then put('expiry', expiry) end
return answers
