-- layout notes how this namespace is laid out, the first time, and returns how it is.
--
-- ARGV[5]  version of the layout
-- ARGV[6]  number of shards
-- Returns  both as they are stored.
if call('EXISTS', P .. 'layout') == 0 then
  call('HSET', P .. 'layout', 'version', ARGV[5], 'shards', ARGV[6])
end
return call('HMGET', P .. 'layout', 'version', 'shards')
