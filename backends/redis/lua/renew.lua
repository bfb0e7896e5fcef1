-- renew moves the deadlines of leases.
--
-- ARGV[5]  lease, a duration
-- ARGV[6…] for each lease: id, token
-- Returns  the new deadline, and for each lease '' if it is lost, '0' if it is held, or '1'
--          and the reason if its cancellation is requested.
--
-- The token is what counts, not the deadline: a lease that nobody has reclaimed is live.
-- Idempotent.
local answers = { add(NOW, ARGV[5]) }
for i = 6, #ARGV, 2 do
  local id = ARGV[i]
  local r = load(id)
  if not r or r.status ~= 'W' or r.token ~= ARGV[i + 1] then
    answers[#answers + 1] = ''
  else
    displace(id, r)
    r.till, r.own = answers[1], '1'
    save(id, r)
    answers[#answers + 1] = r.cancel
    if r.cancel == '1' then answers[#answers] = '1' .. (call('HGET', X .. id, 'cr') or '') end
  end
end
done()
return answers
