-- gather returns the ids of all records with some statuses, if there are few, without changing
-- anything: every one that has them, and perhaps some that don't.
--
-- ARGV[5]  how many there may be
-- ARGV[6]  how many queues there may be
-- ARGV[7]  letters of the statuses
-- ARGV[8…] queues, which only READY ones are looked for in; none means all
-- Returns  1 and the ids, in no order and perhaps twice; or 0 if there are more.
--
-- Between two calls a record may go from one of the statuses to another; but it is in the index
-- of one of them at any time, or noted as damaged, and all are read in one script.
local few, most, letters = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local indexes, n = {}, 0
local function index(name, at)
  n = n + call('ZCARD', P .. name)
  indexes[#indexes + 1] = { P .. name, at }
end
local function wanted(letter) return string.find(letters, letter, 1, true) end

if wanted('W') then index('leases', 19) end
if wanted('S') or wanted('F') or wanted('C') then index('final', 19) end
local ids = {}
if wanted('R') then
  -- What couldn't be decoded when it was claimed is READY and in no index. A program that
  -- is newer than the one that claimed may well decode it.
  n = n + call('HLEN', P .. 'damaged')
  if #ARGV > 7 and #ARGV - 7 > most or #ARGV == 7 and call('SCARD', P .. 'queues') > most then return { 0 } end
  if n > few then return { 0 } end
  ids = call('HKEYS', P .. 'damaged')
  if #ARGV > 7 then
    for i = 8, #ARGV do index('ready:' .. ARGV[i], 22) end
  else
    for _, q in ipairs(call('SMEMBERS', P .. 'queues')) do index('ready:' .. q, 22) end
  end
end
if n > few then return { 0 } end
for _, from in ipairs(indexes) do
  local name, at = from[1], from[2]
  for _, m in ipairs(call('ZRANGE', name, 0, -1)) do ids[#ids + 1] = sub(m, at) end
end
return { 1, ids }
