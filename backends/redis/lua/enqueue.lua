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
local answers = {}
for i = 5, #ARGV, 5 do
  local id = ARGV[i]
  if call('EXISTS', key(id)) == 0 then
    local r = parse(ARGV[i + 1])
    r.enqueued = NOW
    if ARGV[i + 2] ~= '' then r.run_after = add(NOW, ARGV[i + 2]) end
    if ARGV[i + 3] ~= '' then r.expires = add(NOW, ARGV[i + 3]) end
    call('HSET', key(id), 'h', head(r), 'e', ARGV[i + 4])
    entry('ids', id, true)
    place(id, r)
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
done()
return answers
