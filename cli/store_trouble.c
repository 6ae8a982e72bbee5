// Tells why a living runtime gives no answer, when that is its ledger.
#include "cli/control.h"

#include "bus/frames.h"

#include <string.h>

#define HEAR_WITHIN_US 1000000 // the event bus beats ten times a second, whatever the store does

static hg_err next_beat(struct hg_link *link, char *json, size_t room) {
  const int64_t deadline = hg_clock_now().monotonic_us + HEAR_WITHIN_US;
  for (;;) {
    struct hg_received received;
    hg_peer peer;
    uint32_t readable;
    size_t size;
    hg_err err = hg_link_receive(link, &peer, &received);
    if (err == HG_OK) {
      const uint8_t *data = hg_received_data(&received, &size);
      const bool is_beat = hg_outside_to_json(data, size, json, room);
      hg_received_close(&received);
      return is_beat ? HG_OK : HG_ERR_PROTOCOL;
    }
    const int64_t left = deadline - hg_clock_now().monotonic_us;
    if (err == HG_ERR_EMPTY) err = left > 0 ? hg_links_wait(link, 1, 1, left, &readable) : HG_ERR_TIMEOUT;
    if (err != HG_OK) return err;
  }
}

static bool store_fails(const struct hg_holder *holder) {
  const struct hg_link_limits limits = {64, 64, HG_OUTSIDE_FRAME_MAX};
  char json[2 * HG_OUTSIDE_FRAME_MAX];
  struct hg_link link = {.socket = NULL};
  void *context = NULL;
  hg_err err = hg_context_new(&context);
  if (err == HG_OK) err = hg_link_open(context, HG_SUB, limits, &link);
  if (err == HG_OK) err = hg_link_subscribe(&link, "HEARTBEAT");
  if (err == HG_OK) err = hg_link_connect(&link, holder->events);
  if (err == HG_OK) err = next_beat(&link, json, sizeof json);
  hg_link_close(&link);
  if (context) hg_context_destroy(context);
  return err == HG_OK && strstr(json, "\"storeDegraded\":true");
}

hg_err hg_site_explain(const struct hg_site *site, hg_err err, hg_error *why) {
  struct hg_holder holder;
  if (err != HG_ERR_TIMEOUT || hg_ledger_holder(&site->places, &holder) != HG_OK || !store_fails(&holder)) return err;
  return hg_fail(why, HG_ERR_STORE,
                 "the runtime (pid %lld) can't write \"%s\" now, as on a full disk, and gives no answer until it can; "
                 "what it was asked to change is not durable, but may still be done then",
                 (long long)holder.pid, site->config->ledger_path);
}
