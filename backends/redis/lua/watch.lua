-- watch notes that somebody waits for the end of a record, if it hasn't come to it.
--
-- ARGV[5]  id
-- Returns  1 if it is noted, 0 if there is nothing to wait for.
--
-- The note is made in one script with the look, so that no end is missed. The end or the
-- deletion of the record takes it away.
admit_these(5, 1)
local r = load(ARGV[5])
if not r or string.find('SFC', r.status, 1, true) then return 0 end
call('HDEL', P .. 'watched', ARGV[5])
call('HSET', P .. 'watched', ARGV[5], '1')
return 1
