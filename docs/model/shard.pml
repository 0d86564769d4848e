/* One shard, from the claim to the ledger, with whatever may stop, wake up, go back or split in two.
 *
 * Names are those of the code: a Server's fields are what hotstore/keys.py spells, the Ledger's are columns of `cursors`
 * and `leases`, the steps of Steward() are those of settling/recovery.py, those of Writer() of settling/writer.py.
 * One step of a process here is one script of Redis or one transaction of Postgres there: what is atomic, no more.
 *
 * What a run may contain is set from outside (README.md):
 *   -DACK=1..4            memory, logged, replicated, settled
 *   -DRESTARTS=n          Redis restarts and has everything
 *   -DSTALE=n             Redis restarts from an older copy of itself
 *   -DPROMOTIONS=n        the replica is promoted, with whatever had reached it; the old master goes on, isolated
 *   -DLEDGER_BACK=n       Postgres goes back to an older moment
 *   -DTRIMS=n             the log is trimmed behind the cursor
 *   -DWITHOUT_<GUARD>     that guard is taken out, to see that it is needed
 */

#define MEMORY     1
#define LOGGED     2
#define REPLICATED 3
#define SETTLED    4

#ifndef ACK
#define ACK SETTLED
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef STALE
#define STALE 0
#endif
#ifndef PROMOTIONS
#define PROMOTIONS 0
#endif
#ifndef LEDGER_BACK
#define LEDGER_BACK 0
#endif
#ifndef TRIMS
#define TRIMS 0
#endif
#ifndef CLAIMANTS
#define CLAIMANTS 2
#endif
#ifndef STOCK
#define STOCK 1
#endif
#ifndef GATEWAYS
#define GATEWAYS 2
#endif
#ifndef ASKS
#define ASKS 2            /* of each gateway */
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef STEWARDS
#define STEWARDS 2
#endif
#ifndef RECOVERIES
#define RECOVERIES (RESTARTS + STALE + PROMOTIONS + LEDGER_BACK + 1)    /* one for each fault, one that is overtaken */
#endif

#define REFUSALS 4        /* a steward that is refused so often will be refused for ever */

#define CLAIMS 5          /* places 1..4 for claims that are granted in one run; 0 is none */

/* What the promises are about: facts of each claim that was ever granted, known to nobody in the system. */
byte granted = 0;
byte claim_epoch[CLAIMS], claim_sequence[CLAIMS], claim_claimant[CLAIMS];
bit  acknowledged[CLAIMS];

typedef Server {
    bit  is_master;
    byte incarnation;          /* master_replid */
    byte head_epoch;
    byte head_incarnation;     /* 0: unbound */
    byte head_lease;
    byte meta_last;
    byte used;                 /* total minus left */
    byte holders[CLAIMANTS];
    byte log[CLAIMS];          /* of the live epoch, by number */
    byte log_first             /* lowest number that trimming has left */
}

typedef Ledger {
    byte cursor_epoch;
    byte cursor_last;
    byte lease_term;
    byte lease_holder;
    byte claims[CLAIMANTS]
}

Server server[2];
byte   current = 0;            /* where the service's name leads */
byte   incarnations = 1;
Ledger ledger, ledger_saved;
bit    broken = 0;             /* ShardBroken: a person has to look */
byte   recoveries = 0;
byte   refusals = 0;           /* recoveries of the steward that leads, refused for a later one's sake */
bit    no_more_faults = 0;

/* --- guards: each is 1 in the code -------------------------------------------------------------------- */

#ifdef WITHOUT_INCARNATION     /* fence.lua: this server is the one that the steward bound the shard to */
#define SAME_INCARNATION(s) (server[s].head_incarnation != 0)
#else
#define SAME_INCARNATION(s) (server[s].head_incarnation != 0 && server[s].head_incarnation == server[s].incarnation)
#endif

#ifdef WITHOUT_EPOCH           /* claim.lua: the caller's epoch is the live one; desk.py: never back to a lower one */
#define SAME_EPOCH(s, epoch) true
#else
#define SAME_EPOCH(s, epoch) (server[s].head_epoch == epoch)
#endif

