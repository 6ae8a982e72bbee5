// labels: budget
// Nested work whose reservation comes out of its parent's, at the tracker's core: what is lent, what goes back, and to
// whom when one of the two is gone.
#include "tracker_fixture.h"

#define PARENT 5

static void abandon(struct fixture *f, uint64_t permit) {
  struct hg_message message;
  hg_message_init(&message, HG_ABANDON);
  message.as.abandon.permit = permit;
  hg_test_send(&f->tracker, HG_PORT_DECISIONS, 0, &message);
  CHECK_EQ(closed(f, permit), HG_OK);
}

static struct wish lent(uint64_t permit, int64_t min, int64_t max) {
  return (struct wish){.permit = permit, .min = min, .max = max, .parent = PARENT, .from_parent = true};
}

// A parent with 100 tokens of a budget of 100, so that nothing else is there.
static void start_parent(struct fixture *f, enum hg_orphan_policy policy) {
  begin(f, 100, 4);
  f->setup.config.throttle_percent = 100;
  f->setup.config.orphan_policy = policy;
  start(f);
  CHECK_EQ(ask(f, (struct wish){.permit = PARENT, .min = 100, .max = 100}).verdict, HG_VERDICT_GRANTED);
  f->read += 2;
}

static void expect_lent(struct fixture *f, uint64_t permit, int64_t tokens) {
  const struct hg_reserved_message answer = ask(f, lent(permit, tokens, tokens));
  CHECK_EQ(answer.verdict, HG_VERDICT_GRANTED);
  CHECK_EQ(answer.tokens, tokens);
  const struct hg_message *event = next_event(f, HG_TOKENS_RESERVED);
  CHECK_EQ(event->as.tokens_reserved.parent, PARENT);
  CHECK_EQ(event->as.tokens_reserved.from_parent, tokens);
  CHECK_EQ(event->as.tokens_reserved.reserved_delta, 0);
  CHECK_EQ(event->as.tokens_reserved.reserved, 100);
  next_event(f, HG_TASK_STARTED);
}

TEST(nested, is_lent_tokens_where_the_budget_has_none) {
  struct fixture f;
  start_parent(&f, HG_ORPHAN_CHARGE);
  CHECK_EQ(ask(&f, (struct wish){.permit = 6, .min = 1, .max = 1, .parent = PARENT}).verdict, HG_VERDICT_WAIT);
  next_event(&f, HG_TASK_WAITING);
  expect_lent(&f, 7, 60); // has not heard of the one that waits, and need not
  struct hg_reserved_message answer = ask(&f, lent(8, 41, 90));
  CHECK_EQ(answer.verdict, HG_VERDICT_NEVER);
  CHECK_EQ(answer.tokens, 40);
  CHECK(no_event(&f)); // the budget is not what is exhausted
  answer = ask(&f, lent(8, 10, 90));
  CHECK_EQ(answer.tokens, 40);
  CHECK_EQ(ask(&f, lent(9, 1, 1)).tokens, 0);
  const struct hg_usage_message usage = usage_of(&f, 0);
  CHECK_EQ(usage.reserved, 100);
  CHECK_EQ(usage.open_permits, 3);
  end(&f);
}

