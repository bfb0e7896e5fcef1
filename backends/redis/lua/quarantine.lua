-- quarantine takes a record out of the way that was claimed and then couldn't be decoded. It
-- is READY again, unstarted, but in no index, and Check reports it.
--
-- ARGV[5]  id
-- ARGV[6]  token of the lease
-- ARGV[7]  why it can't be decoded
local id = ARGV[5]
local r = load(id)
if not r or r.status ~= 'W' or r.token ~= ARGV[6] then return 0 end
displace(id, r)
settle(id, r, 'l', '', '', '000000000000000000', '')
if r.status == 'R' then
  count(r, 1)
  call('SET', H .. id, head(r))
  call('HSET', P .. 'damaged', id, ARGV[7])
else
  save(id, r)
end
done()
return 1
