// Follows whether the ledger can be written: says so at once, and gives it up when that lasts or the user insists.
#include "runner/loop_private.h"

#include "schemas/message.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define CUT_PATIENCE_MS 10000 // a runtime that works closes the permits of cut calls long before

static void tell(struct hg_loop *loop, const char *text) {
  loop->options.on_note(loop->options.context, text);
}

static bool reason_of(const char *event, char out[HG_TEXT_MAX + 1]) {
  json_t *json = json_loads(event, 0, NULL);
  const char *reason = json_string_value(json_object_get(json_object_get(json, "payload"), "reason"));
  hg_text_copy(out, HG_TEXT_MAX + 1, hg_text_of(reason));
  hg_text_clean(out); // it goes to a terminal
  json_decref(json);
  return out[0] != '\0';
}

static void keep_reason(struct hg_loop *loop, const char *event) {
  char reason[HG_TEXT_MAX + 1];
  if (reason_of(event, reason)) snprintf(loop->ledger_reason, sizeof loop->ledger_reason, ": %s", reason);
}

// The run goes on: what it charges is right, what was there before may not be.
static void audited(struct hg_loop *loop, const char *event) {
  char reason[HG_TEXT_MAX + 1], text[2 * HG_TEXT_MAX];
  if (!reason_of(event, reason)) return;
  snprintf(text, sizeof text, "the audit of the ledger found: %s; see headgate audit", reason);
  tell(loop, text);
}

static void fails(struct hg_loop *loop) {
  if (loop->ledger_fails) return;
  loop->ledger_fails = true;
  loop->ledger_fails_since_ms = loop->now_ms;
  char text[HG_TEXT_MAX + 160];
  snprintf(text, sizeof text, "the ledger can't be written%s; nothing new starts, waiting for it for %d seconds",
           loop->ledger_reason, HG_SYNC_PATIENCE_MS / 1000);
  tell(loop, text);
}

static void works(struct hg_loop *loop) {
  if (!loop->ledger_fails) return;
  loop->ledger_fails = false;
  loop->ledger_reason[0] = '\0';
  tell(loop, loop->interrupts > 0 ? "the ledger is written again" : "the ledger is written again; going on");
}

void hg_loop_take_store_event(struct hg_loop *loop, const hg_event *event) {
  if (loop->ledger_lost) return;
  if (strcmp(event->type, "AUDIT_DONE") == 0) {
    audited(loop, event->json);
  } else if (strcmp(event->type, "STORE_DEGRADED") == 0) {
    if (event->seq != 0) return; // the journalled one comes when all is well again
    keep_reason(loop, event->json);
    fails(loop);
  } else if (strcmp(event->type, "STORE_RECOVERED") == 0) {
    works(loop);
  } else if (strstr(event->json, "\"storeDegraded\":true")) { // a heartbeat: should the notice itself have been lost
    fails(loop);
  } else {
    works(loop);
  }
}

void hg_loop_lose_ledger(struct hg_loop *loop, const char *what) {
  if (loop->ledger_lost) return;
  char text[HG_TEXT_MAX + 160];
  snprintf(text, sizeof text, "%s%s", what, loop->ledger_reason);
  loop->ledger_lost = true;
  loop->ledger_fails = false;
  hg_runner_lost(loop->runner, text, loop->now_ms);
}

void hg_loop_check_ledger(struct hg_loop *loop) {
  if (loop->ledger_fails && loop->interrupts >= 2) hg_loop_lose_ledger(loop, "the ledger can't be written");
  else if (loop->ledger_fails && loop->now_ms - loop->ledger_fails_since_ms >= HG_SYNC_PATIENCE_MS)
    hg_loop_lose_ledger(loop, "the ledger could not be written for 30 seconds");
  else if (loop->interrupts >= 2 && loop->now_ms - loop->cut_at_ms >= CUT_PATIENCE_MS)
    hg_loop_lose_ledger(loop, "the runtime does not answer");
}

bool hg_loop_watches_clock(const struct hg_loop *loop) {
  return !loop->ledger_lost && (loop->ledger_fails || loop->interrupts >= 2);
}
