// The shell that all actors share: a thread that waits for messages, drains a bounded burst of them, hands each to the
// actor, flushes once and sends what came of it.
#ifndef HG_SHELL_H
#define HG_SHELL_H

#include "actors/core.h"
#include "base/id_map.h"

struct hg_shell {
  struct hg_actor actor;
  struct hg_link links[HG_PORT_COUNT];  // lent by the runtime until the join
  struct hg_link life;                  // the runtime's end of links[HG_PORT_LIFE]
  struct hg_core *core;                 // closed when the actor dies; NULL: nothing to close
  struct hg_counters counters;          // this thread's
  struct hg_id_map gone[HG_PORT_COUNT]; // this thread's: peers that are gone, whose last messages are not all read
  uint32_t gone_ports, gone_turns;      // where there are any, and for how long
  hg_err died_with;                     // after the join; HG_OK: it ended as it was told to
  pthread_t thread;
  bool started;
  bool ended; // the runtime has heard the actor's last word, and how it ended
  hg_err ended_with;
};

// Starts the actor's thread.
hg_err hg_shell_start(struct hg_shell *shell);
// Waits for the thread to end.
void hg_shell_join(struct hg_shell *shell);

#endif
