// A child that the embedding program forked has the lock file open too; it must not keep the ledger when its parent has
// closed it.
#include "ledger_story.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

TEST(ledger_fork, child_does_not_hold_the_ledger_of_its_parent) {
  struct bed bed;
  struct hg_ledger_state state;
  bed_make(&bed);
  struct hg_ledger *ledger = bed_open(&bed, &state);
  hg_ledger_state_clear(&state);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
      pause();
  }
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  ledger = bed_open(&bed, &state);
  CHECK_EQ(state.opening, 2);
  hg_ledger_state_clear(&state);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  CHECK(kill(child, SIGKILL) == 0);
  CHECK_EQ(waitpid(child, NULL, 0), child);
  bed_remove(&bed);
}