TEST(nested, what_it_does_not_use_goes_back_to_its_parent) {
  struct fixture f;
  start_parent(&f, HG_ORPHAN_CHARGE);
  expect_lent(&f, 7, 60);
  CHECK_EQ(settled(&f, 7, 25), HG_OK);
  const struct hg_message *event = next_event(&f, HG_TOKENS_SETTLED);
  CHECK_EQ(event->as.tokens_settled.used_delta, 25);
  CHECK_EQ(event->as.tokens_settled.reserved_delta, -25);
  CHECK_EQ(event->as.tokens_settled.to_parent, 35);
  CHECK_EQ(event->as.tokens_settled.parent, PARENT);
  next_event(&f, HG_TASK_FINISHED);
  CHECK_EQ(ask(&f, lent(8, 1, 100)).tokens, 75); // all that is left
  f.read += 2;
  release(&f, 8, HG_OUTCOME_RETRY);
  CHECK_EQ(closed(&f, 8), HG_OK);
  event = next_event(&f, HG_TOKENS_RELEASED);
  CHECK_EQ(event->as.tokens_released.reserved_delta, 0);
  CHECK_EQ(event->as.tokens_released.to_parent, 75);
  CHECK_EQ(settled(&f, PARENT, 75), HG_OK); // its own and what came back: no overrun
  CHECK_EQ(next_event(&f, HG_TOKENS_SETTLED)->as.tokens_settled.reserved_delta, -75);
  next_event(&f, HG_TASK_FINISHED);
  CHECK(no_event(&f));
  CHECK_EQ(usage_of(&f, 0).used, 100);
  CHECK_EQ(usage_of(&f, 0).reserved, 0);
  end(&f);
}

TEST(nested, more_than_it_was_lent_is_recorded_in_full) {
  struct fixture f;
  start_parent(&f, HG_ORPHAN_CHARGE);
  expect_lent(&f, 7, 60);
  CHECK_EQ(settled(&f, 7, 70), HG_OK);
  const struct hg_message *event = next_event(&f, HG_TOKENS_SETTLED);
  CHECK_EQ(event->as.tokens_settled.used_delta, 70);
  CHECK_EQ(event->as.tokens_settled.reserved_delta, -60);
  CHECK_EQ(event->as.tokens_settled.to_parent, 0);
  CHECK_EQ(event->as.tokens_settled.parent, 0);
  next_event(&f, HG_TASK_FINISHED);
  CHECK_EQ(next_event(&f, HG_BUDGET_OVERRUN)->as.budget_overrun.over_by, 10);
  CHECK_EQ(usage_of(&f, 0).reserved, 40); // the parent keeps what it has not lent
  end(&f);
}

TEST(nested, when_the_parent_has_ended_the_rest_is_free) {
  struct fixture f;
  start_parent(&f, HG_ORPHAN_CHARGE);
  expect_lent(&f, 7, 60);
  settle(&f, PARENT, 45, HG_OUTCOME_DONE, NULL);
  CHECK_EQ(closed(&f, PARENT), HG_OK);
  CHECK_EQ(next_event(&f, HG_TOKENS_SETTLED)->as.tokens_settled.reserved_delta, -40);
  next_event(&f, HG_TASK_FINISHED);
  CHECK_EQ(next_event(&f, HG_BUDGET_OVERRUN)->as.budget_overrun.over_by, 5); // more than it had kept
  CHECK_EQ(settled(&f, 7, 20), HG_OK);
  const struct hg_message *event = next_event(&f, HG_TOKENS_SETTLED);
  CHECK_EQ(event->as.tokens_settled.reserved_delta, -60);
  CHECK_EQ(event->as.tokens_settled.to_parent, 0);
  CHECK_EQ(usage_of(&f, 0).used, 65);
  CHECK_EQ(usage_of(&f, 0).reserved, 0);
  CHECK_EQ(ask(&f, lent(8, 1, 1)).error, HG_ERR_UNKNOWN_PERMIT);
  end(&f);
}

TEST(nested, lent_tokens_can_be_lent_on) {
  struct fixture f;
  start_parent(&f, HG_ORPHAN_CHARGE);
  expect_lent(&f, 7, 60);
  struct wish below = {.permit = 8, .min = 50, .max = 50, .parent = 7, .from_parent = true};
  CHECK_EQ(ask(&f, below).tokens, 50);
  f.read += 2;
  CHECK_EQ(settled(&f, 7, 10), HG_OK); // all that it kept: nothing goes back
  CHECK_EQ(next_event(&f, HG_TOKENS_SETTLED)->as.tokens_settled.to_parent, 0);
  CHECK_EQ(settled(&f, 8, 10), HG_OK); // its parent has ended
  CHECK_EQ(usage_of(&f, 0).reserved, 40);
  CHECK_EQ(settled(&f, PARENT, 40), HG_OK);
  CHECK_EQ(usage_of(&f, 0).used, 60);
  CHECK_EQ(usage_of(&f, 0).reserved, 0);
  end(&f);
}

