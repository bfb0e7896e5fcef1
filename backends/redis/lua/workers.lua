-- workers returns now, and the heartbeats as HGETALL gives them.
return { NOW, call('HGETALL', P .. 'workers') }
