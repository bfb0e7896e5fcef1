package bolt

import "time"

// log stores a batch by way of the log, and reports whether it did. If not, none of
// the ops has been told anything.
func (b *Backend) log(ops []*op) bool {
	j := &b.journal
	size, n := 0, 0
	for _, o := range ops {
		if o.fresh == nil {
			return false
		}
		n += len(o.fresh)
		size += frameSize(o.fresh)
	}
	if j.path == "" || size > maxFrame || n > maxPending/4 {
		return false
	}
	if j.file == nil {
		b.makeLog()
	}
	if j.file == nil || j.stored.id != j.file.id || !j.file.fits(size) || len(j.pending)+n > maxPending || !b.allNew(ops, n) {
		return false
	}
	live := take(ops, make([]*op, 0, len(ops)))
	if len(live) == 0 {
		return true
	}
	now, frame := time.Now(), newFrame(j.frame)
	for _, o := range live {
		for i := range o.fresh {
			o.fresh[i].stamp(now)
			frame = appendEntry(frame, &o.fresh[i])
		}
	}
	frame = seal(frame, j.file.id, j.state.seq+1)
	j.frame = frame
	j.state.seq++
	if err := j.file.append(frame); err != nil {
		// The frame may be there or not. If the transaction that is tried instead is
		// committed, it says that the frame is done with.
		for _, o := range live {
			o.doubt = true
		}
		b.endLog(err)
		return false
	}
	for _, o := range live {
		j.add(o.fresh, j.state.seq)
	}
	b.hub.publish(&news{ready: true})
	b.tell(live, nil)
	if j.armed.CompareAndSwap(false, true) {
		time.AfterFunc(pendingFor, b.commitLater)
	}
	return true
}

// allNew says whether no record has an id that is known, and the file has room for
// them. What it says holds, because nobody else writes.
func (b *Backend) allNew(ops []*op, n int) (all bool) {
	var seen map[string]bool
	if n > 1 {
		seen = make(map[string]bool, n)
	}
	known := func(t *txn, f *fresh) bool {
		if b.journal.byID[f.in.ID] != nil || seen[f.in.ID] || t.get(inRecords, f.key) != nil {
			return true
		}
		if seen != nil {
			seen[f.in.ID] = true
		}
		return false
	}
	err := b.read(func(t *txn) error {
		if most := int64(b.db.MaxSize); most > 0 && t.tx.Size()+logRoom > most {
			return nil
		}
		for _, o := range ops {
			for i := range o.fresh {
				if known(t, &o.fresh[i]) {
					return nil
				}
			}
		}
		all = true
		return nil
	})
	return all && err == nil
}

// makeLog makes the log. The next commit binds it to the database; it is in use from
// then on.
func (b *Backend) makeLog() {
	file, err := createLog(b.journal.path)
	if err != nil {
		b.endLog(err)
		return
	}
	b.journal.file = file
	b.journal.state = logState{id: file.id, open: true}
}
