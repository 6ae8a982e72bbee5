// Lines of the results and of the errors whose calls another ledger has counted: the budget of this one knows nothing
// of them, as after its file was deleted or another was named. `unit`: of this one.
#ifndef HG_RUN_OTHER_LEDGER_H
#define HG_RUN_OTHER_LEDGER_H

#include "cli/run_flags.h"

void hg_run_other_ledger_add(struct hg_other_ledger *other, hg_unit unit, const struct hg_result_line *line);

// Tells on stderr, when there are any. `ledger_path`: of the ledger that does not have them.
void hg_run_other_ledger_tell(const struct hg_other_ledger *other, hg_unit unit, const char *results,
                              const char *ledger_path);

#endif
