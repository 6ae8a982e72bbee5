// A usage report as a caller filled it in: perhaps of an older header, and not to be trusted.
#ifndef HG_REPORT_H
#define HG_REPORT_H

#include "headgate.h"

// Copies what the caller's header knew of the report over the defaults of ours. HG_ERR_RANGE, HG_ERR_INVALID: a figure
// that no message may carry, or one that is not in the ledger's unit. The texts are not looked at.
hg_err hg_report_read(const hg_usage_report *from, hg_unit unit, hg_usage_report *to);

// Parts that are more than what they are parts of become unknown. HG_UNKNOWN is in no sum.
void hg_report_drop_impossible(hg_usage_report *report);

// The parts of a report that a record and a settle have in common, but for the texts.
#define HG_REPORT_DETAILS(to, from)                                                                                    \
  do {                                                                                                                 \
    (to)->input_tokens = (from)->input_tokens;                                                                         \
    (to)->cached_tokens = (from)->cached_tokens;                                                                       \
    (to)->cache_write_tokens = (from)->cache_write_tokens;                                                             \
    (to)->output_tokens = (from)->output_tokens;                                                                       \
    (to)->reasoning_tokens = (from)->reasoning_tokens;                                                                 \
    (to)->source = (uint32_t)(from)->source;                                                                           \
    (to)->attempt = (from)->attempt;                                                                                   \
  } while (0)

#endif
