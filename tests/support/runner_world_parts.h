// What the parts of the world around the task runner share: runner_world.c batch, disk and time, runner_world_runtime.c
// the budget, runner_world_provider.c the calls.
#ifndef HG_RUNNER_WORLD_PARTS_H
#define HG_RUNNER_WORLD_PARTS_H

#include "support/runner_world.h"

uint64_t world_checksum(const char *data, size_t len);

hg_err world_acquire(void *context, const hg_request *request, hg_ticket *out);
hg_err world_cancel(void *context, hg_ticket ticket);
hg_err world_settle(void *context, hg_permit permit, const hg_usage_report *used, hg_ticket *out);
hg_err world_release(void *context, hg_permit permit, hg_outcome outcome, const char *reason, hg_ticket *out);
hg_err world_record(void *context, const hg_usage_report *used, hg_ticket *out);
// Decides about the first in line. False: it has to wait.
bool world_grant_one(struct world *world);
bool world_deliver_one(struct world *world); // the oldest completion; false: none

hg_err world_call_start(void *context, const char *path, const struct hg_prepared *prepared, const char *body,
                        size_t body_len, void *tag, void **handle, hg_error *why);
hg_err world_count_start(void *context, const char *path, enum hg_endpoint endpoint, enum hg_input_counter counter,
                         const char *body, size_t body_len, void *tag, void **handle, hg_error *why);
bool world_call_cut(void *context, void *handle);
void world_end_call(struct world *world, unsigned place);

#endif
