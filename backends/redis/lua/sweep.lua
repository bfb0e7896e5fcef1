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

local function overdue(index, most, fn)
  local n = 0
  local members = call('ZRANGEBYLEX', P .. index, '-', tomorrow, 'LIMIT', 0, most + 1)
  if #members > most then
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
      if damaged then note_damaged(id) end
    end
  end
  return n
end

-- overdue_rows is overdue for an index whose entries stand for several records. Of an entry for
-- which there is no room, left is told which ids are left of it; otherwise the entry is over.
local function overdue_rows(index, row, fn, left)
  local n = 0
  while true do
    local members = call('ZRANGEBYLEX', P .. index, '-', tomorrow, 'LIMIT', 0, 8)
    if #members == 0 then return n end
    for _, m in ipairs(members) do
      local ids = row(m)
      local at = 1
      while at <= #ids and n < limit do
        local r, damaged = load(ids[at])
        if r and fn(ids[at], r, m) then
          n = n + 1
        elseif damaged then
          note_damaged(ids[at])
        end
        at = at + 1
      end
      local some = at <= #ids
      if not some or at > 1 then left(m, ids, at) end
      if some then
        more = 1
        return n
      end
    end
  end
end

local function lose(id, r)
  displace(id, r)
  settle(id, r, 'r', '', ARGV[6], '000000000000000000', '')
  save(id, r)
  return true
end

local lost = overdue_rows('claims', function(m) return ids_of(call('GET', P .. 'claim:' .. sub(m, 19)) or '', 1) end, function(id, r, m)
  return r.status == 'W' and r.own == '0' and r.till .. r.token == m and lose(id, r)
end, function(m, ids, at)
  if at <= #ids then return end -- those that aren't RUNNING any more are passed over again
  call('ZREM', P .. 'claims', m)
  call('HDEL', P .. 'left', sub(m, 19))
  call('DEL', P .. 'claim:' .. sub(m, 19))
end)
lost = lost + overdue('leases', limit - lost, function(id, r)
  return r.status == 'W' and past(r.till) and lose(id, r)
end)
local dead = overdue('expiry', limit, function(id, r)
  if not expired(r) then return false end
  displace(id, r)
  cancel(id, r, 'expired')
  save(id, r)
  return true
end)
local pruned = overdue_rows('final', function(m) return ids_of(m, 37) end, function(id, r, m)
  if r.status == 'R' or r.status == 'W' or final_entry(r) ~= sub(m, 1, 36) then return false end
  forget(id, r)
  return true
end, function(m, ids, at)
  call('ZREM', P .. 'final', m)
  local rest = {}
  for i = at, #ids do rest[#rest + 1] = noted(ids[i]) end
  if #rest > 0 then put('final', { '0', sub(m, 1, 36) .. table.concat(rest) }) end
end)
done()
return { lost, dead, pruned, more }
