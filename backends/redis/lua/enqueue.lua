-- enqueue stores new records, all or none.
--
-- ARGV[2…] for each record: id; head, READY, with the times that are known, or '' if it is that
--          of the record before; what never changes. A time of the head that is to be counted
--          from now is "+" and the last 17 digits of a duration.
-- Returns  the time of the enqueue of all that this call has stored. If it hasn't stored all, a
--          list: that time, and then for each other its place among the records, from 0, and the
--          time of its enqueue if an earlier try of this very call has stored it, otherwise its
--          head, what never changes, its value or false, and the rest as HGETALL gives it.
--
-- Idempotent: an id that is there isn't touched. If what never changes, which has a random
-- part, is the same, it was stored by an earlier try of this very call, whose reply was lost.
-- All or none, because the first write, of ids, is where the server refuses if it does, and
-- nothing after it can fail. That write says too whether any id was there before: most often
-- none was, and then no record is looked for.
--
-- What append has stored with such an id is indexed first, and then it is there.
--
-- Of a head only the enqueue time is missing, and where it belongs can be read off a few bytes,
-- so it isn't taken apart.
admit_these(2, 3)

local ids = {}
for i = 2, #ARGV, 3 do
  ids[#ids + 1] = '0'
  ids[#ids + 1] = ARGV[i]
end
local none = put('ids', ids) == #ids / 2

local function from_now(t)
  if byte(t) ~= 43 then return t end
  return add(NOW, '0' .. sub(t, 2))
end

local answers = { NOW }
local entries, whole, start, expires -- for the records of one head
local expiry, new = {}, {}

local function begin(h)
  local n = tonumber(sub(h, 26, 29))
  local at, due, after = 32 + n, NOW, '.'
  if byte(h, at) ~= 46 then
    after, at = from_now(sub(h, at, at + 17)), at + 17
    if not early(after) and after > NOW then due = after end
  end
  at, expires = at + 1, '.'
  if byte(h, at) ~= 46 then expires, at = from_now(sub(h, at, at + 17)), at + 17 end
  whole, start = sub(h, 1, 7) .. NOW .. sub(h, 26, 31 + n) .. after .. expires .. sub(h, at + 1), sub(h, 3, 5) .. due
  entries = table_of(coming, sub(h, 30, 29 + n))
end

for i = 2, #ARGV, 3 do
  local id, e = ARGV[i], ARGV[i + 2]
  if ARGV[i + 1] ~= '' then begin(ARGV[i + 1]) end
  if none or call('EXISTS', H .. id) == 0 then
    local n = #new
    new[n + 1], new[n + 2], new[n + 3], new[n + 4] = H .. id, whole, E .. id, e
    if not none then -- another one may have the same id
      write(new)
      new = {}
    end
    enter(entries, start .. id)
    if expires ~= '.' then enter(expiry, expires .. id) end
  else
    local there = call('MGET', H .. id, E .. id, V .. id)
    answers[#answers + 1] = (i - 2) / 3
    if there[2] == e and there[1] and byte(there[1]) == 51 then
      answers[#answers + 1] = sub(there[1], 8, 25)
    else
      there[4] = call('HGETALL', X .. id)
      answers[#answers + 1] = there
    end
  end
end
write(new)
entered()
if #expiry > 0 then put('expiry', expiry) end
return #answers > 1 and answers or NOW