#ifdef WITHOUT_MEMORY_OF_EPOCHS
#define IS_BEHIND(s, epoch) false
#else
#define IS_BEHIND(s, epoch) (server[s].head_epoch < epoch)
#endif

#ifdef WITHOUT_CAS             /* settlement.py: the first statement is a compare-and-set of (epoch, last) */
#define CURSOR_IS(epoch, last) true
#else
#define CURSOR_IS(epoch, last) (ledger.cursor_epoch == epoch && ledger.cursor_last == last)
#endif

#ifdef WITHOUT_CAS_ON_RAISE
#define MAY_RAISE_FROM(epoch, last) true
#else
#define MAY_RAISE_FROM(epoch, last) (ledger.cursor_epoch == epoch && ledger.cursor_last == last)
#endif

#ifdef WITHOUT_LEASE           /* fence.lua: lease_lost */
#define LEASE_LOST(s, term) false
#else
#define LEASE_LOST(s, term) (server[s].head_lease > term)
#endif

#ifdef WITHOUT_EPOCH_OF_SETTLED  /* settled.py: numbers are compared within one epoch */
#define IS_SETTLED(claim) (ledger.cursor_last >= claim_sequence[claim])
#else
#define IS_SETTLED(claim) (ledger.cursor_epoch == claim_epoch[claim] && ledger.cursor_last >= claim_sequence[claim])
#endif

#ifdef WITHOUT_WAIT            /* replicated: WAIT on the connection of the call */
#define IS_REPLICATED(s, claim) true
#else
#define IS_REPLICATED(s, claim) (s == 0 && !server[1].is_master && server[1].holders[claim_claimant[claim]] == claim)
#endif

#ifdef WITHOUT_FIRST           /* settler.py: an entry's first number is the cursor's plus one */
#define FOLLOWS(first, last) true
#else
#define FOLLOWS(first, last) (first == last + 1)
#endif

#ifdef WITHOUT_COMPARE         /* recovery.py: _lost_nothing */
#define SAME true
#else
#define SAME same
#endif

#ifdef WITHOUT_INCARNATION_AT_BIND
#define SEEN(s) true
#else
#define SEEN(s) (server[s].incarnation == seen_incarnation)
#endif

#ifdef WITHOUT_EPOCH_AT_BIND
#define IS_NEW(s, epoch) true
#else
#define IS_NEW(s, epoch) (epoch > server[s].head_epoch)
#endif

/* --- scripts ------------------------------------------------------------------------------------------- */

mtype = { FENCED, OTHER_EPOCH, HELD, SOLD_OUT, NEW };

inline claim_lua(s, epoch, claimant) {
    d_step {
        claim = 0;
        if
        :: !server[s].is_master || !SAME_INCARNATION(s) -> reply = FENCED
        :: else ->
            if
            :: !SAME_EPOCH(s, epoch) -> reply = OTHER_EPOCH
            :: else ->
                if
                :: server[s].holders[claimant] != 0 -> reply = HELD; claim = server[s].holders[claimant]
                :: server[s].holders[claimant] == 0 && server[s].used >= STOCK -> reply = SOLD_OUT
                :: server[s].holders[claimant] == 0 && server[s].used < STOCK && granted < CLAIMS - 1 ->
                    granted++;
                    claim = granted;
                    server[s].meta_last++;
                    server[s].log[server[s].meta_last] = claim;
                    server[s].holders[claimant] = claim;
                    server[s].used++;
                    claim_epoch[claim] = server[s].head_epoch;
                    claim_sequence[claim] = server[s].meta_last;
                    claim_claimant[claim] = claimant;
                    reply = NEW
                :: else -> reply = SOLD_OUT    /* the run has no room for more claims */
                fi
            fi
        fi;
        live_epoch = server[s].head_epoch
    }
}

/* --- the ledger's transactions --------------------------------------------------------------------------- */

