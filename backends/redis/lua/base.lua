-- base.lua comes before every script but append: what the keys and the arguments are, the time,
-- and how those are woken that wait.
--
-- KEYS[1]  the prefix of every key of this shard, "{namespace:shard}:". It is no key itself:
--          it routes the script to the shard's hash slot. Which records a script touches
--          isn't known before it runs, so their keys are made here, all in that one slot.
-- KEYS[2]  another key that never exists. Two keys, of which some are missing, are what a
--          Cluster answers with TRYAGAIN, on both nodes, while it moves the slot from one to
--          the other: so no script ever runs with a part of the keys out of its reach.
-- ARGV[1]  the channel that wake-ups, cancellations and ends are published on
-- ARGV[2…] the scripts' own, after those of lib.lua for scripts that have it
--
-- Keys, each after the prefix:
--   h:<id>        STRING  the head of a record, which is there as long as the record is
--   e:<id>        STRING  what never changes of it (opaque here)
--   v:<id>        STRING  its value, which is null if it is SUCCESSFUL without one
--   x:<id>        HASH  what few have: xc and x1… its errors, cr its cancel reason. Its head says
--                       whether this may be there
--   in            HASH  id -> a record that append has stored and that is in no index or counter
--                       yet: the time of the enqueue, in 4 digits the length of its head, that
--                       without this time, and what never changes
--   order         LIST  the ids of in as they have come, those of each script in one line, each behind
--                       its length in 3 digits; also ids that aren't in it any more
--   ids           ZSET  every other id
--   ready:<queue> ZSET  level, due, id of every READY record, due or not
--   expiry        ZSET  expires, id of READY records that haven't started and can expire
--   claims        ZSET  deadline, nonce of every claim of which records are RUNNING with the leases
--                       that it gave them
--   claim:<nonce> STRING  the ids that it gave out, also of those that have ended since; empty
--                       where such a claim is forbidden
--   left          HASH  nonce -> how many of them are still so; one if it isn't there
--   leases        ZSET  deadline, id of every RUNNING record whose lease was renewed
--   final         ZSET  prune at, finished, ids of final records: each of them is in one entry
--   failed        ZSET  id of every FAILED record
--   cancelled     ZSET  id of every CANCELLED record
--   erred         ZSET  id of every record with errors, whatever its status
--   queues        SET   queues that have, or have had, READY records
--   counts        HASH  status, queue, task -> how many records
--   paused        SET   queues
--   damaged       HASH  id -> why it couldn't be decoded when it was to be claimed
--   workers       HASH  worker -> time of the heartbeat, heartbeat
--   idle          HASH  queues (and * for all) that somebody waits for
--   watched       HASH  ids whose end somebody waits for
-- The scores of every ZSET are 0, so that members sort as bytes: exactly, and in one order
-- with their ids.
--
-- A time is 18 digits: microseconds since 1970 padded with zeros, "-" and 17 digits before
-- 1970, or 18 spaces if unset. A duration is the same; "-" and spaces means for ever. Digits
-- are never turned into one number, which would lose the last ones of far times. Ids in a row
-- have their lengths before them, in 3 digits.
--
-- Scripts aren't rolled back. So they read and check before they write, and the server's own
-- refusals (OOM, MISCONF, READONLY, NOREPLICAS) come at the first write or not at all. OOM
-- refuses only commands that may take memory: enqueue starts with one, so that a full
-- server takes no more; the others start with a ZREM or HDEL, so that what is stored can be
-- finished.

local P, CHANNEL = KEYS[1], ARGV[1]
local call, fmt, sub, byte = redis.call, string.format, string.sub, string.byte
local H, E, V, X = P .. 'h:', P .. 'e:', P .. 'v:', P .. 'x:'
local NONE = '                  '
local FOREVER = '253402300799000000'

-- publish wakes somebody, if it can: nothing depends on it, so that a user without the right
-- to the channel has slow wake-ups and no failing scripts.
local function publish(message) redis.pcall('PUBLISH', CHANNEL, message) end

local clock = call('TIME')
local NOW = sub('000000000000' .. clock[1], -12) .. sub('000000' .. clock[2], -6)

-- add returns a time from 1970 on plus a duration that isn't negative; never after FOREVER.
local function add(t, d)
  local us = tonumber(sub(t, 13)) + tonumber(sub(d, 13))
  local s = tonumber(sub(t, 1, 12)) + tonumber(sub(d, 1, 12))
  if us >= 1000000 then
    us = us - 1000000
    s = s + 1
  end
  if s >= 253402300799 then return FOREVER end
  return fmt('%012d%06d', s, us)
end

-- early: unset, or before 1970, and so not comparable as digits.
local function early(t)
  local c = byte(t)
  return c == 32 or c == 45
end

-- wake tells those that wait for a queue that there is something. Whoever waits has looked
-- before, in one script with saying so, and so misses nothing. It's for scripts that have seen
-- that there is a key idle: while nobody waits nothing is published.
local function wake(queue)
  if call('HDEL', P .. 'idle', 'q' .. queue, '*') > 0 then publish('w' .. queue) end
end
