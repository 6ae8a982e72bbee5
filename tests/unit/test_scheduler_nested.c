// labels: budget
// The scheduler's core alone: requests that name a parent.
#include "scheduler_fixture.h"

TEST(scheduler_nested, nested_work_needs_no_slot) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  acquire_as(&f, ALICE, (struct wish){.request = 2, .parent = 1});
  expect_refused(&f, ALICE, 2, HG_ERR_UNKNOWN_PERMIT);
  run_task(&f, 1);
  acquire(&f, 3);
  acquire_as(&f, ALICE, (struct wish){.request = 4, .parent = 1});
  acquire_as(&f, ALICE, (struct wish){.request = 5, .parent = 1});
  expect_asked(&f, 4, 0);
  expect_asked(&f, 5, 0);
  CHECK(asks_nothing(&f));
  answer(&f, 4, HG_VERDICT_WAIT, 0, 0);
  answer(&f, 5, HG_VERDICT_BEHIND, 0, 0);
  expect_asked(&f, 5, 1); // a nested one has no turn to wait for
  answer(&f, 5, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(&f, ALICE, 5);
  room(&f, 0);
  expect_asked(&f, 4, 1);
  answer(&f, 4, HG_VERDICT_WAIT, 0, 0);
  settle(&f, ALICE, 1);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  close_permit(&f, 1, HG_OK, 0);
  expect_refused(&f, ALICE, 4, HG_ERR_UNKNOWN_PERMIT); // its parent is gone: it need not wait for room to hear it
  hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, ALICE, HG_SETTLED);
  room(&f, 0);
  CHECK(asks_nothing(&f)); // 5 runs in the slot
  settle(&f, ALICE, 5);
  hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  close_permit(&f, 5, HG_OK, 0);
  expect_asked(&f, 3, 2);
  end(&f);
}

static void end_task(struct fixture *f, uint64_t id) {
  settle(f, ALICE, id);
  hg_test_expect(&f->scheduler, HG_PORT_DECISIONS, 0, HG_SETTLE);
  close_permit(f, id, HG_OK, 0);
  hg_test_expect(&f->scheduler, HG_PORT_CLIENTS, ALICE, HG_SETTLED);
}

static void run_nested(struct fixture *f, uint64_t id, uint64_t parent) {
  acquire_as(f, ALICE, (struct wish){.request = id, .parent = parent});
  expect_asked(f, id, 0);
  answer(f, id, HG_VERDICT_GRANTED, 0, 0);
  expect_granted(f, ALICE, id);
}

// Whatever the order of their ends: one slot, free when the last of them has ended.
TEST(scheduler_nested, a_slot_goes_from_one_to_the_next_of_those_that_run_in_it) {
  struct fixture f;
  begin(&f, 1);
  start(&f);
  run_task(&f, 1);
  run_nested(&f, 2, 1);
  run_nested(&f, 3, 2);
  run_nested(&f, 4, 1);
  acquire(&f, 5);
  const uint64_t order[] = {2, 1, 4, 3};
  for (size_t i = 0; i < 4; i++) {
    CHECK(asks_nothing(&f));
    end_task(&f, order[i]);
  }
  expect_asked(&f, 5, 0);
  end(&f);
}

TEST(scheduler_nested, its_tokens_may_come_out_of_its_parent_s) {
  struct fixture f;
  begin(&f, 1);
  const uint32_t other = hg_test_setup_budget(&f.setup, "other", 0, 100);
  start(&f);
  acquire_as(&f, ALICE, (struct wish){.request = 2, .from_parent = true});
  expect_refused(&f, ALICE, 2, HG_ERR_INVALID);
  run_task(&f, 1);
  acquire_as(&f, ALICE, (struct wish){.request = 2, .parent = 1, .from_parent = true, .budget = other});
  expect_refused(&f, ALICE, 2, HG_ERR_INVALID);
  acquire_as(&f, ALICE, (struct wish){.request = 2, .parent = 1, .from_parent = true});
  hg_test_flush(&f.scheduler);
  const struct hg_message asked = hg_test_expect(&f.scheduler, HG_PORT_DECISIONS, 0, HG_RESERVE);
  CHECK_EQ(asked.as.reserve.parent, 1);
  CHECK(asked.as.reserve.from_parent);
  answer(&f, 2, HG_VERDICT_NEVER, 0, 0);
  const struct hg_message refused = hg_test_expect(&f.scheduler, HG_PORT_CLIENTS, ALICE, HG_REFUSED);
  CHECK_EQ(refused.as.refused.error, HG_ERR_BUDGET_EXHAUSTED);
  CHECK_EQ(refused.as.refused.left, 10);
  end(&f);
}

static struct hg_waiting_message who_waits(struct fixture *f, uint32_t from) {
  struct hg_message message;
  hg_message_init(&message, HG_GET_WAITING);
  message.as.get_waiting.from = from;
  hg_test_send(&f->scheduler, HG_PORT_CLIENTS, BOB, &message);
  return hg_test_expect(&f->scheduler, HG_PORT_CLIENTS, BOB, HG_WAITING).as.waiting;
}

TEST(scheduler_nested, lists_of_who_waits_have_them_too) {
  struct fixture f;
  begin(&f, 1);
  const uint32_t other = hg_test_setup_budget(&f.setup, "other", 0, 100);
  start(&f);
  run_task(&f, 1);
  acquire_as(&f, ALICE, (struct wish){.request = 2, .parent = 1, .min = 20});
  expect_asked(&f, 2, 0);
  answer(&f, 2, HG_VERDICT_WAIT, 0, 0);
  acquire_as(&f, ALICE, (struct wish){.request = 3, .budget = other, .min = 30});
  struct hg_waiting_message waiting = who_waits(&f, 0);
  CHECK(waiting.budget == 0 && waiting.count == 1 && waiting.needed == 20); // the nested one, in the first budget
  waiting = who_waits(&f, 1);
  CHECK(waiting.budget == other && waiting.count == 1 && waiting.needed == 30);
  CHECK_EQ(who_waits(&f, other + 1).count, 0);
  acquire_as(&f, ALICE, (struct wish){.request = 4, .min = 40});
  waiting = who_waits(&f, 0);
  CHECK(waiting.budget == 0 && waiting.count == 2); // it waits in the same
  end(&f);
}