inline settle(epoch, last, claim, done) {
    d_step {
        if
        :: CURSOR_IS(epoch, last) ->
            assert(ledger.claims[claim_claimant[claim]] == 0);              /* P2: the unique key is never needed */
            ledger.claims[claim_claimant[claim]] = claim;
            count_ledger();
            assert(ledger_used <= STOCK);                                   /* P1 */
            assert(claim_epoch[claim] == ledger.cursor_epoch);              /* P7: settled in its own epoch ... */
            assert(claim_sequence[claim] == ledger.cursor_last + 1);        /* ... and without gaps */
            ledger.cursor_last = claim_sequence[claim];
            done = 1
        :: else -> done = 0
        fi
    }
}

byte ledger_used, n;

inline count_ledger() {
    ledger_used = 0;
    n = 0;
    do
    :: n < CLAIMANTS -> ledger_used = ledger_used + (ledger.claims[n] != 0); n++
    :: else -> break
    od;
    n = 0
}

/* --- gateways --------------------------------------------------------------------------------------------- */

inline acknowledge(claim) {
    d_step {
        acknowledged[claim] = 1;
        n = 1;
        i = 0;
        do
        :: n < CLAIMS ->
            assert(!(n != claim && acknowledged[n] && claim_claimant[n] == claim_claimant[claim]));    /* P2 */
            i = i + acknowledged[n];
            n++
        :: else -> break
        od;
        assert(i <= STOCK);                                                                           /* P1 */
        n = 0;
        i = 0
    }
}

proctype Gateway() {
    byte epoch = 1, latest_epoch = 1, live_epoch, claimant, claim, s, asked = 0, i = 0;
    mtype reply;
    do
    :: asked < ASKS ->
        atomic {
            asked++;
            select(claimant : 0 .. CLAIMANTS - 1);
            if :: server[0].is_master -> s = 0 :: server[1].is_master -> s = 1 fi;
again:
            claim_lua(s, epoch, claimant);
            if
            :: reply == OTHER_EPOCH && !IS_BEHIND(s, epoch) && live_epoch != epoch -> epoch = live_epoch; goto again
            :: else -> skip
            fi
        };
        if
        :: reply == NEW || reply == HELD ->
            assert(live_epoch >= latest_epoch);     /* whoever has seen a later epoch does not sell in an earlier one */
            latest_epoch = live_epoch;
            if
            :: ACK <= LOGGED -> acknowledge(claim)
            :: ACK == REPLICATED && IS_REPLICATED(s, claim) -> acknowledge(claim)
            :: ACK == SETTLED && reply == HELD && claim_epoch[claim] < live_epoch -> acknowledge(claim)  /* loaded */
            :: ACK == SETTLED && IS_SETTLED(claim) -> acknowledge(claim)
            :: ACK >= REPLICATED -> skip        /* outcome_unknown at the deadline; the reply was lost */
            fi
        :: else -> skip                         /* recovering, sold_out */
        fi;
        claim = 0;
        claimant = 0;
        live_epoch = 0;
        s = 0
    :: asked >= ASKS -> break
    od
}

/* --- the writer --------------------------------------------------------------------------------------------- */

#define TO_SETTLE(s) (server[s].is_master && server[s].head_epoch == ledger.cursor_epoch && \
                      server[s].meta_last > ledger.cursor_last && !broken)
#define GAP(s, last) (server[s].log_first > last + 1)

proctype Writer() {
    byte epoch, last, claim, first, s, done;
end:
    do
    :: TO_SETTLE(0) || TO_SETTLE(1) ->
        atomic {
            epoch = ledger.cursor_epoch;
            last = ledger.cursor_last;
            if :: server[0].is_master -> s = 0 :: server[1].is_master -> s = 1 fi
        };
        d_step {    /* XREAD of what lies behind the cursor */
            claim = 0;
            if
            :: server[s].head_epoch == epoch && server[s].meta_last > last ->
                first = (GAP(s, last) -> server[s].log_first : last + 1);
                if
                :: first <= server[s].meta_last -> claim = server[s].log[first]
                :: else -> skip
                fi
            :: else -> skip
            fi
        };
        if
        :: claim != 0 && FOLLOWS(first, last) -> settle(epoch, last, claim, done)
        :: server[s].head_epoch == epoch && server[s].meta_last > last && GAP(s, last) ->
            /* The alarm: unbound, and the steward's to mend. The cursor is looked at again first. */
            if
            :: ledger.cursor_epoch == epoch && ledger.cursor_last == last ->
                server[s].head_incarnation = 0;
                (server[s].head_incarnation != 0 || ledger.cursor_epoch != epoch || ledger.cursor_last != last || broken)
            :: else -> skip
            fi
        :: else -> skip
        fi;
        claim = 0; first = 0; s = 0; done = 0; epoch = 0; last = 0
    od
}

