-- unclaim gives back what a claim gave out whose reply was lost, unstarted and in its old
-- place, and forbids that claim if the server hasn't come to it yet.
--
-- ARGV[5]  nonce of the claim
-- Returns  how many records were given back.
--
-- Idempotent. A record whose token isn't the claim's is left alone.
local given = P .. 'claim:' .. ARGV[5]
local n = 0
for _, id in ipairs(ids_of(call('GET', given) or '', 1)) do
  local r, damaged = load(id)
  if r and r.status == 'W' and r.token == ARGV[5] then
    displace(id, r)
    settle(id, r, 'l', '', '', '000000000000000000', '')
    save(id, r)
    n = n + 1
  elseif damaged then
    note_damaged(id) -- the sweep won't come to it any more
  end
end
done()
call('SET', given, '', 'PX', 600000)
return n
