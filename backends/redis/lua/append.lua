-- append stores new records that are due at once, each a call of its own, where admit of
-- store.lua finds them. That is little beside indexing them, which one script does for many of
-- them, later, when somebody looks. There are no more of them than unpack can take.
--
-- KEYS as in base.lua, which this script goes without: making its functions takes as long again.
-- ARGV[1]  the channel for wake-ups
-- ARGV[2]  1 if the ids have just been made, so that none of them can be there
-- ARGV[3]  the ids, each behind its length in 3 digits, for order of store.lua
-- ARGV[4…] for each record: id; the length of its head, in 4 digits, the head without the time of the
--          enqueue, and what never changes. What is stored is that time and then this.
-- Returns  the time of the enqueue. If some ids are there, a list: that time, and the places of
--          those records, from 0, which aren't stored.
--
-- Idempotent, as an id that is there isn't touched: of a second try, which isn't of new ids,
-- enqueue tells more. Whoever waits for a queue has admitted all and looked, in one script with the
-- note in idle; so either it has seen these records or they find its note.
local P = KEYS[1]
local call, sub = redis.call, string.sub
local clock = call('TIME')
local now = sub('000000000000' .. clock[1], -12) .. sub('000000' .. clock[2], -6)

-- The arguments become those of HSET: making others takes longer.
local last, new, line, heads = #ARGV, ARGV[2] == '1', ARGV[3], P .. 'h:'
ARGV[3] = P .. 'in'
for i = 5, last, 2 do ARGV[i] = now .. ARGV[i] end

-- Most often all ids are new and nobody waits, and one look tells both.
if last == 5 and call('EXISTS', heads .. ARGV[4], P .. 'idle') == 0 then
  if call('HSETNX', unpack(ARGV, 3)) == 0 then return { now, 0 } end
  call('RPUSH', P .. 'order', line)
  return now
end
call('RPUSH', P .. 'order', line) -- also ids that turn out to be there: who reads it looks
if new and call('EXISTS', P .. 'idle') == 0 then
  call('HSET', unpack(ARGV, 3))
  return now
end

local keys, ids = { P .. 'idle' }, {}
for i = 4, last, 2 do
  local n = (i - 2) / 2
  ids[n], keys[n + 1] = ARGV[i], heads .. ARGV[i]
end
local none = call('EXISTS', unpack(keys)) == 0
if none then
  local free = true
  for _, v in ipairs(call('HMGET', P .. 'in', unpack(ids))) do free = free and not v end
  if free then
    if call('HSET', unpack(ARGV, 3)) == #ids then return now end
    call('HDEL', P .. 'in', unpack(ids)) -- an id came twice, and the first of two is the one to store
  end
end

local answer, queues = { now }, {}
for i = 4, last, 2 do
  local id, v = ARGV[i], ARGV[i + 1]
  if (none or call('EXISTS', heads .. id) == 0) and call('HSETNX', P .. 'in', id, v) == 1 then
    queues[sub(v, 37, 36 + sub(v, 34, 36))] = true
  else
    answer[#answer + 1] = (i - 4) / 2
  end
end
if not none and call('EXISTS', P .. 'idle') == 1 then
  for q in pairs(queues) do
    if call('HDEL', P .. 'idle', 'q' .. q, '*') > 0 then redis.pcall('PUBLISH', ARGV[1], 'w' .. q) end
  end
end
if #answer == 1 then return now end
return answer