/* --- the steward ---------------------------------------------------------------------------------------------- */

#define NEEDS_RECOVERY (!broken && (server[current].head_incarnation != server[current].incarnation || \
                                    server[current].head_epoch > ledger.cursor_epoch))

inline reconnect() {            /* each step may reach the server of the step before, or where the name leads by now */
    if
    :: s = current
    :: server[s].is_master
    fi
}

inline same_as_ledger() {       /* recovery.py, _lost_nothing */
    same = (server[s].head_epoch == seen_epoch);
    n = 0;
    i = 0;
    do
    :: n < CLAIMANTS ->
        same = same && ((server[s].holders[n] == 0) == (ledger.claims[n] == 0));
        if
        :: ledger.claims[n] != 0 && claim_epoch[ledger.claims[n]] == server[s].head_epoch ->
            i = (claim_sequence[ledger.claims[n]] > i -> claim_sequence[ledger.claims[n]] : i)
        :: else -> skip
        fi;
        n++
    :: else -> break
    od;
    same = same && (i == server[s].meta_last);    /* last_of_epoch */
    n = 0;
    i = 0
}

proctype Steward() {
    byte term, epoch, last, seen_epoch, seen_incarnation, s, i = 0, claim, done, same;
    byte loaded[CLAIMANTS];
end:
    do
    :: NEEDS_RECOVERY && recoveries < RECOVERIES && refusals < REFUSALS ->
        /* The lease of the other one has run out: leases.py. A lease that the store has seen from a ledger's lost
           future is outdone. */
        d_step {
            recoveries++;
            s = current;
#ifdef WITHOUT_TERM_ABOVE_STORE
            ledger.lease_term = ledger.lease_term + (ledger.lease_holder != _pid);
#else
            if      /* steward.py, _lose */
            :: server[s].head_lease > ledger.lease_term -> ledger.lease_term = server[s].head_lease + 1
            :: else -> ledger.lease_term = ledger.lease_term + (ledger.lease_holder != _pid)
            fi;
#endif
            ledger.lease_holder = _pid;
            term = ledger.lease_term
        };
close_epoch:
        skip;
#ifndef WITHOUT_CURSOR_FIRST
        d_step { epoch = ledger.cursor_epoch; last = ledger.cursor_last };
#endif
        atomic {                                                        /* 0: unbind.lua */
            reconnect();
            done = 0;
            if
            :: server[s].is_master && !LEASE_LOST(s, term) ->
#ifndef WITHOUT_UNBIND
                server[s].head_incarnation = 0;
#endif
                server[s].head_lease = term;
                seen_epoch = server[s].head_epoch;
                seen_incarnation = server[s].incarnation;
                done = 1
            :: else -> skip
            fi
        };
        if
        :: !done && ledger.lease_holder == _pid -> recoveries--; refusals++; goto given_up
        :: !done && ledger.lease_holder != _pid -> goto given_up
        :: else -> skip
        fi;
#ifdef WITHOUT_CURSOR_FIRST
        d_step { epoch = ledger.cursor_epoch; last = ledger.cursor_last };
#endif
        /* 1: the tail of the log; where the log no longer reaches the cursor, or the ledger's epoch is behind, from the
           holders */
        do
        :: seen_epoch == epoch && server[s].is_master && server[s].head_epoch == epoch && server[s].meta_last > last &&
           !GAP(s, last) ->
#ifdef WITHOUT_TAIL
            break
#else
            claim = server[s].log[last + 1];
            settle(epoch, last, claim, done);
            claim = 0;
            if
            :: done -> last++
            :: else -> goto close_epoch
            fi
#endif
        :: (seen_epoch > epoch || (seen_epoch == epoch && server[s].head_epoch == epoch && server[s].meta_last > last &&
                                   GAP(s, last))) ->
#ifdef WITHOUT_REFILL
            break
#else
            d_step {
                if
                :: CURSOR_IS(epoch, last) && server[s].head_epoch == seen_epoch &&
                   server[s].incarnation == seen_incarnation ->
                    n = 0;
                    do
                    :: n < CLAIMANTS ->
                        if
                        :: server[s].holders[n] != 0 ->
                            assert(ledger.claims[n] == 0 || ledger.claims[n] == server[s].holders[n]);
                            ledger.claims[n] = server[s].holders[n]
                        :: else -> skip
                        fi;
                        n++
                    :: else -> break
                    od;
                    count_ledger();
                    assert(ledger_used <= STOCK);
                    ledger.cursor_epoch = seen_epoch;
                    ledger.cursor_last = server[s].meta_last;
                    epoch = ledger.cursor_epoch;
                    last = ledger.cursor_last;
                    done = 1
                :: else -> done = 0
                fi
            };
            if :: done -> skip :: else -> goto close_epoch fi
#endif
        :: else -> break
        od;
        skip;
        d_step {                                                        /* 2: raise the epoch */
            if
            :: MAY_RAISE_FROM(epoch, last) ->
#ifndef WITHOUT_RAISE
                ledger.cursor_epoch = epoch + 1;
                ledger.cursor_last = 0;
                epoch++;
                last = 0;
#endif
                done = 1
            :: else -> done = 0
            fi
        };
        if :: !done -> goto close_epoch :: else -> skip fi;
        atomic {                                                        /* 3: nothing lost? */
            reconnect();
            d_step { same_as_ledger() }
        };
        if
        :: SAME ->
            atomic {                                                    /* rebind.lua */
                reconnect();
                if
                :: server[s].is_master && !LEASE_LOST(s, term) && SEEN(s) && server[s].head_epoch == seen_epoch ->
                    server[s].head_epoch = epoch;
                    server[s].head_incarnation = seen_incarnation;
                    server[s].head_lease = term;
#ifndef WITHOUT_RAISE
                    server[s].meta_last = 0;
                    server[s].log_first = 1;
                    n = 0;
                    do :: n < CLAIMS -> server[s].log[n] = 0; n++ :: else -> break od;
                    n = 0
#endif
                :: else -> skip
                fi
            }
        :: else ->
            d_step {                                                    /* 4: load, check, bind.lua */
                n = 0;
                i = 0;
                do
                :: n < CLAIMANTS -> loaded[n] = ledger.claims[n]; i = i + (loaded[n] != 0); n++
                :: else -> break
                od;
                n = 0
            };
#ifndef WITHOUT_NOT_BELOW
            if      /* a shard that another steward has bound meanwhile, a ledger that went back: not to be judged */
            :: server[s].head_epoch == seen_epoch && server[s].used > i ->
                if
                :: ledger.cursor_epoch == epoch -> broken = 1; goto given_up
                :: else -> goto close_epoch
                fi
            :: else -> skip
            fi;
#endif
            atomic {
                reconnect();
                if
                :: server[s].is_master && !LEASE_LOST(s, term) && SEEN(s) && IS_NEW(s, epoch) ->
                    n = 0;
                    do
                    :: n < CLAIMANTS -> server[s].holders[n] = loaded[n]; n++
                    :: else -> break
                    od;
                    n = 0;
                    do :: n < CLAIMS -> server[s].log[n] = 0; n++ :: else -> break od;
                    n = 0;
                    server[s].used = i;
                    server[s].meta_last = 0;
                    server[s].log_first = 1;
                    server[s].head_epoch = epoch;
                    server[s].head_incarnation = server[s].incarnation;
                    server[s].head_lease = term
                :: else -> skip
                fi
            }
        fi;
given_up:
        skip;
        d_step {
            n = 0;
            do :: n < CLAIMANTS -> loaded[n] = 0; n++ :: else -> break od;
            n = 0; i = 0; term = 0; epoch = 0; last = 0; seen_epoch = 0; seen_incarnation = 0; s = 0; done = 0; same = 0;
            claim = 0
        }
    od
}