TEST(nested, a_limit_below_what_is_committed_does_not_stop_it) {
  struct fixture f;
  start_parent(&f, HG_ORPHAN_CHARGE);
  set_limit(&f, 0, 50);
  next_event(&f, HG_LIMIT_CHANGED);
  expect_lent(&f, 7, 60); // not a token more than was promised already
  end(&f);
}

TEST(nested, orphans_of_both_go_by_policy) {
  static const struct {
    enum hg_orphan_policy policy;
    int64_t used, reserved, to_parent; // of the child
    int64_t used_in_all, reserved_in_all;
  } cases[] = {
      {HG_ORPHAN_CHARGE, 60, -60, 0, 100, 0}, {HG_ORPHAN_KEEP, 0, 0, 0, 0, 100}, {HG_ORPHAN_RELEASE, 0, 0, 60, 0, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct fixture f;
    start_parent(&f, cases[i].policy);
    expect_lent(&f, 7, 60);
    abandon(&f, 7);
    const struct hg_message *event = next_event(&f, HG_RESERVATION_ORPHANED);
    CHECK_EQ(event->as.reservation_orphaned.used_delta, cases[i].used);
    CHECK_EQ(event->as.reservation_orphaned.reserved_delta, cases[i].reserved);
    CHECK_EQ(event->as.reservation_orphaned.to_parent, cases[i].to_parent);
    CHECK_EQ(event->as.reservation_orphaned.parent, cases[i].to_parent ? PARENT : 0);
    abandon(&f, PARENT);
    CHECK_EQ(usage_of(&f, 0).used, cases[i].used_in_all);
    CHECK_EQ(usage_of(&f, 0).reserved, cases[i].reserved_in_all);
    end(&f);
  }
}

TEST(nested, a_late_settle_of_a_kept_child_gives_the_rest_back_while_the_parent_is_open) {
  struct fixture f;
  start_parent(&f, HG_ORPHAN_KEEP);
  expect_lent(&f, 7, 60);
  expect_lent(&f, 8, 30);
  abandon(&f, 7);
  abandon(&f, 8);
  f.read += 4;
  CHECK_EQ(settled(&f, 7, 20), HG_OK);
  const struct hg_message *event = next_event(&f, HG_TOKENS_SETTLED);
  CHECK(event->as.tokens_settled.late);
  CHECK_EQ(event->as.tokens_settled.to_parent, 40);
  next_event(&f, HG_TASK_FINISHED);
  abandon(&f, PARENT); // kept with 50
  next_event(&f, HG_RESERVATION_ORPHANED);
  next_event(&f, HG_TASK_FAILED);
  CHECK_EQ(settled(&f, 8, 20), HG_OK);
  CHECK_EQ(next_event(&f, HG_TOKENS_SETTLED)->as.tokens_settled.to_parent, 0);
  CHECK_EQ(usage_of(&f, 0).used, 40);
  CHECK_EQ(usage_of(&f, 0).reserved, 50);
  end(&f);
}

TEST(nested, refuses_another_budget_and_no_parent) {
  struct fixture f;
  begin(&f, 1000, 4);
  const uint32_t other = hg_test_setup_budget(&f.setup, "other", 0, 300);
  start(&f);
  ask(&f, (struct wish){.permit = PARENT, .min = 100, .max = 100});
  struct wish wish = lent(7, 10, 10);
  wish.budget = other;
  CHECK_EQ(ask(&f, wish).error, HG_ERR_INVALID);
  wish = lent(7, 10, 10);
  wish.parent = 0;
  CHECK_EQ(ask(&f, wish).error, HG_ERR_INVALID);
  wish.parent = 99;
  CHECK_EQ(ask(&f, wish).error, HG_ERR_UNKNOWN_PERMIT);
  end(&f);
}
