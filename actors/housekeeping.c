// Audits and retention, a portion a turn. An audit that somebody waits for goes on while facts come in, but slowly; all
// else happens only between them.
#include "actors/housekeeping.h"

#include <string.h>

#define AUDIT_AFTER_US 1000000 // of life: a short one has better to do
#define FOLD_EVERY_US INT64_C(3600000000)
#define PORTION_ROWS 1024      // one or two milliseconds
#define BUSY_US 20000          // so long after the newest facts
#define PORTION_EVERY_US 10000 // while they come, of an audit that somebody waits for
#define REST_LEAST_US 1000000  // each of them is a row of the journal too

void hg_housekeeping_init(struct hg_housekeeping *house, const struct hg_store *store) {
  *house = (struct hg_housekeeping){.store = store, .audit_at = store->audit ? 0 : HG_NEVER, .fold_at = HG_NEVER};
}

static void begin(struct hg_housekeeping *house, uint64_t asked) {
  house->auditing = house->anew = true;
  house->asked = asked;
  house->audit_at = HG_NEVER;
}

static void refuse(uint64_t request, hg_err err, const char *reason, struct hg_outbox *out) {
  struct hg_message done;
  hg_message_done(&done, request, err, reason);
  hg_outbox_put(out, HG_PORT_LEDGER, 0, &done);
}

void hg_housekeeping_ask(struct hg_housekeeping *house, uint64_t request, const char *trouble, struct hg_outbox *out) {
  if (trouble || !house->store->audit) refuse(request, HG_ERR_STORE, trouble ? trouble : "no audits here", out);
  else if (house->auditing && house->asked) refuse(request, HG_ERR_BUSY, "another audit is under way", out);
  else begin(house, request);
}

// ------------------------------------------------------------------------------------------------ the end of an audit

static void tell_difference(const struct hg_housekeeping *house, const struct hg_audit_difference *found,
                            struct hg_outbox *out) {
  struct hg_message message;
  hg_message_init(&message, HG_AUDIT_DIFFERENCE);
  struct hg_audit_difference_message *difference = &message.as.audit_difference;
  difference->request = house->asked;
  difference->check = hg_text_of(found->check);
  difference->subject = hg_text_of(found->subject);
  difference->permit = found->permit;
  difference->seq = found->seq;
  difference->stored = found->stored;
  difference->summed = found->summed;
  difference->text = hg_text_of(found->text);
  hg_outbox_put(out, HG_PORT_LEDGER, 0, &message);
}

static void answer(const struct hg_housekeeping *house, struct hg_outbox *out) {
  const struct hg_audit_report *report = &house->report;
  for (uint32_t i = 0; i < report->listed; i++)
    tell_difference(house, &report->list[i], out);
  struct hg_message message;
  hg_message_init(&message, HG_AUDIT_REPORT);
  message.as.audit_report.request = house->asked;
  message.as.audit_report.seq = report->seq;
  message.as.audit_report.rows = report->rows;
  message.as.audit_report.permits = report->permits;
  message.as.audit_report.differences = report->differences;
  message.as.audit_report.live = true;
  hg_outbox_put(out, HG_PORT_LEDGER, 0, &message);
}

static void tell_tracker(const struct hg_housekeeping *house, const char *reason, struct hg_now now,
                         struct hg_outbox *out) {
  struct hg_message message;
  hg_message_init(&message, HG_AUDITED);
  message.as.audited.audited = house->report.seq;
  message.as.audited.rows = house->report.rows;
  message.as.audited.differences = house->report.differences;
  message.as.audited.lasted_us = (uint64_t)(now.monotonic_us - house->began_at);
  message.as.audited.reason = hg_text_of(reason);
  hg_outbox_put(out, HG_PORT_FACTS, 0, &message);
}

static void rest(struct hg_housekeeping *house, struct hg_now now) {
  const int64_t lasted = now.monotonic_us - house->began_at;
  house->portion_at = now.monotonic_us + (lasted > REST_LEAST_US ? lasted : REST_LEAST_US);
}

// The tracker hears it first: who has the answer may end the runtime at once, and AUDIT_DONE is to be in the journal
// then.
static void end(struct hg_housekeeping *house, hg_err err, hg_error *why, struct hg_now now, struct hg_outbox *out) {
  const char *reason = "";
  house->auditing = false;
  if (house->asked) rest(house, now);
  if (err != HG_OK) {
    memset(&house->report, 0, sizeof house->report);
    hg_text_clean(why->text);
    reason = why->text[0] ? why->text : hg_err_text(err);
  } else if (house->report.differences) {
    reason = house->report.list[0].text;
  }
  tell_tracker(house, reason, now, out);
  if (house->asked && err == HG_OK) answer(house, out);
  else if (house->asked) refuse(house->asked, err, reason, out);
  const bool is_right = err == HG_OK && house->report.differences == 0;
  if (!is_right || !house->store->fold) house->fold_at = HG_NEVER;
  else if (house->fold_at == HG_NEVER) house->fold_at = now.monotonic_us;
}

// ------------------------------------------------------------------------------------------------ turns

static void audit(struct hg_housekeeping *house, struct hg_now now, struct hg_outbox *out) {
  hg_error why = HG_ERROR_INIT;
  bool done = false;
  if (house->anew) house->began_at = now.monotonic_us;
  const hg_err err = house->store->audit(house->store->self, house->anew, PORTION_ROWS, &house->report, &done, &why);
  house->anew = false;
  if (now.monotonic_us < house->busy_until) house->portion_at = now.monotonic_us + PORTION_EVERY_US;
  if (done || err != HG_OK) end(house, err, &why, now, out);
}

static hg_err fold(struct hg_housekeeping *house, struct hg_now now, hg_error *why, struct hg_outbox *out) {
  uint64_t folded = 0;
  bool more = false;
  const hg_err err = house->store->fold(house->store->self, now.utc_us, PORTION_ROWS, &folded, &more, why);
  hg_count_by(out, rows_folded, folded);
  house->wrote = folded > 0;
  house->fold_at = more ? now.monotonic_us : now.monotonic_us + FOLD_EVERY_US;
  return err;
}

hg_err hg_housekeeping_turn(struct hg_housekeeping *house, bool idle, struct hg_now now, int64_t *wake, hg_error *why,
                            struct hg_outbox *out) {
  hg_err err = HG_OK;
  house->wrote = false;
  if (house->audit_at == 0) house->audit_at = now.monotonic_us + AUDIT_AFTER_US;
  if (now.monotonic_us >= house->audit_at) begin(house, 0);
  if (!idle) house->busy_until = now.monotonic_us + BUSY_US;
  const bool audits = house->auditing && (house->asked ? now.monotonic_us >= house->portion_at : idle);
  if (audits) audit(house, now, out);
  else if (!house->auditing && idle && now.monotonic_us >= house->fold_at) err = fold(house, now, why, out);
  if (house->auditing) *wake = house->asked ? house->portion_at : now.monotonic_us;
  else *wake = house->audit_at < house->fold_at ? house->audit_at : house->fold_at;
  return err;
}

void hg_housekeeping_stop(struct hg_housekeeping *house, hg_err err, const char *why, struct hg_outbox *out) {
  if (house->auditing && house->asked) refuse(house->asked, err, why, out);
  house->auditing = false;
  house->audit_at = house->fold_at = HG_NEVER;
}
