// What a runtime says to its actors on their LIFE links, and how it waits for the answer: count, drain, stop. For one
// thread of the embedder at a time.
#ifndef HG_LIFE_H
#define HG_LIFE_H

#include "actors/shell.h"

// Adds up what all these actors have counted. `request` must be fresh: the answer to an earlier question may come late.
// HG_ERR_CLOSED: an actor has ended, which is then noted in its shell.
hg_err hg_life_count(struct hg_shell *shells, size_t count, uint64_t request, int64_t deadline,
                     struct hg_counters *sum);

// Has the scheduler admit nothing more, and waits until what is open has ended, or the time is over.
void hg_life_drain(struct hg_shell *scheduler, int64_t timeout_us);

// Lets an actor finish, and says how it ended; `now`: one that waits for a store that fails is told to end at once. One
// that is not done in time is told so too: HG_ERR_STORE.
hg_err hg_life_stop(struct hg_shell *shell, bool now, int64_t within_us);

#endif
