// The sockets of a runtime's actors: opened by the runtime's thread, lent to theirs.
#ifndef HG_WIRING_H
#define HG_WIRING_H

#include "actors/shell.h"
#include "bus/endpoints.h"
#include "bus/outward.h"

// Binds and connects all of bus/endpoints.h but the worker pool's, and what the configuration binds outside, of which
// it notes the files (one for each of config->event_binds, then of config->serve_binds). `shells` are by hg_owner,
// their actors built. What is open already stays so on failure.
hg_err hg_wire(struct hg_shell *shells, struct hg_core *core, struct hg_outward_file *files, hg_error *why);
hg_err hg_wire_guest(struct hg_shell *shells, struct hg_core *core, hg_error *why); // the remote in their place
// Removes those files.
void hg_unwire_outward(struct hg_core *core, const struct hg_outward_file *files);
hg_err hg_wire_worker_pool(struct hg_shell *shells, struct hg_core *core);
void hg_unwire(struct hg_shell *shell); // its thread has ended

#endif
