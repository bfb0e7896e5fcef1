-- pause stops claims from a queue, or lets them go on and wakes who waits.
--
-- ARGV[5]  queue
-- ARGV[6]  '1' to pause, '0' to resume
if ARGV[6] == '1' then
  call('SREM', P .. 'paused', ARGV[5])
  call('SADD', P .. 'paused', ARGV[5])
elseif call('SREM', P .. 'paused', ARGV[5]) == 1 then
  call('HDEL', P .. 'idle', 'q' .. ARGV[5], '*')
  publish('w' .. ARGV[5])
end
return 1
