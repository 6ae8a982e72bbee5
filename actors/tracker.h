// [8_RISKS-REQ-031] The tracker: owns every budget (used, reserved, limit, open permits, throttle latch) and the
// sequence number. It decides in one step whether a request may spend (I1), may run beside others (I4), must wait, or
// can never fit; and it is the only producer of the journal: every fact gets its number here, in the order of cause.
//
// Hears: HG_PORT_CLIENTS (RECORD_USAGE, CORRECT_USAGE, SET_HARD_LIMIT, GET_USAGE, GET_ORPHAN, REPORT_AS,
// LEAVE), HG_PORT_DECISIONS (RESERVE, SETTLE, RELEASE, ABANDON, MAX_CONCURRENCY), HG_PORT_FACTS (COMMITTED,
// USAGE_FOUND, PERMIT_FOUND, AUDITED), HG_PORT_LIFE (STOP).
#ifndef HG_TRACKER_H
#define HG_TRACKER_H

#include "actors/actor.h"
#include "ledger/ledger.h"

// `config` must outlive the actor; `state` is copied. At its first flush it tells RUNTIME_STARTED, treats what the last
// runtime left open by the policy, and tells limits that the configuration changed.
hg_err hg_tracker_new(const struct hg_config *config, const struct hg_ledger_state *state, struct hg_actor *out);

// The figures behind the rules, pure (tests, status without a runtime). Hundredths of a percent, rounded half up in
// 128-bit integers; saturates at UINT32_MAX.
uint32_t hg_usage_percent(int64_t used, int64_t hard_limit);
bool hg_should_throttle(uint32_t percent_hundredths, uint32_t throttle_percent);

#endif
