-- beat stores a worker's heartbeat with the server's time, or forgets the worker.
--
-- ARGV[5]  worker
-- ARGV[6]  the encoded heartbeat, or '' to forget
-- ARGV[7]  with '' only: forget it only if this is what is stored, or '' whatever is
if ARGV[6] ~= '' then
  call('HDEL', P .. 'workers', ARGV[5])
  call('HSET', P .. 'workers', ARGV[5], NOW .. ARGV[6])
elseif ARGV[7] == '' or call('HGET', P .. 'workers', ARGV[5]) == ARGV[7] then
  call('HDEL', P .. 'workers', ARGV[5])
end
return 1
