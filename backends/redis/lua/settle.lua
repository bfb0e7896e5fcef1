-- settle ends leases.
--
-- ARGV[5…] for each outcome: id, token, or '' if it is that of the one before, kind, and then, as
--          lib.lua's settle has them, the value of a success, '' for null, and of every other kind
--          the error, delay and reason
-- Returns  for each outcome 0 if it is stored, 1 if the lease isn't the live one, 2 if the
--          record can't be read.
--
-- Tokens fence: they are compared in the same script that writes. What a caller sends is
-- opaque bytes here, so that no record can spoil another. A second try finds the leases gone.

-- A success that nothing else is to be done for than to store it.
local succeed = kept(function(r)
  if not r or r.status ~= 'W' or r.cancel == '1' then return {} end
  local k = { token = r.token, held = r.till, own = r.own == '1' }
  succeeded(r)
  if keep(r) then k.after, k.till = r, r.till end
  return k
end)

local leases, claims, ends = table_of(leaving, 'leases'), {}, {}
local keys, n, i, last, token = {}, 0, 5, #ARGV, nil
while i <= last do
  n = n + 1
  keys[n] = H .. ARGV[i]
  i = i + (ARGV[i + 2] == 's' and 4 or 6)
end
local heads, news, values, ended, answers = read(keys), {}, {}, {}, {}
n, i = 0, 5
while i <= last do
  local id, kind = ARGV[i], ARGV[i + 2]
  if ARGV[i + 1] ~= '' then token = ARGV[i + 1] end
  n = n + 1
  local h, k, new = heads[n], nil, nil
  if kind == 's' and h then k, new = succeed(h) end
  local answer = 0
  if ended[id] then
    answer = 1 -- its lease is over since an outcome before
  elseif k and k.after then
    if k.token == token then
      if k.own then
        leave(leases, 'leases', k.held .. id)
      elseif k.n == 0 then
        begin_removal()
        claims[#claims + 1] = k
      end
      k.n = k.n + 1
      note(table_of(ends, k.till), id)
      ended[id] = true
      news[#news + 1], news[#news + 2] = keys[n], new
      if ARGV[i + 3] ~= '' then values[#values + 1], values[#values + 2] = V .. id, ARGV[i + 3] end
      tell(id)
    else
      answer = 1
    end
  else
    local r = parse(h)
    if not r then
      answer = h and 2 or 1
    elseif r.status ~= 'W' or r.token ~= token then
      answer = 1
    else
      displace(id, r)
      if kind == 's' then
        settle(id, r, kind, ARGV[i + 3])
      else
        settle(id, r, kind, nil, ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
      end
      save(id, r)
      ended[id] = true
    end
  end
  answers[n] = answer
  i = i + (kind == 's' and 4 or 6)
end
write(values)
write(news)
for _, k in ipairs(claims) do depart(k.held, k.token, k.n) end
for till, row in pairs(ends) do enter(table_of(joining, 'final'), till .. NOW .. table.concat(row)) end
done()
return answers
