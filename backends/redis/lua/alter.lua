-- alter applies an operator's change to records.
--
-- ARGV[5]  cancel, retry, delete or reschedule
-- ARGV[6]  the reason of a cancel
-- ARGV[7]  the time of a reschedule, or ''
-- ARGV[8]  its delay, if there is no time
-- ARGV[9…] ids
-- Returns  for each id its status afterwards ('' if it is gone) after '0' if it was changed,
--          '1' if it isn't in a status for that; or '2' if there is none, '3' if it can't be read.
--
-- Each record is read, judged and written in one script.
admit_these(9, 1)
local kind, answers = ARGV[5], {}

local function change(id, r)
  if kind == 'cancel' and r.status == 'R' then
    displace(id, r)
    cancel(id, r, ARGV[6])
    save(id, r)
  elseif kind == 'cancel' and r.status == 'W' then
    if r.cancel == '0' then -- the first reason stays
      r.cancel = '1'
      r.more = true
      call('HDEL', X .. id, 'cr')
      call('HSET', X .. id, 'cr', ARGV[6])
      call('SET', H .. id, head(r))
    end
    local reason = call('HGET', X .. id, 'cr') or ''
    publish('c' .. fmt('%03d', #id) .. id .. reason)
  elseif kind == 'retry' and (r.status == 'F' or r.status == 'C') then
    displace(id, r)
    if r.attempts + 1 > tonumber(r.max) then r.max = fmt('%d', r.attempts + 1) end
    call('HDEL', X .. id, 'cr')
    r.cancel, r.finished = '0', NONE
    if past(r.expires) then r.expires = NONE end
    wait(r, NOW)
    save(id, r)
  elseif kind == 'delete' and r.status ~= 'W' then
    displace(id, r)
    erase(id)
    call('HDEL', P .. 'damaged', id)
    r.gone = true
  elseif kind == 'reschedule' and r.status == 'R' then
    displace(id, r)
    r.run_after = ARGV[7]
    if r.run_after == '' then r.run_after = add(NOW, ARGV[8]) end
    save(id, r)
  else
    return '1' .. r.status
  end
  if r.gone then return '0' end
  return '0' .. r.status
end

for i = 9, #ARGV do
  local id = ARGV[i]
  local r, damaged = load(id)
  if r then
    answers[#answers + 1] = change(id, r)
  elseif damaged and kind == 'delete' and call('HDEL', P .. 'damaged', id) == 1 then
    -- Its entries in other indexes are dropped when they come up, but these never do.
    for _, index in pairs(IDS) do entry(index, id, false) end
    erase(id)
    answers[#answers + 1] = '0'
  else
    answers[#answers + 1] = damaged and '3' or '2'
  end
end
done()
return answers
