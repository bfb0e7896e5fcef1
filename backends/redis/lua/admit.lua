-- admit indexes a piece of what append has stored.
--
-- Returns  how many are left.
admit_some()
return call('HLEN', P .. 'in')