/* --- what happens to servers ------------------------------------------------------------------------------------ */

inline copy(from, to) {
    server[to].head_epoch = server[from].head_epoch;
    server[to].head_incarnation = server[from].head_incarnation;
    server[to].head_lease = server[from].head_lease;
    server[to].meta_last = server[from].meta_last;
    server[to].used = server[from].used;
    server[to].log_first = server[from].log_first;
    n = 0;
    do :: n < CLAIMANTS -> server[to].holders[n] = server[from].holders[n]; n++ :: else -> break od;
    n = 0;
    do :: n < CLAIMS -> server[to].log[n] = server[from].log[n]; n++ :: else -> break od;
    n = 0
}

inline copy_ledger(from, to) {
    to.cursor_epoch = from.cursor_epoch;
    to.cursor_last = from.cursor_last;
    to.lease_term = from.lease_term;
    to.lease_holder = from.lease_holder;
    n = 0;
    do :: n < CLAIMANTS -> to.claims[n] = from.claims[n]; n++ :: else -> break od;
    n = 0
}

proctype World() {
    byte restarts = RESTARTS, stale = STALE, promotions = PROMOTIONS, ledger_back = LEDGER_BACK, trims = TRIMS;
    byte copies = 2 * (STALE + PROMOTIONS), saves = LEDGER_BACK;
    do
    :: restarts > 0 -> d_step { restarts--; incarnations++; server[current].incarnation = incarnations }
    :: copies > 0 && (stale > 0 || promotions > 0) && current == 0 ->    /* replication, or a snapshot, gets that far */
        d_step { copies--; copy(0, 1); server[1].incarnation = server[0].incarnation }
    :: stale > 0 && current == 0 ->
        d_step { stale--; incarnations++; copy(1, 0); server[0].incarnation = incarnations }
    :: promotions > 0 && current == 0 ->
        d_step { promotions--; incarnations++; server[1].is_master = 1; server[1].incarnation = incarnations; current = 1 }
    :: saves > 0 -> d_step { saves--; copy_ledger(ledger, ledger_saved) }
    :: ledger_back > 0 && saves == 0 -> d_step { ledger_back--; copy_ledger(ledger_saved, ledger) }
    :: trims > 0 && server[current].head_epoch == ledger.cursor_epoch && server[current].log_first <= ledger.cursor_last ->
        d_step { trims--; server[current].log_first = ledger.cursor_last + 1 }
    :: break
    od;
    no_more_faults = 1
}

