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
local deleted, looked, at = 0, 0, ARGV[5]

-- prune_entry deletes those of an entry that match, and leaves the others in it. It returns true if
-- there are more than may be deleted.
local function prune_entry(m)
  local all, left, full = ids_of(m, 37), {}, false
  for _, id in ipairs(all) do
    local r = load(id)
    if not r or r.status == 'R' or r.status == 'W' or final_entry(r) ~= sub(m, 1, 36) then -- it isn't there
    elseif string.find(ARGV[9], r.status, 1, true) and (#ARGV < 10 or wanted[r.queue])
      and (early(r.finished) or r.finished <= latest) and deleted < limit then
      forget(id, r)
      deleted = deleted + 1
    else
      full = full or deleted == limit
      left[#left + 1] = noted(id)
    end
  end
  if #left < #all or #all == 0 then
    call('ZREM', P .. 'final', m)
    if #left > 0 then put('final', { '0', sub(m, 1, 36) .. table.concat(left) }) end
  end
  looked = looked + #all
  return full
end

local over = 0
while over == 0 and looked < look do
  local members = call('ZRANGEBYLEX', P .. 'final', at == '' and '-' or '(' .. at, '+', 'LIMIT', 0, 8)
  if #members == 0 then over = 1 end
  for _, m in ipairs(members) do
    -- What is left of this entry, or of others that begin alike, may stand before it now.
    if prune_entry(m) then
      done()
      return { deleted, sub(m, 1, 36), 0 }
    end
    -- No other entry begins with the same id, and the place is to be short.
    at = sub(m, 1, 39 + (tonumber(sub(m, 37, 39)) or 0)) .. '\255'
    if looked >= look then break end
  end
end
done()
return { deleted, at, over }
