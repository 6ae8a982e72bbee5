// The counters of a runtime: asks every actor on its LIFE link and adds up what they say.
#ifndef HG_COUNT_H
#define HG_COUNT_H

#include "actors/shell.h"

// `request` must be fresh: the answer to an earlier question may come late. HG_ERR_CLOSED: an actor has ended, which is
// then noted in its shell. For one thread at a time.
hg_err hg_count_all(struct hg_shell *shells, size_t count, uint64_t request, int64_t deadline, struct hg_counters *sum);

#endif