/* --- the end: nothing moves any more ------------------------------------------------------------------------------ */

init {
    byte claim;
    d_step {
        server[0].is_master = 1;
        server[0].incarnation = 1;
        server[0].head_epoch = 1;
        server[0].head_incarnation = 1;
        server[0].head_lease = 1;
        server[0].log_first = 1;
        ledger.cursor_epoch = 1;
        ledger.lease_term = 1;
        copy(0, 1);
        server[1].incarnation = 1;
        copy_ledger(ledger, ledger_saved)
    };
    atomic {
        run World();
        claim = 0;
        do :: claim < GATEWAYS -> run Gateway(); claim++ :: else -> break od;
        claim = 0;
        do :: claim < WRITERS -> run Writer(); claim++ :: else -> break od;
        claim = 0;
        do :: claim < STEWARDS -> run Steward(); claim++ :: else -> break od;
        claim = 0
    };
    timeout;
    d_step {
        assert(refusals < REFUSALS);
        assert(!broken);                                    /* nobody has to look: each of these mends itself */
        if
        :: !NEEDS_RECOVERY ->                               /* else the run was cut short: it says nothing of its end */
            assert(server[current].head_incarnation == server[current].incarnation);    /* P4: it sells again */
            claim = 1;
            do
            :: claim < CLAIMS ->
                assert(!acknowledged[claim] || ledger.claims[claim_claimant[claim]] == claim);    /* P3 */
                claim++
            :: else -> break
            od
        :: else -> skip
        fi
    }
}
