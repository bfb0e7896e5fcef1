-- settle ends leases.
--
-- ARGV[5…] for each outcome: id, token, kind, value, error, delay, reason, as lib.lua's settle
--          has them
-- Returns  for each outcome 0 if it is stored, 1 if the lease isn't the live one, 2 if the
--          record can't be read.
--
-- Tokens fence: they are compared in the same script that writes. What a caller sends is
-- opaque bytes here, so that no record can spoil another. A second try finds the leases gone.
local answers = {}
for i = 5, #ARGV, 7 do
  local id = ARGV[i]
  local r, damaged = load(id)
  if damaged then
    answers[#answers + 1] = 2
  elseif not r or r.status ~= 'W' or r.token ~= ARGV[i + 1] then
    answers[#answers + 1] = 1
  else
    displace(id, r)
    settle(id, r, ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5], ARGV[i + 6])
    save(id, r)
    answers[#answers + 1] = 0
  end
end
done()
return answers
