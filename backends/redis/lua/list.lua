-- list returns ids and heads in the order of the ids, without changing anything.
--
-- ARGV[5]  the id to go on behind, or ''
-- ARGV[6]  '1' for descending ids
-- ARGV[7]  how many
-- ARGV[8]  '1' to return the newest worker of each as well
-- Returns  for each id: id, head ('' if there is none), newest worker.
local ids
if ARGV[6] == '1' then
  ids = call('ZREVRANGEBYLEX', P .. 'ids', ARGV[5] == '' and '+' or '(' .. ARGV[5], '-', 'LIMIT', 0, ARGV[7])
else
  ids = call('ZRANGEBYLEX', P .. 'ids', ARGV[5] == '' and '-' or '(' .. ARGV[5], '+', 'LIMIT', 0, ARGV[7])
end
local answers = {}
for _, id in ipairs(ids) do
  answers[#answers + 1] = id
  answers[#answers + 1] = call('HGET', key(id), 'h') or ''
  answers[#answers + 1] = ARGV[8] == '1' and last_worker(call('HGET', key(id), 'w')) or ''
end
return answers
