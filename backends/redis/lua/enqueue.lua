-- enqueue stores new records, all or none.
--
-- ARGV[2…] for each record: id; head, READY, with the times that are known, or '' if it is that
--          of the record before; what never changes. A time of the head that is to be counted
--          from now is "+" and the last 17 digits of a duration.
-- Returns  the time of the enqueue of all that this call has stored. If it hasn't stored all, a
--          list: that time, and then for each other its place among the records, from 0, and the
--          time of its enqueue if an earlier try of this very call has stored it, otherwise the
--          stored record as HGETALL gives it.
--
-- Idempotent: an id that is there isn't touched. If what never changes, which has a random
-- part, is the same, it was stored by an earlier try of this very call, whose reply was lost.
-- All or none, because the first write, of ids, is where the server refuses if it does, and
-- nothing after it can fail. That write says too whether any id was there before: most often
-- none was, and then no record is looked for.
--
-- Of a head only the enqueue time is missing, and where it belongs can be read off a few bytes,
-- so it isn't taken apart. Numbers are given as text, since the server is slow at making it of
-- them; and one new record that is due at once, which is what most calls have, goes without
-- tables and functions.
local UNSET = NONE .. NONE

if #ARGV == 4 and sub(ARGV[3], 54, 89) == UNSET and call('ZADD', P .. 'ids', '0', ARGV[2]) == 1 then
  local id, h = ARGV[2], ARGV[3]
  local tail = sub(h, 212)
  local queue = sub(tail, 4, 3 + sub(tail, 1, 3))
  call('HSET', P .. 't:' .. id, 'h', sub(h, 1, 35) .. NOW .. sub(h, 54), 'e', ARGV[4])
  call('ZADD', P .. 'ready:' .. queue, '0', sub(h, 3, 5) .. NOW .. id)
  call('HINCRBY', P .. 'counts', 'R' .. tail, '1')
  call('SADD', P .. 'queues', queue)
  if call('EXISTS', P .. 'idle') == 1 then wake(queue) end
  return NOW
end

local function put(index, members)
  local added = 0
  for i = 1, #members, 2000 do
    added = added + call('ZADD', P .. index, unpack(members, i, math.min(i + 1999, #members)))
  end
  return added
end

local ids = {}
for i = 2, #ARGV, 3 do
  ids[#ids + 1] = '0'
  ids[#ids + 1] = ARGV[i]
end
local none = put('ids', ids) == #ids / 2

local function from_now(t)
  if byte(t) ~= 43 then return t end
  return add(NOW, '0' .. sub(t, 2))
end

local answers, kinds = { NOW }, {} -- the entries by the tails of the heads
local entries, whole, start, expires -- for the records of one head
local expiry = {}

local function begin(h)
  local after = from_now(sub(h, 54, 71))
  local due, tail = NOW, sub(h, 212)
  expires = from_now(sub(h, 72, 89))
  if not early(after) and after > NOW then due = after end
  whole, start = sub(h, 1, 35) .. NOW .. after .. expires .. sub(h, 90), sub(h, 3, 5) .. due
  entries = kinds[tail]
  if not entries then
    entries = {}
    kinds[tail] = entries
  end
end

for i = 2, #ARGV, 3 do
  local id, e = ARGV[i], ARGV[i + 2]
  local k = P .. 't:' .. id
  if ARGV[i + 1] ~= '' then begin(ARGV[i + 1]) end
  if none or call('EXISTS', k) == 0 then
    call('HSET', k, 'h', whole, 'e', e)
    local n = #entries
    entries[n + 1] = '0'
    entries[n + 2] = start .. id
    if expires ~= NONE then
      expiry[#expiry + 1] = '0'
      expiry[#expiry + 1] = expires .. id
    end
  else
    local known = call('HGET', k, 'e') == e and call('HGET', k, 'h')
    answers[#answers + 1] = (i - 2) / 3
    answers[#answers + 1] = known and byte(known) == 49 and sub(known, 36, 53) or call('HGETALL', k)
  end
end
local waited = call('EXISTS', P .. 'idle') == 1
for tail, m in pairs(kinds) do
  if #m > 0 then
    local queue = sub(tail, 4, 3 + sub(tail, 1, 3))
    put('ready:' .. queue, m)
    call('HINCRBY', P .. 'counts', 'R' .. tail, fmt('%d', #m / 2))
    call('SADD', P .. 'queues', queue)
    if waited then wake(queue) end
  end
end
if #expiry > 0 then put('expiry', expiry) end
return #answers > 1 and answers or NOW
