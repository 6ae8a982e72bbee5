// The ledger as the store of the persister.
#ifndef HG_LEDGER_STORE_H
#define HG_LEDGER_STORE_H

#include "actors/persister.h"

// `folds`: rows go by age (ledger.keepDays). The ledger stays the caller's and must outlive the store.
struct hg_store hg_ledger_store(struct hg_ledger *ledger, bool folds);

#endif
