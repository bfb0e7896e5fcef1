-- enqueue stores new records, all or none.
--
-- ARGV[5…] for each record: id; head, READY, with the times that are known; delay and
--          time to live, '' or a duration; what never changes.
-- Returns  for each record the time of its enqueue if it was stored by this call, otherwise
--          the stored record as HGETALL gives it.
--
-- Idempotent: an id that is there isn't touched. If what never changes, which has a random
-- part, is the same, it was stored by an earlier try of this very call, whose reply was lost.
-- All or none, because the first write, an HSET, is where the server refuses if it does, and
-- nothing after it can fail.
--
-- Most records are due at once and never expire. Of their heads only the enqueue time is
-- missing, and where they belong can be read off a few bytes, so they aren't taken apart:
-- kinds remembers, by the end of a head, what those of one queue and task have in common.
local answers, kinds = {}, {}
local ids = {}

local function kind_of(tail)
  local k = kinds[tail]
  if not k then
    local n = tonumber(sub(tail, 1, 3))
    k = { queue = sub(tail, 4, 3 + n), n = 0, members = {} }
    k.count = 'R' .. sub(tail, 1, 3) .. k.queue .. sub(tail, 4 + n)
    kinds[tail] = k
  end
  return k
end

for i = 5, #ARGV, 5 do
  local id, h = ARGV[i], ARGV[i + 1]
  if call('EXISTS', key(id)) == 0 then
    if ARGV[i + 2] == '' and ARGV[i + 3] == '' and sub(h, 54, 89) == NONE .. NONE then
      call('HSET', key(id), 'h', sub(h, 1, 35) .. NOW .. sub(h, 54), 'e', ARGV[i + 4])
      local k = kind_of(sub(h, 212))
      k.n = k.n + 1
      local m = k.members
      m[#m + 1] = 0
      m[#m + 1] = sub(h, 3, 5) .. NOW .. id
    else
      local r = parse(h)
      r.enqueued = NOW
      if ARGV[i + 2] ~= '' then r.run_after = add(NOW, ARGV[i + 2]) end
      if ARGV[i + 3] ~= '' then r.expires = add(NOW, ARGV[i + 3]) end
      call('HSET', key(id), 'h', head(r), 'e', ARGV[i + 4])
      place(id, r)
    end
    ids[#ids + 1] = 0
    ids[#ids + 1] = id
    answers[#answers + 1] = NOW
  else
    local r = call('HGET', key(id), 'e') == ARGV[i + 4] and load(id)
    if r then
      answers[#answers + 1] = r.enqueued
    else
      answers[#answers + 1] = call('HGETALL', key(id))
    end
  end
end
for _, k in pairs(kinds) do
  counts[k.count] = (counts[k.count] or 0) + k.n
  for i = 1, #k.members, 1000 do
    call('ZADD', P .. 'ready:' .. k.queue, unpack(k.members, i, math.min(i + 999, #k.members)))
  end
  call('SADD', P .. 'queues', k.queue)
  woken[k.queue] = true
end
for i = 1, #ids, 1000 do call('ZADD', P .. 'ids', unpack(ids, i, math.min(i + 999, #ids))) end
done()
return answers
