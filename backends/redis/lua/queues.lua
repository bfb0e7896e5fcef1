-- queues returns how the queues stand, without changing any record.
--
-- Returns  now; counts as HGETALL gives them; the paused queues; and, one after the other,
--          each queue that has READY records and when its first one is due.
if admit_some() then return AGAIN end
local first = {}
for _, q in ipairs(call('SMEMBERS', P .. 'queues')) do
  local t = earliest(q)
  if t then
    first[#first + 1] = q
    first[#first + 1] = t
  end
end
return { NOW, call('HGETALL', P .. 'counts'), call('SMEMBERS', P .. 'paused'), first }
