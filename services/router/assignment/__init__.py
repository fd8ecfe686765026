"""Matching: who gets which work, decided in one order per pool, in memory, from rows.

Owns:   work items, agents' presence and load, reservations, the story of each conversation's routing (`decision`).
Reads:  `work` (what conversations want), `agent-commands` (what agents do), `lending` (what other pools say), all by pool.
Emits:  `assignments` by contact point, each decision with its explanation; `agents` by agent; `lending` by the pool
        that is told.
Invariants:
* an agent never holds more units than their capacity, but for what a supervisor forced, a lowered capacity left, a silent
  conversation took again, or one conversation that interrupts others;
* an item is in exactly one place: waiting, offered, held by one agent (and perhaps offered to another), or ended; and one
  pool decides about it, whichever others it is lent to;
* after each input no free agent can take a waiting item: freed capacity, a return to available, a decline memory that
  lapsed, an expiry, a withdrawal each match at once; nothing polls;
* work whose allocation hook is asked is matched with nobody until the answer or the end of the time limit;
* `waiting_since` never moves: work that comes back stands where its customer's wait puts it.
"""
