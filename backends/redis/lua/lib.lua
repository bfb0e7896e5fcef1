-- lib.lua comes after store.lua and before every script but append and enqueue. It knows how records are
-- laid out and indexed, and says in Lua what package tasks/lifecycle says in Go.
--
-- ARGV[2]  how long SUCCESSFUL records are kept   as durations; the scripts' own arguments
-- ARGV[3]  how long FAILED records are kept       start at ARGV[5]
-- ARGV[4]  how long CANCELLED records are kept

local KEEP = { S = ARGV[2], F = ARGV[3], C = ARGV[4] }
-- What people look for among very many is listed by ids of its own.
local IDS = { F = 'failed', C = 'cancelled' }

-- past reports whether the time isn't after now; also if it is unset.
local function past(t) return early(t) or t <= NOW end

-- from_now returns now plus a duration. Most records of a script have the same ones.
local sums = {}
local function from_now(d)
  local t = sums[d]
  if not t then
    t = add(NOW, d)
    sums[d] = t
  end
  return t
end

-- Scripts have an unset token in full, as base.lua's NONE; heads don't.
local TOKENLESS = '                                '

-- parse reads a head, or returns nil if this version doesn't understand it.
local function parse(h)
  if not h or byte(h) ~= 51 or not string.find('RWSFC', sub(h, 2, 2), 1, true) then return nil end
  local at = 30 + (tonumber(sub(h, 26, 29)) or 1e9)
  local tail = sub(h, 30, at - 1) -- it has the queue and the task
  local queue = tonumber(sub(tail, 1, 3))
  if #h < at or not queue or #tail < 3 + queue then return nil end
  local function take(unset)
    if byte(h, at) == 46 then
      at = at + 1
      return unset
    end
    at = at + #unset
    return sub(h, at - #unset, at - 1)
  end
  local r = {
    status = sub(h, 2, 2), level = sub(h, 3, 5), cancel = sub(h, 6, 6), own = sub(h, 7, 7),
    enqueued = sub(h, 8, 25), tail = tail, queue = sub(tail, 4, 3 + queue),
    set = {}, -- what goes into x:<id> when the head is saved: fields and values
  }
  r.finished, r.till = take(NONE), take(NONE)
  r.run_after, r.expires = take(NONE), take(NONE)
  r.started = take(NONE)
  if byte(h, at) == 61 then
    r.attempted, at = r.started, at + 1
  else
    r.attempted = take(NONE)
  end
  r.retain, r.token = take(NONE), take(TOKENLESS)
  local attempts, max, more, workers = string.match(h, '^(%d+),(%d+)([;+])(.*);$', at)
  if not attempts then return nil end
  r.attempts, r.max, r.more, r.workers = tonumber(attempts), max, more == '+', workers
  return r
end

local function set(r, field, value)
  local s = r.set
  r.more = true
  s[#s + 1] = field
  s[#s + 1] = value
end

local function short(t) return (t == NONE or t == TOKENLESS) and '.' or t end

local function head(r)
  return '3' .. r.status .. r.level .. r.cancel .. r.own .. r.enqueued .. fmt('%04d', #r.tail) .. r.tail
    .. short(r.finished) .. short(r.till) .. short(r.run_after) .. short(r.expires) .. short(r.started)
    .. (r.attempted == r.started and r.started ~= NONE and '=' or short(r.attempted))
    .. short(r.retain) .. short(r.token) .. fmt('%d', r.attempts) .. ',' .. r.max
    .. (r.more and '+' or ';') .. r.workers .. ';'
end

-- load returns a record, or nil and whether there is something that can't be read.
local function load(id)
  local h = call('GET', H .. id)
  local r = parse(h)
  return r, h and not r
end

local counts, woken, queues = {}, {}, {}

local function count(r, n)
  local k = r.status .. r.tail
  counts[k] = (counts[k] or 0) + n
end

-- due is when a READY record is due: its run_after, or its enqueue if that is later.
local function due(r)
  if early(r.run_after) or r.run_after < r.enqueued then return r.enqueued end
  return r.run_after
end

local function can_expire(r) return r.attempts == 0 and r.expires ~= NONE end

-- note puts an id at the end of a list that is to be a row of them, and noted is a row of one. ids_of
-- takes a row apart from a place on; what is cut isn't read.
local lengths = {}
local function note(row, id)
  local n = row.n or 0
  if not lengths[#id] then lengths[#id] = fmt('%03d', #id) end
  row[n + 1], row[n + 2], row.n = lengths[#id], id, n + 2
end

local function noted(id) return fmt('%03d', #id) .. id end

local function ids_of(row, at)
  local ids = {}
  while true do
    local n = tonumber(sub(row, at, at + 2))
    if not n or n < 1 or at + 2 + n > #row then return ids end
    ids[#ids + 1] = sub(row, at + 3, at + 2 + n)
    at = at + 3 + n
  end
end

local function note_damaged(id) call('HSET', P .. 'damaged', id, 'its head is of another version, or cut') end

-- Entries of the indexes are gathered, and written by done, all of one index together.
-- The last word on a member counts. One removal is written at once, the first, because of
-- what is said above about OOM.
local entries, removed = {}, false
local function entry(index, member, there)
  if not there and not removed then
    removed = true
    call('ZREM', P .. index, member)
  end
  local e = entries[index]
  if not e then
    e = {}
    entries[index] = e
  end
  e[member] = there
end

-- Members that come or go once in a script, and are many, are gathered in lists instead: for an
-- index those that enter is given, and those that leave is.
local joining, leaving = {}, {}

-- leave removes a member, and at once if it's the first.
local function leave(list, index, member)
  if removed then
    list[#list + 1] = member
  else
    removed = true
    call('ZREM', P .. index, member)
  end
end

-- begin_removal is that first removal where there is nothing to remove at once.
local function begin_removal()
  if not removed then
    removed = true
    call('HDEL', P .. 'left', '')
  end
end

-- depart notes that n records don't have the lease any more that a claim gave them.
local departures = {}
local function depart(till, nonce, n)
  begin_removal()
  local k = till .. nonce
  departures[k] = (departures[k] or 0) + n
end

local function departed()
  for k, n in pairs(departures) do
    local nonce = sub(k, 19)
    local left = (tonumber(call('HGET', P .. 'left', nonce)) or 1) - n
    if left > 0 then
      call('HSET', P .. 'left', nonce, fmt('%d', left))
    else
      call('HDEL', P .. 'left', nonce)
      call('ZREM', P .. 'claims', k)
      call('DEL', P .. 'claim:' .. nonce)
    end
  end
end

-- final_entry is that of a final record which has one for itself. One that it has together with
-- others begins so too.
local function final_entry(r) return r.till .. r.finished end

-- unfile takes a final record out of its index, and leaves the others there that are in its entry.
local function unfile(id, r)
  local from = final_entry(r)
  local alone = from .. noted(id)
  if entries.final and entries.final[alone] ~= nil or call('ZSCORE', P .. 'final', alone) then
    return entry('final', alone, false)
  end
  for _, m in ipairs(call('ZRANGEBYLEX', P .. 'final', '[' .. from, '[' .. from .. '\255')) do
    local others, found = {}, false
    for _, other in ipairs(ids_of(m, 37)) do
      if other == id then found = true else others[#others + 1] = noted(other) end
    end
    if found then
      removed = true
      call('ZREM', P .. 'final', m)
      if #others > 0 then put('final', { '0', from .. table.concat(others) }) end
    end
  end
end

-- place puts a record into the index of its status, displace takes it out of it. A RUNNING record
-- that is placed has a lease of its own.
local function place(id, r)
  count(r, 1)
  if r.status == 'R' then
    entry('ready:' .. r.queue, r.level .. due(r) .. id, true)
    if not queues[r.queue] then
      queues[r.queue] = true
      call('SADD', P .. 'queues', r.queue)
    end
    woken[r.queue] = true
    if can_expire(r) then entry('expiry', r.expires .. id, true) end
  elseif r.status == 'W' then
    entry('leases', r.till .. id, true)
  else
    entry('final', final_entry(r) .. noted(id), true)
    if IDS[r.status] then entry(IDS[r.status], id, true) end
  end
end

local function displace(id, r)
  count(r, -1)
  if r.status == 'R' then
    entry('ready:' .. r.queue, r.level .. due(r) .. id, false)
    if can_expire(r) then entry('expiry', r.expires .. id, false) end
  elseif r.status ~= 'W' then
    unfile(id, r)
    if IDS[r.status] then entry(IDS[r.status], id, false) end
  elseif r.own == '1' then
    entry('leases', r.till .. id, false)
  else
    depart(r.till, r.token, 1)
  end
end

-- tell publishes the end of a record, or its absence, to who waits for it.
local watching
local function tell(id)
  if watching == nil then watching = call('EXISTS', P .. 'watched') == 1 end
  if watching and call('HDEL', P .. 'watched', id) == 1 then publish('f' .. id) end
end

-- erase deletes a record that is out of its index.
local function erase(id)
  entry('ids', id, false)
  entry('erred', id, false)
  call('DEL', H .. id, E .. id, V .. id, X .. id)
  tell(id)
end

-- forget deletes a final record whose entry in the index of those its caller sees to.
local function forget(id, r)
  count(r, -1)
  if IDS[r.status] then entry(IDS[r.status], id, false) end
  erase(id)
end

-- keep sets until when a record that has just become final is kept, and returns whether it is.
local function keep(r)
  if r.retain == '000000000000000000' then return false end
  local span = r.retain
  if span == NONE then span = KEEP[r.status] end
  r.till = FOREVER
  if byte(span) ~= 45 then r.till = from_now(span) end
  return true
end

-- save writes a record that is out of its index, and its place, or erases it if it has just
-- become final and is not to be kept.
local function save(id, r)
  if r.finishing and not keep(r) then
    r.gone = true
    return erase(id)
  end
  if #r.set > 0 then call('HSET', X .. id, unpack(r.set)) end
  if r.value then
    call('MSET', H .. id, head(r), V .. id, r.value)
  else
    call('SET', H .. id, head(r))
  end
  place(id, r)
  if r.finishing then tell(id) end
end

-- Heads of a batch are mostly the same, or but for the time of the enqueue, which no event looks
-- at. So what an event makes of a head is kept for others that are the same around that time. event
-- gets the record, or nil, and returns what is to be kept: in after the record as it is then, or
-- nothing there if the event doesn't apply. The function that kept returns gives that for a head,
-- with n, to how many records it was applied, which the caller counts; and the head as it is then.
-- The server's Lua looks at every byte of a text that it makes, so it makes few.
local many = {}
local function kept(event)
  local seen, becomes, known = {}, {}, {}
  return function(h)
    if seen[h] then return seen[h], becomes[h] end
    local front, rest = sub(h, 1, 7), sub(h, 26)
    local same = table_of(known, front)
    local k = same[rest]
    if not k then
      k = event(parse(h))
      same[rest] = k
      if k.after then
        local new = head(k.after)
        k.front, k.rest, k.n = sub(new, 1, 7), sub(new, 26), 0
        k.was, k.is = sub(h, 2, 2) .. k.after.tail, k.after.status .. k.after.tail
        many[#many + 1] = k
      end
    end
    seen[h] = k
    if k.after then becomes[h] = k.front .. sub(h, 8, 25) .. k.rest end
    return k, becomes[h]
  end
end

-- done ends every script that changes records: it writes indexes and counters and wakes those
-- that wait for a queue.
local function done()
  for index, members in pairs(entries) do
    local joins, leaves = table_of(joining, index), table_of(leaving, index)
    for m, there in pairs(members) do
      if there then enter(joins, m) else leaves[#leaves + 1] = m end
    end
  end
  for index, members in pairs(leaving) do
    for i = 1, #members, 4000 do call('ZREM', P .. index, unpack(members, i, math.min(i + 3999, #members))) end
  end
  for index, members in pairs(joining) do put(index, members) end
  departed()
  for _, k in ipairs(many) do
    counts[k.was] = (counts[k.was] or 0) - k.n
    counts[k.is] = (counts[k.is] or 0) + k.n
  end
  for k, n in pairs(counts) do
    if n ~= 0 and call('HINCRBY', P .. 'counts', k, n) == 0 then call('HDEL', P .. 'counts', k) end
  end
  if next(woken) and call('EXISTS', P .. 'idle') == 1 then
    for q in pairs(woken) do wake(q) end
  end
end

-- The workers of a record are in one text at the end of its head, each followed by its length in 6
-- digits, so that the newest can be read and taken back without reading the others.
local function last_worker(w)
  if w == '' then return '', '' end
  local n = tonumber(sub(w, -6))
  return sub(w, -6 - n, -7), sub(w, 1, -7 - n)
end

-- What follows are the events of tasks/lifecycle, on records that are out of their index.

local function finish(r, status)
  r.status, r.finished, r.finishing, r.token, r.own = status, NOW, true, TOKENLESS, '0'
end

local function cancel(id, r, reason)
  if reason == '' then
    call('HDEL', X .. id, 'cr')
  else
    set(r, 'cr', reason)
  end
  r.cancel = '0'
  finish(r, 'C')
end

local function wait(r, till) r.status, r.run_after, r.till, r.token, r.own = 'R', till, NONE, TOKENLESS, '0' end

-- fail records an error: its time, attempt and worker, and the caller's encoded rest.
local function fail(id, r, body)
  local w = last_worker(r.workers)
  local n = call('HINCRBY', X .. id, 'xc', 1)
  set(r, 'x' .. n, NOW .. fmt('%010d%06d', r.attempts, #w) .. w .. body)
  entry('erred', id, true)
end

local function uncount(r, never_started)
  local _
  _, r.workers = last_worker(r.workers)
  if r.attempts > 0 then r.attempts = r.attempts - 1 end
  if never_started and r.attempts == 0 then r.started, r.attempted = NONE, NONE end
end

local function expired(r) return r.status == 'R' and can_expire(r) and past(r.expires) end

-- succeeded is how a record ends whose handler has returned a value.
local function succeeded(r)
  r.cancel = '0'
  finish(r, 'S')
end

-- settle ends the attempt of a RUNNING record. kind is s(uccess), f(ailure), r(etry),
-- z (snooze), l (release) or c(ancel); err is '' for none, or starts with '+'; later is a duration.
local function settle(id, r, kind, value, err, later, reason)
  local requested = r.cancel == '1'
  if kind == 's' then
    if value ~= '' then r.value = value end
    if requested then call('HDEL', X .. id, 'cr') end
    succeeded(r)
  elseif kind == 'c' then
    if err ~= '' then fail(id, r, sub(err, 2)) end
    if requested and reason == '' then reason = call('HGET', X .. id, 'cr') or '' end
    cancel(id, r, reason)
  elseif kind == 'f' or kind == 'r' then
    fail(id, r, sub(err, 2))
    if requested then
      cancel(id, r, call('HGET', X .. id, 'cr') or '')
    elseif kind == 'f' or r.attempts >= tonumber(r.max) then
      finish(r, 'F')
    else
      wait(r, from_now(later))
    end
  else
    uncount(r, kind == 'l')
    if requested then
      cancel(id, r, call('HGET', X .. id, 'cr') or '')
    elseif kind == 'l' and later == '000000000000000000' then
      wait(r, r.run_after)
    else
      wait(r, from_now(later))
    end
  end
end

-- earliest returns when the first record of a queue is due, or nil: the earliest of the
-- heads of its levels.
local function earliest(queue)
  local first, from = nil, '-'
  while true do
    local m = call('ZRANGEBYLEX', P .. 'ready:' .. queue, from, '+', 'LIMIT', 0, 1)[1]
    if not m then return first end
    local t = sub(m, 4, 21)
    if not first or t < first then first = t end
    from = fmt('[%03d', tonumber(sub(m, 1, 3)) + 1)
  end
end
