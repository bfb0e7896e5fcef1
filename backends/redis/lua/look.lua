-- look says when the next record of some queues is due, and notes who waits for them.
--
-- ARGV[5]  '1': all queues but those that follow; '0': those that follow
-- ARGV[6…] queues
-- Returns  now, and when the next record is due, or ''.
--
-- Looking and noting are one script: what is enqueued afterwards finds the note and wakes.
-- If something is due already nothing is noted.
if admit_some() then return AGAIN end
local all, names = ARGV[5] == '1', {}
if all then
  local excluded = {}
  for i = 6, #ARGV do excluded[ARGV[i]] = true end
  for _, q in ipairs(call('SMEMBERS', P .. 'queues')) do
    if not excluded[q] then names[#names + 1] = q end
  end
else
  for i = 6, #ARGV do names[#names + 1] = ARGV[i] end
end
local first = ''
for _, q in ipairs(names) do
  if call('SISMEMBER', P .. 'paused', q) == 0 then
    local t = earliest(q)
    if t and (first == '' or t < first) then first = t end
    if first ~= '' and first <= NOW then return { NOW, first } end
  end
end
call('HDEL', P .. 'idle', '')
if all then
  call('HSET', P .. 'idle', '*', '1')
else
  for _, q in ipairs(names) do call('HSET', P .. 'idle', 'q' .. q, '1') end
end
return { NOW, first }
