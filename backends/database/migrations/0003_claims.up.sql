-- Claiming gives a record a second entry in the primary key, next to its first. So the pages that
-- enqueues fill have room for as many again, or each would be split by a claim; and making one
-- of the two is tried in vain as long as the claim isn't committed.
ALTER INDEX @.tasks_pkey SET (fillfactor = 45, deduplicate_items = off);

-- Has no rows: large claims lock it, one after the other.
CREATE TABLE @.turns ();

-- The records whose cancellation is requested. Settling changes nothing of it unless it is.
CREATE INDEX tasks_cancels ON @.tasks (id) WHERE cancel_requested;
