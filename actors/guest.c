// HELLO, then SNAPSHOT, on a link of its own.
#include "actors/guest.h"

#include "bus/endpoints.h"
#include "bus/frames.h"
#include "base/fail.h"
#include "base/money.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE_US 10000000 // a snapshot waits for its commit

struct greeting {
  struct hg_link link;
  int64_t deadline;
  struct hg_host *host;
  struct hg_budget_config *budgets;
  uint32_t count, capacity;
  struct hg_snapshot_report_message report;
  hg_unit unit;
  uint64_t prices;
};

static hg_err say(struct greeting *greeting, enum hg_kind kind) {
  uint8_t frame[HG_INLINE_FRAME * 4];
  struct hg_message message;
  hg_message_init(&message, kind);
  const size_t size = hg_outside_encode(&message, frame, sizeof frame);
  assert(size);
  return hg_link_send(&greeting->link, 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
}

static bool find_parent(const struct greeting *greeting, struct hg_text name, uint32_t *out) {
  for (*out = 0; *out < greeting->count; ++*out)
    if (hg_text_equal(hg_text_of(greeting->budgets[*out].name), name)) return true;
  return greeting->count == 0 && name.size == 0; // the root is its own
}

// They come in the order of the other configuration, parents first.
static hg_err add_budget(struct greeting *greeting, const struct hg_snapshot_budget_message *told) {
  struct hg_budget_config budget = {.hard_limit = told->hard_limit};
  if (told->budget.size == 0 || told->budget.size > HG_BUDGET_NAME_MAX || greeting->count == HG_BUDGETS_MAX ||
      !find_parent(greeting, told->parent, &budget.parent))
    return HG_ERR_PROTOCOL;
  hg_text_copy(budget.name, sizeof budget.name, told->budget);
  if (greeting->count == greeting->capacity) {
    const uint32_t capacity = greeting->capacity ? 2 * greeting->capacity : 16;
    struct hg_budget_config *longer = realloc(greeting->budgets, capacity * sizeof *longer);
    if (!longer) return HG_ERR_NO_MEMORY;
    greeting->budgets = longer;
    greeting->capacity = capacity;
  }
  greeting->budgets[greeting->count++] = budget;
  return HG_OK;
}

static hg_err take(struct greeting *greeting, const struct hg_message *message) {
  if (message->kind == HG_WELCOME) {
    greeting->host->life = message->as.welcome.life;
    hg_text_copy(greeting->host->ledger_id, sizeof greeting->host->ledger_id, message->as.welcome.ledger);
    const struct hg_text unit = message->as.welcome.unit;
    if (unit.size && !hg_unit_of_name(unit.data, unit.size, &greeting->unit)) return HG_ERR_PROTOCOL;
    greeting->prices = message->as.welcome.prices;
  } else if (message->kind == HG_SNAPSHOT_BUDGET) {
    return add_budget(greeting, &message->as.snapshot_budget);
  } else if (message->kind == HG_SNAPSHOT_REPORT) {
    greeting->report = message->as.snapshot_report;
  } else if (message->kind == HG_COMMAND_DONE) {
    return message->as.command_done.error == HG_ERR_CLOSED ? HG_ERR_CLOSED : HG_ERR_PROTOCOL;
  }
  return HG_OK;
}

// Until an answer of this kind is there.
static hg_err hear(struct greeting *greeting, enum hg_kind wanted) {
  for (;;) {
    struct hg_received received;
    struct hg_message message;
    hg_peer peer;
    hg_err err = hg_link_receive(&greeting->link, &peer, &received);
    if (err == HG_OK) {
      size_t size;
      const uint8_t *data = hg_received_data(&received, &size);
      err = hg_outside_decode(data, size, &message);
      if (err == HG_OK) err = take(greeting, &message);
      hg_received_close(&received);
      if (err != HG_OK || message.kind == wanted) return err;
      continue;
    }
    const int64_t left = greeting->deadline - hg_clock_now().monotonic_us;
    uint32_t readable;
    if (err != HG_ERR_EMPTY) return err;
    if (left <= 0) return HG_ERR_TIMEOUT;
    err = hg_links_wait(&greeting->link, 1, 1, left, &readable);
    if (err != HG_OK) return err;
  }
}

static hg_err greet(struct greeting *greeting, const char *endpoint) {
  hg_err err = hg_link_connect(&greeting->link, endpoint);
  if (err == HG_OK) err = say(greeting, HG_HELLO);
  if (err == HG_OK) err = hear(greeting, HG_WELCOME);
  if (err == HG_OK) err = say(greeting, HG_SNAPSHOT);
  if (err == HG_OK) err = hear(greeting, HG_SNAPSHOT_REPORT);
  if (err != HG_OK) return err;
  return greeting->count > 0 && greeting->count == greeting->report.budgets ? HG_OK : HG_ERR_PROTOCOL;
}

// Amounts must mean the same on both sides: in what they count, and by which prices.
static hg_err compare(const struct greeting *greeting, const struct hg_config *config, hg_error *why) {
  if (greeting->unit != config->unit)
    return hg_fail(why, HG_ERR_CONFIG,
                   "ConfigurationError: %s: its limits are in %s, but the runtime that lives on the ledger counts %s",
                   config->source, hg_unit_words(config->unit), hg_unit_words(greeting->unit));
  if (greeting->prices != hg_config_prices_mark(config))
    return hg_fail(
        why, HG_ERR_CONFIG,
        "ConfigurationError: %s: llm.prices differ from those of the runtime that lives on the ledger, which "
        "must be the same rows in the same order: what this program counts would cost something else there",
        config->source);
  return HG_OK;
}

hg_err hg_guest_greet(void *context, const char *endpoint, struct hg_config *config, struct hg_host *out,
                      hg_error *why) {
  const struct hg_link_limits limits = HG_OUTSIDE_ANSWERS;
  struct greeting greeting = {.deadline = hg_clock_now().monotonic_us + PATIENCE_US, .host = out};
  hg_err err = hg_link_open(context, HG_DEALER, limits, &greeting.link);
  if (err == HG_OK) err = greet(&greeting, endpoint);
  hg_link_close(&greeting.link);
  if (err == HG_OK && compare(&greeting, config, why) != HG_OK) {
    free(greeting.budgets);
    return HG_ERR_CONFIG;
  }
  if (err == HG_OK && !hg_config_take_budgets(config, greeting.budgets, greeting.count)) err = HG_ERR_NO_MEMORY;
  else if (err != HG_OK) free(greeting.budgets);
  if (err == HG_OK || err == HG_ERR_NO_MEMORY) return err;
  return hg_fail(why, HG_ERR_NO_RUNTIME, "the runtime at %s did not answer as one that takes guests: %s", endpoint,
                 hg_err_text(err));
}
