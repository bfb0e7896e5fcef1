-- claim makes records RUNNING for a worker, in order: level (100 - priority), due, id,
-- across the queues.
--
-- ARGV[5]  worker
-- ARGV[6]  how many at most
-- ARGV[7]  lease, a duration
-- ARGV[8]  nonce: random, of this script, 32 bytes; it is the token that is stored
-- ARGV[9]  '1': all queues but those that follow; '0': those that follow
-- ARGV[10…] queues
-- Returns  for each record its id; its head, or '' if it is that of the record before; what never
--          changes, or false; and the rest as HGETALL gives it, or ''.
--
-- Not idempotent, and so never sent again. What was given out is noted, in one place for all, until
-- the last of it has ended: so sweep finds it when the leases are over; and if the reply is lost,
-- unclaim gives it back, or forbids a claim that the server hasn't come to yet.
local worker, limit, lease, nonce = ARGV[5], tonumber(ARGV[6]), ARGV[7], ARGV[8]
local given = P .. 'claim:' .. nonce
if call('EXISTS', given) == 1 then return {} end

if admit_some() then return AGAIN end

local names, all = {}, ARGV[9] == '1'
if all then
  local excluded = {}
  for i = 10, #ARGV do excluded[ARGV[i]] = true end
  for _, q in ipairs(call('SMEMBERS', P .. 'queues')) do
    if not excluded[q] then names[#names + 1] = q end
  end
else
  for i = 10, #ARGV do names[#names + 1] = ARGV[i] end
end
local paused = {}
for _, q in ipairs(call('SMEMBERS', P .. 'paused')) do paused[q] = true end

-- A stream walks the due records of one queue in order. The rest of a level whose next
-- record isn't due yet is skipped in one step. The heads of those that are due are read together, once
-- the first of them is wanted. All that it comes to leaves the index: between two such steps that is a
-- run, of which the ends are enough to take it out.
local runs = {}
local several = #names > 1
local chunk = math.max(1, math.min(limit, math.ceil(limit / math.max(#names, 1)) + 1))
local function advance(s)
  while true do
    s.at = s.at + 1
    local m = s.members[s.at]
    if not m then
      if s.last then return false end
      s.members, s.at = call('ZRANGEBYLEX', s.key, s.from, '+', 'LIMIT', 0, chunk), 0
      s.last = #s.members < chunk
      if #s.members == 0 then return false, s.from == '-' end
      s.from = '(' .. s.members[#s.members]
      s.ids, s.keys, s.heads = {}, {}, nil
      for i, due in ipairs(s.members) do
        if sub(due, 4, 21) > NOW then break end
        local id = sub(due, 22)
        s.ids[i], s.keys[i] = id, H .. id
      end
    elseif s.ids[s.at] then
      s.member, s.id = m, s.ids[s.at]
      if several then s.place = sub(m, 1, 21) end
      return true
    else
      s.members, s.at, s.last, s.run = {}, 0, false, nil
      s.from = fmt('[%03d', tonumber(sub(m, 1, 3)) + 1)
    end
  end
end

-- Bytes, not letters: the server's locale has no say.
local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

local streams, empty = {}, {}
for _, q in ipairs(names) do
  if not paused[q] then
    local s = { key = P .. 'ready:' .. q, from = '-', members = {}, at = 0 }
    local found, nothing = advance(s)
    if found then streams[#streams + 1] = s end
    if nothing and all then empty[#empty + 1] = q end
  end
end

local till, by = from_now(lease), worker .. fmt('%06d', #worker)
local start = kept(function(r)
  if not r or r.status ~= 'R' then return { unreadable = not r } end
  if expired(r) then return { expired = true } end
  local k = { after = r, expires = can_expire(r) and r.expires, more = r.more }
  r.status, r.attempts, r.attempted = 'W', r.attempts + 1, NOW
  if r.started == NONE then r.started = NOW end
  r.till, r.token, r.workers = till, nonce, r.workers .. by
  return k
end)

local claimed, n, notes, skipped = {}, 0, {}, 0
local heads, fixed, last, mine = {}, {}, nil, {}
while #streams > 0 and n < limit and skipped < 1000 do
  local first = 1
  for i = 2, #streams do
    local a, b = streams[i], streams[first]
    if a.place < b.place or a.place == b.place and before(a.id, b.id) then first = i end
  end
  local s = streams[first]
  s.heads = s.heads or read(s.keys)
  local id, h = s.id, s.heads[s.at]
  local k, new = start(h or '')
  if k.after and not mine[id] then
    k.n, mine[id] = k.n + 1, true
    if not s.run then
      begin_removal()
      s.run = { key = s.key, from = s.member }
      runs[#runs + 1] = s.run
    end
    s.run.to = s.member
    if k.expires then entry('expiry', k.expires .. id, false) end
    heads[2 * n + 1], heads[2 * n + 2] = H .. id, new
    claimed[4 * n + 1], claimed[4 * n + 2] = id, new == last and '' or new
    claimed[4 * n + 3], claimed[4 * n + 4] = false, k.more and call('HGETALL', X .. id) or ''
    n, last = n + 1, new
    fixed[n] = E .. id
    note(notes, id)
  elseif k.expired then
    local r = parse(h)
    displace(id, r)
    cancel(id, r, 'expired')
    save(id, r)
    skipped = skipped + 1
  else
    call('ZREM', s.key, s.member)
    if k.unreadable and h then note_damaged(id) end
    skipped = skipped + 1
  end
  if not advance(s) then table.remove(streams, first) end
end
write(heads)
for i, e in ipairs(read(fixed)) do claimed[4 * i - 1] = e end
for _, run in ipairs(runs) do call('ZREMRANGEBYLEX', run.key, '[' .. run.from, '[' .. run.to) end
if n > 0 then
  call('SET', given, table.concat(notes))
  call('ZADD', P .. 'claims', '0', till .. nonce)
  if n > 1 then call('HSET', P .. 'left', nonce, fmt('%d', n)) end
end
for _, q in ipairs(empty) do call('SREM', P .. 'queues', q) end
done()
return claimed
