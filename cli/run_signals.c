// Ends a run that is interrupted while it opens: at once while it may wait for the ledger, in order once it holds it.
#include "cli/run_signals.h"

#include "cli/cli.h"
#include "runner/loop.h"

#include <unistd.h>

static void end_now(int signal_number) {
  (void)signal_number;
  static const char text[] = "headgate run: " HG_RUN_INTERRUPTED "\n";
  const ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
  (void)written;
  _exit(HG_EXIT_INTERRUPTED);
}

void hg_run_signals_end_it(void) {
  sigset_t set;
  struct sigaction action = {.sa_handler = end_now};
  hg_loop_signals(&set);
  sigfillset(&action.sa_mask);
  for (int number = 1; number < NSIG; number++)
    if (sigismember(&set, number) == 1) sigaction(number, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
}

void hg_run_signals_wait(void) {
  sigset_t set;
  hg_loop_signals(&set);
  sigprocmask(SIG_BLOCK, &set, NULL);
}

bool hg_run_signals_came(void) {
  sigset_t set, pending, both;
  hg_loop_signals(&set);
  return sigpending(&pending) == 0 && sigandset(&both, &set, &pending) == 0 && !sigisemptyset(&both);
}
