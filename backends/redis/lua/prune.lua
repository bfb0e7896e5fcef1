-- prune deletes final records that match, walking their index from a place on.
--
-- ARGV[5]  where to start: '', or the place that the call before returned
-- ARGV[6]  how many to delete at most
-- ARGV[7]  how many to look at, at most
-- ARGV[8]  the latest time of finishing
-- ARGV[9]  statuses, one letter each
-- ARGV[10…] queues; none means all
-- Returns  how many were deleted, the last place looked at, 1 if that was the end.
local limit, look, latest = tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8]
local wanted = {}
for i = 10, #ARGV do wanted[ARGV[i]] = true end
local from = ARGV[5] == '' and '-' or '(' .. ARGV[5]
local members = call('ZRANGEBYLEX', P .. 'final', from, '+', 'LIMIT', 0, look)
local deleted, at, over = 0, ARGV[5], #members < look and 1 or 0
for i, m in ipairs(members) do
  if deleted == limit then
    over = 0
    break
  end
  at = m
  local id = sub(m, 19)
  local r = load(id)
  if not r or r.status == 'R' or r.status == 'W' then
    call('ZREM', P .. 'final', m)
  elseif string.find(ARGV[9], r.status, 1, true) and (#ARGV < 10 or wanted[r.queue])
    and (early(r.finished) or r.finished <= latest) then
    displace(id, r)
    erase(id)
    deleted = deleted + 1
  end
end
done()
return { deleted, at, over }
