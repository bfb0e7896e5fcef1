-- sweep takes back records whose lease is past its deadline, cancels those that have
-- expired, and deletes those whose retention is over.
--
-- ARGV[5]  how many of each at most
-- ARGV[6]  the encoded error of a lost attempt
-- Returns  lost, expired, pruned, and 1 if there is more.
--
-- Any number may run: each entry is looked at and dealt with in one script. An entry without
-- its record, or whose record can't be read or isn't what the entry says, is dropped.
local limit, more = tonumber(ARGV[5]), 0
local tomorrow = '(' .. add(NOW, '000000000000000001') -- nothing from the next microsecond on

local function overdue(index, fn)
  local n = 0
  local members = call('ZRANGEBYLEX', P .. index, '-', tomorrow, 'LIMIT', 0, limit + 1)
  if #members > limit then
    more = 1
    members[#members] = nil
  end
  for _, m in ipairs(members) do
    local id = sub(m, 19)
    local r, damaged = load(id)
    if r and fn(id, r) then
      n = n + 1
    else
      call('ZREM', P .. index, m)
      if damaged then call('HSET', P .. 'damaged', id, 'its head is of another version, or cut') end
    end
  end
  return n
end

local lost = overdue('leases', function(id, r)
  if r.status ~= 'W' or not past(r.till) then return false end
  displace(id, r)
  settle(id, r, 'r', '', ARGV[6], '000000000000000000', '')
  save(id, r)
  return true
end)
local dead = overdue('expiry', function(id, r)
  if not expired(r) then return false end
  displace(id, r)
  cancel(id, r, 'expired')
  save(id, r)
  return true
end)
local pruned = overdue('final', function(id, r)
  if r.status == 'R' or r.status == 'W' or not past(r.till) then return false end
  displace(id, r)
  erase(id)
  return true
end)
done()
return { lost, dead, pruned, more }
