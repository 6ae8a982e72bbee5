// What calls of a model use of their bounds (providers/bound.h), learnt while runs go on: a bound is provable and
// mostly four times too high. A histogram for each model; the quantile p99.9 and a tenth more is what the next call
// reserves. Pure, but for the file in which it is kept between runs: beside the ledger, and no part of it, as nothing
// is lost with it but tightness.
#ifndef HG_LEARNED_H
#define HG_LEARNED_H

#include "headgate.h"
#include "schemas/limits.h"

#define HG_LEARNED_SAMPLES_LEAST 1000 // before, p99.9 is anybody's guess
#define HG_LEARNED_MODELS_MAX 64      // those of further models are not learnt
#define HG_LEARNED_MARGIN_PERCENT 10
// So many calls of a model weigh at most when they are taken over by another run: what models do changes.
#define HG_LEARNED_KEPT_CALLS 100000
#define HG_LEARNED_SUFFIX ".learned" // of the ledger's path

struct hg_learned;
// `prices`: the mark of the prices by which bounds and usage are amounts (hg_config_prices_mark), 0: they are tokens.
// What a call uses of its bound is another part in another unit, or at other prices. NULL: no memory.
struct hg_learned *hg_learned_new(uint64_t prices);
void hg_learned_destroy(struct hg_learned **learned);
// A call of this model used `used` tokens of a bound of `bound`. Usage over the bound counts as all of it.
void hg_learned_add(struct hg_learned *learned, const char *model, int64_t bound, int64_t used);
// What a call of this model with this bound should reserve: at least 1, at most the bound; the bound where too little
// is known.
int64_t hg_learned_reserve(const struct hg_learned *learned, const char *model, int64_t bound);

// Adds what is kept in the file. HG_ERR_EMPTY: there is none; HG_ERR_PROTOCOL with `why`: it can't be used, as it is
// none or of other prices, and nothing was added.
hg_err hg_learned_load(struct hg_learned *learned, const char *path, hg_error *why);
// Puts all that is known in its place. HG_ERR_SYSTEM with `why`: it stays as it was.
hg_err hg_learned_save(const struct hg_learned *learned, const char *path, hg_error *why);

#endif
