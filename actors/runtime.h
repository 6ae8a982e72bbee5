// The runtime: builds, wires, starts and stops the actors, and is what clients hold on to.
#ifndef HG_RUNTIME_H
#define HG_RUNTIME_H

#include "config/config.h"

// hg_open for a configuration that is read already; it is taken over (freed on failure too) and *config set to NULL.
hg_err hg_open_config(struct hg_config **config, hg_runtime **out, hg_error *why);

// The configuration in force; lives as long as the runtime or any of its clients.
const struct hg_config *hg_runtime_config(const hg_runtime *runtime);

#endif
