// Signals that stop a run before its loop takes them.
#ifndef HG_RUN_SIGNALS_H
#define HG_RUN_SIGNALS_H

#include <stdbool.h>

#define HG_RUN_INTERRUPTED "interrupted before the first call; run again to go on"

// From here on they end the process at once, with exit code 130: nothing is open that a crash would not leave whole.
void hg_run_signals_end_it(void);
// From here on they wait to be asked for.
void hg_run_signals_wait(void);
// Whether one waits.
bool hg_run_signals_came(void);

#endif
