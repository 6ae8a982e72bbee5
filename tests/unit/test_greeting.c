// Whom a guest takes for a host: one that answers out of its way is none. labels: bus
#include "actors/guest.h"
#include "bus/frames.h"
#include "support/core_driver.h"
#include "support/test.h"

#include <pthread.h>

#define ENDPOINT "inproc://host"
#define ANSWERS_MAX 4
#define LIMITS ((struct hg_link_limits){.send_hwm = 100, .receive_hwm = 100})

// What is answered to HELLO and to SNAPSHOT, each up to HG_NONE.
struct host {
  void *context;
  struct hg_link link;
  struct hg_message answers[2][ANSWERS_MAX];
};

static void *answer_two(void *self) {
  struct host *host = self;
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  for (int question = 0; question < 2; question++) {
    struct hg_received received;
    hg_peer peer;
    uint32_t readable;
    while (hg_link_receive(&host->link, &peer, &received) != HG_OK)
      if (hg_links_wait(&host->link, 1, 1, 60000000, &readable) != HG_OK) return NULL; // the context ends
    hg_received_close(&received);
    for (const struct hg_message *answer = host->answers[question]; answer->kind != HG_NONE; answer++) {
      const size_t size = hg_outside_encode(answer, frame, sizeof frame);
      (void)hg_link_send(&host->link, peer, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
    }
  }
  return NULL;
}

static struct hg_message welcome_in(const char *unit) {
  struct hg_message message;
  hg_message_init(&message, HG_WELCOME);
  message.as.welcome.life = 5;
  message.as.welcome.unit = hg_text_of(unit);
  return message;
}

static struct hg_message budget_of(const char *name, const char *parent) {
  struct hg_message message;
  hg_message_init(&message, HG_SNAPSHOT_BUDGET);
  message.as.snapshot_budget.budget = hg_text_of(name);
  message.as.snapshot_budget.parent = hg_text_of(parent);
  message.as.snapshot_budget.hard_limit = 1000;
  return message;
}

static struct hg_message report_of(uint32_t budgets) {
  struct hg_message message;
  hg_message_init(&message, HG_SNAPSHOT_REPORT);
  message.as.snapshot_report.budgets = budgets;
  return message;
}

static struct hg_message refusal(hg_err err) {
  struct hg_message message;
  hg_message_done(&message, 0, err, "");
  return message;
}

// What the guest makes of this host.
static hg_err greet(struct host *host, hg_error *why) {
  struct hg_test_setup setup;
  struct hg_host found = {0};
  pthread_t thread;
  hg_test_setup_init(&setup, 1000, 4);
  struct hg_config config = setup.config;
  config.budgets = NULL; // those of the host take their place
  config.budget_count = 0;
  config.unit = HG_UNIT_TOKENS;
  CHECK_EQ(hg_context_new(&host->context), HG_OK);
  CHECK_EQ(hg_link_open(host->context, HG_ROUTER, LIMITS, &host->link), HG_OK);
  CHECK_EQ(hg_link_bind(&host->link, ENDPOINT), HG_OK);
  CHECK_EQ(pthread_create(&thread, NULL, answer_two, host), 0);
  const hg_err err = hg_guest_greet(host->context, ENDPOINT, &config, &found, why);
  if (err == HG_OK) {
    CHECK_EQ(found.life, 5);
    CHECK_EQ(config.budget_count, 2);
    CHECK_EQ(config.budgets[1].parent, 0);
    free(config.budgets_by_name);
    free(config.budgets);
  }
  hg_context_shutdown(host->context);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  hg_link_close(&host->link);
  hg_context_destroy(host->context);
  return err;
}

TEST(greeting, a_host_says_who_it_is_and_names_its_budgets) {
  struct host host = {
      .answers = {{welcome_in("tokens")}, {budget_of("default", ""), budget_of("team", "default"), report_of(2)}}};
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(greet(&host, &why), HG_OK);
}

TEST(greeting, whoever_answers_otherwise_is_no_host) {
  const struct hg_message root = budget_of("default", ""), report = report_of(1), hello = welcome_in("tokens");
  const struct host hosts[] = {{.answers = {{welcome_in("pebbles")}}},
                               {.answers = {{refusal(HG_ERR_CLOSED)}}},
                               {.answers = {{refusal(HG_ERR_INVALID)}}},
                               {.answers = {{hello}, {refusal(HG_ERR_STORE)}}},
                               {.answers = {{hello}, {budget_of("", ""), report}}},
                               {.answers = {{hello}, {budget_of("default", "nobody"), report}}},
                               {.answers = {{hello}, {root, budget_of("team", "nobody"), report_of(2)}}},
                               {.answers = {{hello}, {report_of(0)}}},
                               {.answers = {{hello}, {root, report_of(2)}}}};
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    struct host host = hosts[i];
    hg_error why = HG_ERROR_INIT;
    CHECK_EQ(greet(&host, &why), HG_ERR_NO_RUNTIME);
    CHECK(strstr(why.text, "did not answer as one that takes guests") != NULL);
    CHECK(strstr(why.text, hg_err_text(i == 1 ? HG_ERR_CLOSED : HG_ERR_PROTOCOL)) != NULL);
  }
}

TEST(greeting, a_host_that_counts_something_else_is_refused) {
  struct host host = {.answers = {{welcome_in("nanodollars")}, {budget_of("default", ""), report_of(1)}}};
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(greet(&host, &why), HG_ERR_CONFIG);
}
