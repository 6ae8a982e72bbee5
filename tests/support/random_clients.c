// What random clients do.
#include "support/random_clients.h"

#include "support/random_world.h"

#define LEASE (HG_LEASE_MS_MIN * INT64_C(1000))

static uint64_t roll(struct random_world *w, uint64_t sides) {
  uint64_t z = (w->dice += UINT64_C(0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (z ^ (z >> 31)) % sides;
}

static int64_t between(struct random_world *w, int64_t low, int64_t high) {
  return low + (int64_t)roll(w, (uint64_t)(high - low + 1));
}

static uint32_t any_budget(struct random_world *w) {
  return (uint32_t)roll(w, w->setup.config.budget_count);
}

static hg_peer any_client(struct random_world *w) {
  return w->clients[roll(w, CLIENTS)];
}

static void to_scheduler(struct random_world *w, hg_peer peer, const struct hg_message *message) {
  hg_test_send(&w->world.scheduler, HG_PORT_CLIENTS, peer, message);
}

static void to_tracker(struct random_world *w, hg_peer peer, const struct hg_message *message) {
  hg_test_send(&w->world.tracker, HG_PORT_CLIENTS, peer, message);
}

// A wish that is granted and that nobody has settled; 0: none was met.
static uint64_t any_running(struct random_world *w) {
  for (int tries = 0; tries < 8 && w->last_wish; tries++) {
    const uint64_t id = w->last_wish - roll(w, w->last_wish < 24 ? w->last_wish : 24);
    const struct wish *wish = &w->wishes[id];
    if (wish->state == WISH_GRANTED && !wish->settles && !wish->left && !wish->given_up) return id;
  }
  return 0;
}

// ------------------------------------------------------------------------------------------------ permits

static void acquire(struct random_world *w) {
  if (w->last_wish + 1 >= HG_MODEL_PERMITS) return;
  const uint64_t id = ++w->last_wish;
  struct wish *wish = &w->wishes[id];
  const bool first = roll(w, 8) == 0;
  *wish = (struct wish){.state = WISH_OPEN, .peer = any_client(w), .budget = any_budget(w), .deadline = HG_NEVER};
  wish->min = roll(w, 30) ? between(w, 1, 120) : between(w, 60, 900);
  wish->max = wish->min + between(w, 0, 120);
  wish->parent = roll(w, 10) == 0 ? any_running(w) : 0;
  if (wish->parent && roll(w, 2)) {
    const struct hg_model_permit *parent = &w->model.permits[wish->parent];
    wish->from_parent = true;
    wish->budget = parent->budget;
    wish->min = between(w, 1, parent->tokens + 5); // now and then too much
    wish->max = wish->min + between(w, 0, 40);
  }
  wish->arrival = first ? --w->first_arrivals : ++w->arrivals;
  struct hg_message message;
  hg_message_init(&message, HG_ACQUIRE);
  message.as.acquire.request = id;
  message.as.acquire.budget = wish->budget;
  message.as.acquire.min_tokens = wish->min;
  message.as.acquire.max_tokens = wish->max;
  message.as.acquire.first_in_line = first;
  message.as.acquire.parent = wish->parent;
  message.as.acquire.from_parent = wish->from_parent;
  wish->leased = roll(w, 6) == 0;
  message.as.acquire.lease_us = wish->leased ? LEASE : 0;
  message.as.acquire.waits = wish->blocking = roll(w, 3) == 0;
  if (roll(w, 4) == 0) {
    message.as.acquire.timeout_us = 1 + roll(w, 1600);
    wish->deadline = w->time + (int64_t)message.as.acquire.timeout_us;
  }
  to_scheduler(w, wish->peer, &message);
}

static void settle(struct random_world *w, uint64_t id) {
  struct wish *wish = &w->wishes[id];
  const int64_t granted = w->model.permits[id].tokens; // perhaps less than it was granted
  const bool is_release = roll(w, 6) == 0;
  const int64_t tokens = is_release ? 0 : roll(w, 8) ? between(w, 0, granted) : between(w, granted, 2 * granted);
  if (wish->settles && (wish->is_release != is_release || wish->tokens != tokens)) wish->disputed = true;
  if (!wish->settles) {
    wish->is_release = is_release;
    wish->tokens = tokens;
  }
  wish->settles++;
  struct hg_message message;
  hg_message_init(&message, is_release ? HG_RELEASE : HG_SETTLE);
  if (is_release) {
    message.as.release.permit = id;
    message.as.release.outcome = (uint32_t)roll(w, 3);
  } else {
    message.as.settle.permit = id;
    message.as.settle.tokens = tokens;
    message.as.settle.outcome = (uint32_t)roll(w, 3);
  }
  to_scheduler(w, any_client(w), &message);
}

static void renew(struct random_world *w, uint64_t id) {
  struct hg_message message;
  hg_message_init(&message, HG_RENEW);
  message.as.renew.permit = id;
  w->questions++;
  to_scheduler(w, any_client(w), &message);
}

static void settle_some(struct random_world *w) {
  const uint64_t id = any_running(w);
  if (!id) return;
  if (roll(w, 12) == 0) renew(w, id);
  settle(w, id);
  if (roll(w, 12) == 0) settle(w, id); // twice, perhaps differently
}

static void settle_orphan(struct random_world *w) {
  for (uint64_t id = 1; id <= w->last_wish; id++) {
    const enum hg_model_state state = w->model.permits[id].state;
    if ((state != HG_MODEL_GUESSED && state != HG_MODEL_KEPT) || roll(w, 4)) continue;
    settle(w, id);
    return;
  }
}

static void cancel(struct random_world *w, uint64_t id) {
  struct hg_message message;
  hg_message_init(&message, HG_CANCEL);
  message.as.cancel.request = id;
  w->wishes[id].unwanted = true;
  if (w->wishes[id].state == WISH_OPEN && roll(w, 2)) w->wishes[id].given_up = message.as.cancel.give_back = true;
  to_scheduler(w, w->wishes[id].peer, &message);
}

static void cancel_some(struct random_world *w) {
  if (!w->last_wish) return;
  const uint64_t id = w->last_wish - roll(w, w->last_wish < 16 ? w->last_wish : 16);
  if (!w->wishes[id].left) cancel(w, id);
}

static void leave(struct random_world *w) {
  if (w->last_peer + 1 >= PEERS_EVER) return;
  hg_peer *client = &w->clients[roll(w, CLIENTS)];
  struct hg_message message;
  hg_message_init(&message, HG_LEAVE);
  to_scheduler(w, *client, &message);
  to_tracker(w, *client, &message);
  for (uint64_t id = 1; id <= w->last_wish; id++)
    w->wishes[id].left |= w->wishes[id].peer == *client;
  w->peers[*client].gone = true;
  *client = ++w->last_peer;
}

// ------------------------------------------------------------------------------------------------ commands

static void numbered(struct random_world *w) {
  const hg_peer id = any_client(w);
  struct random_peer *peer = &w->peers[id];
  if (peer->last == NUMBERS) return;
  const uint64_t odd = roll(w, 40); // now and then a number again, or one left out
  const uint64_t number = odd == 0 && peer->last ? peer->last : odd == 1 ? peer->last + 2 : peer->last + 1;
  const bool is_new = number == peer->last + 1;
  char mark[64];
  snprintf(mark, sizeof mark, "%llu.%llu", (unsigned long long)id, (unsigned long long)number);
  struct hg_message message;
  const uint64_t kind = roll(w, 10);
  if (kind < 5) {
    hg_message_init(&message, HG_RECORD_USAGE);
    message.as.record_usage.number = number;
    message.as.record_usage.budget = any_budget(w);
    message.as.record_usage.tokens = between(w, 0, 40);
    message.as.record_usage.task_id = hg_text_of(mark);
  } else if (kind < 8) {
    hg_message_init(&message, HG_CORRECT_USAGE);
    message.as.correct_usage.number = number;
    message.as.correct_usage.budget = any_budget(w);
    const int64_t used = w->model.budgets[message.as.correct_usage.budget].now.used;
    message.as.correct_usage.tokens = between(w, -used - (roll(w, 10) == 0), used / 20);
    message.as.correct_usage.reason = hg_text_of(mark);
  } else {
    hg_message_init(&message, HG_SET_HARD_LIMIT);
    message.as.set_hard_limit.number = number;
    message.as.set_hard_limit.budget = any_budget(w);
    message.as.set_hard_limit.tokens = roll(w, 10) ? between(w, 400, 1500) : between(w, 0, 400);
  }
  if (is_new) {
    peer->last = number;
    peer->numbers[number].makes_row = kind < 8;
  }
  to_tracker(w, id, &message);
}

static void question(struct random_world *w) {
  struct hg_message message;
  w->questions++;
  const uint64_t kind = roll(w, 3);
  if (kind == 0) {
    hg_message_init(&message, HG_GET_USAGE);
    message.as.get_usage.budget = any_budget(w);
    to_tracker(w, any_client(w), &message);
  } else if (kind == 1) {
    hg_message_init(&message, HG_GET_QUEUE);
    to_scheduler(w, any_client(w), &message);
  } else {
    hg_message_init(&message, HG_SET_MAX_CONCURRENCY);
    message.as.set_max_concurrency.count = (uint32_t)roll(w, 7); // 0 is refused
    to_scheduler(w, any_client(w), &message);
  }
}

// ----------------------------------------------------------------------------------------- messages and time

static void flush(struct random_world *w) {
  hg_test_flush(&w->world.scheduler);
  hg_test_flush(&w->world.tracker);
  hg_random_check_facts(w);
}

static void move(struct random_world *w) {
  const uint64_t kind = roll(w, 8);
  uint64_t count = 1 + roll(w, 4);
  if (kind < 3) {
    while (count-- && hg_random_ask(w)) {}
  } else if (kind < 5) {
    while (count-- && hg_random_answer(w)) {}
  } else if (kind == 5) {
    hg_test_flush(&w->world.scheduler);
  } else if (kind == 6) {
    hg_test_flush(&w->world.tracker);
    hg_random_check_facts(w);
  } else {
    hg_test_world_commit(&w->world, (size_t)count);
  }
  w->time += (int64_t)roll(w, 10);
  if (roll(w, 1000) == 0) w->time += LEASE / 2 + (int64_t)roll(w, LEASE);
  hg_test_world_at(&w->world, w->time);
}

static void run_until_quiet(struct random_world *w) {
  for (bool any = true; any;) {
    any = false;
    flush(w);
    while (hg_random_ask(w))
      any = true;
    flush(w);
    any |= hg_test_world_commit(&w->world, HG_FACTS_WINDOW);
    while (hg_random_answer(w))
      any = true;
    hg_random_check_answers(w);
  }
}

// ------------------------------------------------------------------------------------------------ a whole life

static void open_world(struct random_world *w) {
  hg_test_world_init(&w->world, &w->setup);
  hg_test_world_at(&w->world, w->time);
  w->events_read = w->watched = 0;
  memset(w->waiters, 0, sizeof w->waiters);
  for (size_t i = 0; i < CLIENTS; i++)
    w->clients[i] = ++w->last_peer;
  flush(w);
}

static void begin(struct random_world *w, uint64_t seed, struct hg_random_totals *totals) {
  memset(w, 0, sizeof *w);
  w->dice = seed;
  w->totals = totals;
  hg_test_setup_init(&w->setup, 1000, (uint32_t)between(w, 1, 6));
  for (uint64_t more = roll(w, 4) ? 5 : 0; more; more--) {
    const uint32_t parent = any_budget(w);
    hg_test_setup_budget(&w->setup, "some budget", parent, between(w, 300, 1000));
  }
  struct hg_config *config = &w->setup.config;
  config->throttled_concurrency = (uint32_t)between(w, 1, 2);
  config->throttle_basis = roll(w, 2) ? HG_THROTTLE_USED : HG_THROTTLE_COMMITTED;
  config->restore_below_percent = (uint32_t)between(w, 70, 90);
  config->orphan_policy = (enum hg_orphan_policy)roll(w, 3);
  hg_model_init(&w->model, &w->setup);
  open_world(w);
}

// The process dies: what is committed is all that is left.
static void die_and_open_again(struct random_world *w) {
  do
    flush(w);
  while (hg_test_world_commit(&w->world, HG_FACTS_WINDOW));
  hg_random_check_answers(w);
  hg_test_world_destroy(&w->world);
  hg_model_store(&w->model, &w->setup, w->stored);
  for (uint64_t id = 1; id <= w->last_wish; id++)
    w->wishes[id].left = true;
  for (hg_peer peer = 1; peer <= w->last_peer; peer++)
    w->peers[peer].gone = true;
  w->questions = w->answers = 0;
  w->totals->restarts++;
  open_world(w);
}

// Everybody settles what runs and nobody asks for more: then all that waits is granted or can never fit, and every
// command has been answered (I8).
static void finish(struct random_world *w) {
  for (bool any = true; any;) {
    run_until_quiet(w);
    any = false;
    for (uint64_t id = 1; id <= w->last_wish; id++) {
      const struct wish *wish = &w->wishes[id];
      if (wish->left || wish->given_up || wish->state != WISH_GRANTED || wish->settles) continue;
      settle(w, id);
      any = true;
    }
  }
  for (uint64_t id = 1; id <= w->last_wish; id++) {
    const struct wish *wish = &w->wishes[id];
    CHECK(wish->left || wish->state == WISH_GRANTED || wish->state == WISH_REFUSED);
    CHECK(wish->left || wish->settles == wish->settled);
    CHECK(w->model.permits[id].state != HG_MODEL_OPEN);
  }
  for (hg_peer peer = 1; peer <= w->last_peer; peer++)
    CHECK(w->peers[peer].gone || w->peers[peer].recorded == w->peers[peer].last);
  CHECK_EQ(w->answers, w->questions);
}

static void stop(struct random_world *w) {
  struct hg_message message;
  hg_message_init(&message, HG_DRAIN);
  hg_test_send(&w->world.scheduler, HG_PORT_LIFE, 0, &message);
  hg_test_flush(&w->world.scheduler);
  CHECK_EQ(hg_test_expect(&w->world.scheduler, HG_PORT_LIFE, 0, HG_DRAINED).as.drained.open_permits, 0);
  hg_message_init(&message, HG_STOP);
  hg_test_send(&w->world.scheduler, HG_PORT_LIFE, 0, &message);
  hg_test_send(&w->world.tracker, HG_PORT_LIFE, 0, &message);
  flush(w);
  flush(w);
  CHECK(w->world.scheduler.finished);
  CHECK_EQ(w->world.events.at[w->world.events.count - 1].kind, HG_RUNTIME_STOPPED);
  hg_test_world_commit(&w->world, HG_FACTS_WINDOW);
  flush(w);
  CHECK(w->world.tracker.finished);
}

static void walk(struct random_world *w, uint64_t seed, uint64_t steps, struct hg_random_totals *totals) {
  begin(w, seed, totals);
  const uint64_t dies_at = roll(w, 3 * steps);
  for (uint64_t step = 0; step < steps; step++) {
    const uint64_t what = roll(w, 100);
    if (step == dies_at) die_and_open_again(w);
    if (what < 12) acquire(w);
    else if (what < 22) settle_some(w);
    else if (what < 25) cancel_some(w);
    else if (what < 31) numbered(w);
    else if (what < 33) question(w);
    else if (what == 33 && roll(w, 10) == 0) leave(w);
    else if (what == 34) settle_orphan(w);
    else
      for (uint64_t times = 1 + roll(w, 8); times; times--)
        move(w);
    hg_random_watch(w);
    hg_random_check_answers(w);
  }
  finish(w);
  stop(w);
  totals->grants += w->model.grants;
  totals->throttles += w->model.throttles;
  totals->restores += w->model.restores;
  totals->orphans += w->model.orphans;
  totals->lent += w->model.lent;
  totals->returned += w->model.returned;
  hg_test_world_destroy(&w->world);
}

void hg_random_clients(uint64_t first_seed, uint64_t seeds, uint64_t steps, struct hg_random_totals *totals) {
  const char *only = getenv("HG_SEED");
  struct random_world *w = malloc(sizeof *w);
  CHECK(w);
  if (only) {
    first_seed = strtoull(only, NULL, 10);
    seeds = 1;
  }
  printf("seeds %llu to %llu, %llu steps each\n", (unsigned long long)first_seed,
         (unsigned long long)(first_seed + seeds - 1), (unsigned long long)steps);
  for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++) {
    fprintf(stderr, "\rHG_SEED=%llu ", (unsigned long long)seed); // the last one shown is the one that failed
    walk(w, seed, steps, totals);
  }
  fprintf(stderr, "\n%llu grants, %llu throttles, %llu restores, %llu orphans, %llu restarts\n",
          (unsigned long long)totals->grants, (unsigned long long)totals->throttles,
          (unsigned long long)totals->restores, (unsigned long long)totals->orphans,
          (unsigned long long)totals->restarts);
  fprintf(stderr,
          "%llu had to wait, %llu were behind, %llu could never fit, %llu came out of a parent, %llu went back\n",
          (unsigned long long)totals->waits, (unsigned long long)totals->behinds, (unsigned long long)totals->nevers,
          (unsigned long long)totals->lent, (unsigned long long)totals->returned);
  free(w);
}
