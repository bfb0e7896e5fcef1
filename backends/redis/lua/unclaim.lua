-- unclaim gives back what a claim gave out whose reply was lost, unstarted and in its old
-- place, and forbids that claim if the server hasn't come to it yet.
--
-- ARGV[5]  nonce of the claim
-- Returns  how many records were given back.
--
-- Idempotent. A record whose token isn't the claim's is left alone.
local note = P .. 'claim:' .. ARGV[5]
local noted, n = call('GET', note), 0
local at = 1
while noted and at < #noted do
  local stop = at + 2 + tonumber(sub(noted, at, at + 2))
  local id = sub(noted, at + 3, stop)
  local r = load(id)
  if r and r.status == 'W' and r.token == ARGV[5] then
    displace(id, r)
    settle(id, r, 'l', '', '', '000000000000000000', '')
    save(id, r)
    n = n + 1
  end
  at = stop + 1
end
done()
call('SET', note, '', 'PX', 600000)
return n
