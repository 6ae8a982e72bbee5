// Puts the lines of a results file into the order of the batch file (--order input). A run writes them in the order in
// which calls end, and makes each durable before it is settled; so the order is made afterwards, in a new file that
// takes the place of the old one at once.
#ifndef HG_ORDER_H
#define HG_ORDER_H

#include "headgate.h"

// Lines that the batch file does not have stay behind the others, as they stood. *changed: there was something to do.
// HG_ERR_STORE, HG_ERR_SYSTEM, HG_ERR_NO_MEMORY, with `why`: the results are as they were.
hg_err hg_order_results(const char *input, const char *output, bool *changed, hg_error *why);

#endif
