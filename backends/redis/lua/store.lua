-- store.lua comes after base.lua in every script but append: how new records get into the indexes.

-- put adds members to an index and returns how many are new. They come with scores.
local function put(index, members)
  local added = 0
  for i = 1, #members, 2000 do
    added = added + call('ZADD', P .. index, unpack(members, i, math.min(i + 1999, #members)))
  end
  return added
end

-- write sets keys, which come with their values: one command for many is what makes it fast.
local function write(keys)
  for i = 1, #keys, 2000 do call('MSET', unpack(keys, i, math.min(i + 1999, #keys))) end
end

-- read gets the values of keys, false for each that isn't there. They are no more than unpack can take.
local function read(keys) return #keys == 0 and {} or call('MGET', unpack(keys)) end

-- table_of returns the table that another one has for a key.
local function table_of(tables, key)
  local t = tables[key]
  if not t then
    t = {}
    tables[key] = t
  end
  return t
end

-- Entries of ready indexes, by the tails of the heads.
local coming = {}

local function enter(entries, member)
  local n = #entries
  entries[n + 1] = '0'
  entries[n + 2] = member
end

-- entered writes the entries and what goes with them, and wakes those that wait. Numbers are given
-- as text, since the server is slow at making it of them.
local function entered()
  local waited = call('EXISTS', P .. 'idle') == 1
  for tail, m in pairs(coming) do
    if #m > 0 then
      local queue = sub(tail, 4, 3 + sub(tail, 1, 3))
      put('ready:' .. queue, m)
      call('HINCRBY', P .. 'counts', 'R' .. tail, fmt('%d', #m / 2))
      call('SADD', P .. 'queues', queue)
      if waited then wake(queue) end
    end
  end
  coming = {}
end

-- shape takes apart what append has stored. It returns what the head is before and behind the time
-- of the enqueue and where it belongs, which is the same for most and is kept in shapes; that time;
-- and where the head ends. What was cut has no entries.
local function shape(shapes, v)
  local front = sub(v, 19, 29)
  local same = table_of(shapes, front)
  local stop = same[0] or 4 + (tonumber(sub(front, 1, 4)) or 0)
  same[0] = stop -- other keys are texts
  local rest = sub(v, 30, stop)
  local m = same[rest]
  if not m then
    local n = tonumber(sub(rest, 1, 4)) or 0
    local tail = sub(rest, 5, 4 + n)
    m = { front = sub(front, 5), behind = rest, level = sub(front, 7, 9) }
    if n >= 3 and sub(rest, -1) == ';' and tonumber(sub(tail, 1, 3)) then m.entries = table_of(coming, tail) end
    same[rest] = m
  end
  return m, sub(v, 1, 18), stop
end

-- admit indexes records that append has stored: ids and what it has stored, one after the other.
-- They are taken out first, because HDEL is a command that a full server runs. One that is there
-- is dropped: enqueue came before append with it, and told its caller so. Nothing behind the first
-- write can fail, whatever the bytes are.
local function admit(all)
  local gone, ids = {}, {}
  for i = 1, #all, 2 do
    gone[#gone + 1] = all[i]
    ids[#ids + 1] = '0'
    ids[#ids + 1] = all[i]
  end
  for i = 1, #gone, 4000 do call('HDEL', P .. 'in', unpack(gone, i, math.min(i + 3999, #gone))) end
  local none, shapes, new = put('ids', ids) == #gone, {}, {}
  for i = 1, #all, 2 do
    local id, v = all[i], all[i + 1]
    if none or call('EXISTS', H .. id) == 0 then
      local m, now, stop = shape(shapes, v)
      local n = #new
      new[n + 1], new[n + 2] = H .. id, m.front .. now .. m.behind
      new[n + 3], new[n + 4] = E .. id, sub(v, stop + 1)
      if not none then -- it may come twice
        write(new)
        new = {}
      end
      if m.entries then
        enter(m.entries, m.level .. now .. id)
      else
        call('HSET', P .. 'damaged', id, 'it was cut before it was indexed')
      end
    end
  end
  write(new)
  entered()
end

-- waiting adds to a list those of some ids that append has stored, and what it has stored of each.
local function waiting(list, ids)
  for i = 1, #ids, 1000 do
    for j, v in ipairs(call('HMGET', P .. 'in', unpack(ids, i, math.min(i + 999, #ids)))) do
      if v then
        list[#list + 1] = ids[i + j - 1]
        list[#list + 1] = v
      end
    end
  end
end

-- PIECE is how many records are indexed at once, or a few more.
local PIECE, AGAIN = 1000, { err = 'AGAIN there is more to index' }

-- oldest returns a piece of what append has stored, from the oldest on: what comes in the order of
-- the indexes is entered two times as fast. order has the ids of each call of append, each behind its
-- length in 3 digits; some may not wait any more.
local function oldest()
  local some = {}
  while #some < 2 * PIECE do
    local lines = call('LRANGE', P .. 'order', 0, 19)
    if #lines == 0 then break end
    local ids, used = {}, 0
    while used < #lines and #ids < PIECE do
      used = used + 1
      local line, at = lines[used], 1
      while at < #line do
        local stop = at + 2 + sub(line, at, at + 2)
        ids[#ids + 1] = sub(line, at + 3, stop)
        at = stop + 1
      end
    end
    call('LTRIM', P .. 'order', used, -1)
    waiting(some, ids)
  end
  local at = '0'
  while #some == 0 do -- what isn't in order, in whatever order
    local page = call('HSCAN', P .. 'in', at, 'COUNT', PIECE)
    at, some = page[1], page[2]
    if at == '0' then break end
  end
  return some
end

-- admit_some indexes some of what append has stored, and returns whether there is more. A script
-- that looks at indexes begins with it, and if there is more it ends with AGAIN at once: then it is
-- called again, and others come in between.
local function admit_some()
  local n = call('HLEN', P .. 'in')
  if n > PIECE then
    admit(oldest())
    return call('EXISTS', P .. 'in') == 1
  end
  if n > 0 then admit(call('HGETALL', P .. 'in')) end
  -- If nothing was to be indexed, this mustn't fail where the server takes no writes.
  if call('EXISTS', P .. 'order') == 1 then redis.pcall('DEL', P .. 'order') end
  return false
end

-- admit_these indexes those of some ids that append has stored: ARGV from a place on, and every
-- so many.
local function admit_these(from, step)
  if call('EXISTS', P .. 'in') == 0 then return end
  local ids, these = {}, {}
  for i = from, #ARGV, step do ids[#ids + 1] = ARGV[i] end
  waiting(these, ids)
  if #these == 0 then return end
  admit(these)
  if call('EXISTS', P .. 'in') == 0 then call('DEL', P .. 'order') end
end
