-- list returns ids of records that may match a filter, without changing any record: every one
-- that does, and some that don't. Who asked reads the records and judges.
--
-- ARGV[5]  the id to go on behind, or ''
-- ARGV[6]  '1' for descending ids
-- ARGV[7]  how many ids to return
-- ARGV[8]  how many to look at, at most
-- ARGV[9]  which ids to go along: ids, failed, cancelled or erred
-- ARGV[10] letters of the wanted statuses, or '' for all
-- ARGV[11] enqueued not before, ARGV[12] not after; ARGV[13] finished not after; or '' each
-- ARGV[14] what the workers of a record end in: the newest and its length; or ''
-- ARGV[15] how many queues follow, ARGV[16] how many tasks; 0 means all
-- ARGV[17…] queues; tasks; and ids, if these are to be looked at instead: then ARGV[5] to
--          ARGV[9] have no say
-- Returns  1 if no others are behind, the last id looked at, how many were looked at, and a
--          list of the ids in the order of their index, or as they were given.
--
-- Going on behind an id misses no record, whatever is added, changed or deleted meanwhile:
-- the place of an id in its index never changes. Order is the index's affair and not Lua's, which
-- compares by the server's locale.
if admit_some() then return AGAIN end
local newest, want, look = ARGV[6] == '1', tonumber(ARGV[7]), tonumber(ARGV[8])
local since, till, finished, newest_worker = ARGV[11], ARGV[12], ARGV[13], ARGV[14]
local last_queue = 16 + tonumber(ARGV[15])
local last_task = last_queue + tonumber(ARGV[16])
local every_status, every_queue, every_task = ARGV[10] == '', last_queue == 16, last_task == last_queue
local letters, names, tasks = {}, {}, {}
for i = 1, #ARGV[10] do letters[byte(ARGV[10], i)] = true end
for i = 17, last_queue do names[ARGV[i]] = true end
for i = last_queue + 1, last_task do tasks[ARGV[i]] = true end
local timed = since ~= '' or till ~= '' or finished ~= ''
local named = not (every_queue and every_task)
local all = every_status and not timed and not named and newest_worker == ''

-- candidate reports whether a record may match. A head that is cut can't be decoded.
local function candidate(h)
  if not h or #h < 33 or not (every_status or letters[byte(h, 2)]) then return false end
  local stop = 29 + (tonumber(sub(h, 26, 29)) or 0)
  if named then
    local q = 32 + (tonumber(sub(h, 30, 32)) or 0)
    if not ((every_queue or names[sub(h, 33, q)]) and (every_task or tasks[sub(h, q + 1, stop)])) then return false end
  end
  if timed then
    local t, f = sub(h, 8, 25), NONE
    if byte(h, stop + 1) ~= 46 then f = sub(h, stop + 1, stop + 18) end
    if not early(t) and (since ~= '' and t < since or till ~= '' and t > till) then return false end
    if finished ~= '' and not early(f) and f > finished then return false end
  end
  return newest_worker == '' or sub(h, -#newest_worker - 1, -2) == newest_worker
end

-- heads reads those of ids.
local function heads(ids)
  local keys = {}
  for i, id in ipairs(ids) do keys[i] = H .. id end
  return read(keys)
end

if #ARGV > last_task then
  local ids, found = {}, {}
  for i = last_task + 1, #ARGV do ids[#ids + 1] = ARGV[i] end
  for i, h in ipairs(heads(ids)) do
    if candidate(h) then found[#found + 1] = ids[i] end
  end
  return { 1, '', #ARGV - last_task, found }
end

local index, found, at, looked, step = P .. ARGV[9], {}, ARGV[5], 0, want
while looked < look do
  step = math.min(step, look - looked)
  local ids
  if newest then
    ids = call('ZREVRANGEBYLEX', index, at == '' and '+' or '(' .. at, '-', 'LIMIT', 0, step)
  else
    ids = call('ZRANGEBYLEX', index, at == '' and '-' or '(' .. at, '+', 'LIMIT', 0, step)
  end
  local have = all and {} or heads(ids)
  for i, id in ipairs(ids) do
    at = id
    if all or candidate(have[i]) then
      found[#found + 1] = id
      if #found == want then
        return { i == #ids and i < step and 1 or 0, at, looked + i, found }
      end
    end
  end
  looked = looked + #ids
  if #ids < step then return { 1, at, looked, found } end
  step = math.min(2 * step, 1000)
end
return { 0, at, looked, found }
