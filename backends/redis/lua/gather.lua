-- gather returns the ids of all records that may match a filter, if there are few, without
-- changing any record: every one that does, and perhaps some that don't.
--
-- ARGV[5]  how many there may be
-- ARGV[6]  how many queues and how many counters there may be
-- ARGV[7]  letters of the wanted statuses
-- ARGV[8]  how many queues follow, none for all; after them come tasks, none for all
-- ARGV[9…] queues; tasks
-- Returns  1 and the ids, in no order and perhaps twice; or 0 if there are more.
--
-- Between two calls a record may go from one of the statuses to another; but it is in the index
-- of one of them at any time, or noted as damaged, and is counted; and all is read in one script.
if admit_some() then return AGAIN end
local few, most, letters = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local last_queue = 8 + tonumber(ARGV[8])
local every_queue, every_task = last_queue == 8, last_queue == #ARGV
local queues, tasks = {}, {}
for i = 9, last_queue do queues[ARGV[i]] = true end
for i = last_queue + 1, #ARGV do tasks[ARGV[i]] = true end

-- What has no record of the wanted queues and tasks needn't be looked at. There may be too many
-- counters to see that.
local counted = call('HLEN', P .. 'counts') <= most
local have, ready = {}, {}
if counted then
  for _, k in ipairs(call('HKEYS', P .. 'counts')) do
    local q = 4 + tonumber(sub(k, 2, 4))
    local queue = sub(k, 5, q)
    if (every_queue or queues[queue]) and (every_task or tasks[sub(k, q + 1)]) then
      have[sub(k, 1, 1)] = true
      if byte(k) == 82 then ready[queue] = true end
    end
  end
end
local function wanted(letter)
  return string.find(letters, letter, 1, true) and (have[letter] or not counted)
end

local indexes, n = {}, 0
local function index(name, at)
  n = n + call('ZCARD', P .. name)
  indexes[#indexes + 1] = { P .. name, at }
end

-- rows adds the ids of an index whose entries stand for several records, and stops when there are
-- too many.
local ids = {}
local function rows(name, row)
  local from = '-'
  while n <= few do
    local members = call('ZRANGEBYLEX', P .. name, from, '+', 'LIMIT', 0, 20)
    if #members == 0 then return end
    for _, m in ipairs(members) do
      for _, id in ipairs(row(m)) do
        n = n + 1
        ids[#ids + 1] = id
      end
    end
    from = '(' .. members[#members]
  end
end

if wanted('W') then
  index('leases', 19)
  rows('claims', function(m) return ids_of(call('GET', P .. 'claim:' .. sub(m, 19)) or '', 1) end)
end
if wanted('S') then
  rows('final', function(m) return ids_of(m, 37) end)
else
  for letter, name in pairs(IDS) do
    if wanted(letter) then index(name, 1) end
  end
end
if wanted('R') then
  -- What couldn't be decoded when it was claimed is READY and in no index. A program that
  -- is newer than the one that claimed may well decode it.
  n = n + call('HLEN', P .. 'damaged')
  if not counted then
    if (every_queue and call('SCARD', P .. 'queues') or last_queue - 8) > most then return { 0 } end
    ready = queues
    if every_queue then
      for _, q in ipairs(call('SMEMBERS', P .. 'queues')) do ready[q] = true end
    end
  end
  for q in pairs(ready) do index('ready:' .. q, 22) end
  if n > few then return { 0 } end
  for _, id in ipairs(call('HKEYS', P .. 'damaged')) do ids[#ids + 1] = id end
end
if n > few then return { 0 } end
for _, from in ipairs(indexes) do
  local name, at = from[1], from[2]
  for _, m in ipairs(call('ZRANGE', name, 0, -1)) do ids[#ids + 1] = sub(m, at) end
end
return { 1, ids }
