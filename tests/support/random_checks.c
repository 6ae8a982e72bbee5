// What must be true of every fact and every answer of a random walk.
#include "support/random_world.h"

// --------------------------------------------------------------------------------------------------- facts

// Records and corrections carry "peer.number", so that their row is known.
static void note_row(struct random_world *w, struct hg_text mark, uint64_t seq) {
  char text[64];
  unsigned long long peer = 0, number = 0;
  hg_text_copy(text, sizeof text, mark);
  CHECK_EQ(sscanf(text, "%llu.%llu", &peer, &number), 2);
  CHECK(peer < PEERS_EVER && number <= w->peers[peer].last);
  CHECK_EQ(w->peers[peer].numbers[number].row, 0); // taken once
  w->peers[peer].numbers[number].row = seq;
}

void hg_random_check_facts(struct random_world *w) {
  hg_test_world_collect(&w->world);
  const struct hg_test_events *events = &w->world.events;
  if (w->events_read == events->count) return;
  for (; w->events_read < events->count; w->events_read++) {
    const struct hg_message *event = &events->at[w->events_read];
    hg_model_event(&w->model, event);
    if (event->kind == HG_USAGE_RECORDED) note_row(w, event->as.usage_recorded.task_id, event->as.head.seq);
    if (event->kind == HG_USAGE_CORRECTED) note_row(w, event->as.usage_corrected.reason, event->as.head.seq);
    if (event->kind == HG_TOKENS_RESERVED) {
      const struct wish *wish = &w->wishes[event->as.tokens_reserved.permit];
      CHECK_EQ(event->as.head.budget, wish->budget);
      const int64_t granted = event->as.tokens_reserved.reserved_delta + event->as.tokens_reserved.from_parent;
      CHECK(granted >= wish->min && granted <= wish->max);
      CHECK_EQ(event->as.tokens_reserved.from_parent > 0, wish->from_parent);
    }
  }
  // What is full is sent when the window has room again; then the last step may not be whole here.
  if (w->world.sent_count - w->world.committed_count < HG_FACTS_WINDOW) hg_model_step(&w->model);
}

// ------------------------------------------------------------------------------------------------- fairness

static bool on_path(const struct random_world *w, uint32_t budget, uint32_t leaf) {
  while (leaf != budget && leaf != 0)
    leaf = w->setup.budgets[leaf].parent;
  return leaf == budget;
}

static bool is_waiting(const struct random_world *w, const struct wish *wish) {
  return wish->waits && wish->state == WISH_OPEN && !wish->refused && !wish->unwanted && !wish->left &&
         wish->deadline > w->time;
}

// Does somebody wait for the budget, with no word of room since?
static bool is_short(const struct random_world *w, uint32_t budget) {
  return w->waiters[budget] && is_waiting(w, &w->wishes[w->waiters[budget]]);
}

// Nobody who came later may be granted anything of a budget that is short for an earlier one. After word of room the
// earlier one asks again first, unless another budget of its path became short meanwhile: never with only one budget.
static void check_fair(const struct random_world *w, const struct wish *granted) {
  if (granted->parent) return;
  for (uint64_t i = 1; i <= w->last_wish; i++) {
    const struct wish *earlier = &w->wishes[i];
    if (earlier->parent || !is_waiting(w, earlier) || earlier->arrival >= granted->arrival) continue;
    if (!on_path(w, earlier->waits_for, granted->budget)) continue;
    CHECK(!is_short(w, earlier->waits_for));
    CHECK(w->setup.config.budget_count > 1);
  }
}

static void watch_verdict(struct random_world *w, const struct hg_reserved_message *answer) {
  struct wish *wish = &w->wishes[answer->permit];
  const bool must_wait = answer->verdict == HG_VERDICT_WAIT || answer->verdict == HG_VERDICT_THROTTLED;
  if (answer->verdict == HG_VERDICT_GRANTED) check_fair(w, wish);
  wish->waits = must_wait || answer->verdict == HG_VERDICT_BEHIND;
  wish->waits_for = answer->budget;
  if (must_wait && !is_short(w, answer->budget)) w->waiters[answer->budget] = answer->permit;
  w->totals->waits += must_wait;
  w->totals->behinds += answer->verdict == HG_VERDICT_BEHIND;
  w->totals->nevers += answer->verdict == HG_VERDICT_NEVER;
}

// What the scheduler has refused does not wait, though its client has not heard of it.
static void note_refusals(struct random_world *w) {
  for (size_t i = 0; i < w->world.scheduler.sent[HG_PORT_CLIENTS].count; i++) {
    const struct hg_message message = hg_test_peek(&w->world.scheduler, HG_PORT_CLIENTS, i);
    if (message.kind == HG_REFUSED) w->wishes[message.as.refused.request].refused = true;
  }
}

void hg_random_watch(struct random_world *w) {
  note_refusals(w);
  const size_t waiting = w->world.tracker.sent[HG_PORT_DECISIONS].count;
  for (; w->watched < waiting; w->watched++) {
    const struct hg_message message = hg_test_peek(&w->world.tracker, HG_PORT_DECISIONS, w->watched);
    if (message.kind == HG_RESERVED) watch_verdict(w, &message.as.reserved);
    if (message.kind == HG_ROOM) w->waiters[message.as.room.budget] = 0;
  }
}

bool hg_random_ask(struct random_world *w) {
  struct hg_message moved;
  hg_random_watch(w);
  const bool any = hg_test_world_ask(&w->world, &moved);
  hg_random_watch(w);
  return any;
}

bool hg_random_answer(struct random_world *w) {
  struct hg_message moved;
  hg_random_watch(w);
  const bool any = hg_test_world_answer(&w->world, &moved);
  if (any) w->watched--;
  return any;
}

// -------------------------------------------------------------------------------------------------- answers

static struct wish *wish_of(struct random_world *w, uint64_t id) {
  CHECK(id >= 1 && id <= w->last_wish);
  return &w->wishes[id];
}

static void check_recorded(const struct random_world *w, struct random_peer *peer, uint64_t number) {
  CHECK(number <= peer->last);
  CHECK(number >= peer->recorded);
  for (uint64_t n = peer->recorded + 1; n <= number; n++) {
    CHECK(!peer->numbers[n].makes_row || peer->numbers[n].refused || peer->numbers[n].row);
    CHECK(peer->numbers[n].row <= w->world.committed); // I7
  }
  peer->recorded = number;
}

static void check_rejected(struct random_peer *peer, const struct hg_rejected_message *answer) {
  if (answer->error == HG_ERR_SEQUENCE) {
    CHECK(answer->last <= peer->last && answer->number > answer->last + 1);
    return;
  }
  CHECK_EQ(answer->error, HG_ERR_RANGE);
  CHECK(answer->number > peer->recorded && answer->number <= peer->last); // before the RECORDED that covers it
  CHECK(!peer->numbers[answer->number].row && !peer->numbers[answer->number].refused);
  peer->numbers[answer->number].refused = true;
}

static void check_usage(struct random_world *w, const struct hg_usage_message *usage) {
  CHECK(usage->seq <= w->world.committed);
  const struct hg_model_figures *then = &w->model.history[usage->seq][usage->budget];
  CHECK_EQ(usage->used, then->used);
  CHECK_EQ(usage->reserved, then->reserved);
  CHECK_EQ(usage->hard_limit, then->limit);
  w->answers++;
}

static void check_granted(struct random_world *w, const struct hg_granted_message *answer) {
  struct wish *wish = wish_of(w, answer->request);
  const struct hg_model_permit *permit = &w->model.permits[answer->request];
  CHECK_EQ(wish->state, WISH_OPEN); // I8
  CHECK(permit->reserved_at && permit->reserved_at <= w->world.committed);
  CHECK_EQ(answer->tokens, permit->granted);
  wish->state = WISH_GRANTED;
}

static void check_refused(struct random_world *w, const struct hg_refused_message *answer) {
  struct wish *wish = wish_of(w, answer->request);
  CHECK_EQ(wish->state, WISH_OPEN);
  CHECK(answer->error != HG_ERR_CANCELLED || wish->unwanted || wish->left);
  CHECK(answer->error != HG_ERR_TIMEOUT || wish->deadline <= w->time);
  CHECK(answer->error != HG_ERR_UNKNOWN_PERMIT || wish->parent);
  CHECK(answer->error != HG_ERR_BUDGET_EXHAUSTED || answer->left < wish->min);
  CHECK(answer->error != HG_ERR_WOULD_DEADLOCK || wish->blocking);
  w->totals->deadlocks += answer->error == HG_ERR_WOULD_DEADLOCK;
  CHECK(answer->error == HG_ERR_CANCELLED || answer->error == HG_ERR_TIMEOUT ||
        answer->error == HG_ERR_WOULD_DEADLOCK || answer->error == HG_ERR_UNKNOWN_PERMIT ||
        answer->error == HG_ERR_BUDGET_EXHAUSTED);
  wish->state = WISH_REFUSED;
}

static void check_settled(struct random_world *w, const struct hg_settled_message *answer) {
  struct wish *wish = wish_of(w, answer->permit);
  const struct hg_model_permit *permit = &w->model.permits[answer->permit];
  CHECK(++wish->settled <= wish->settles);
  const bool perhaps_orphan = wish->left || wish->leased;
  if (!wish->disputed && !perhaps_orphan) CHECK_EQ(answer->error, HG_OK);
  // A correction may have taken away what an orphan's late settle would give back.
  CHECK(answer->error == HG_OK || answer->error == HG_ERR_CONFLICT ||
        (perhaps_orphan && answer->error == HG_ERR_RANGE));
  if (answer->error != HG_OK) return;
  CHECK_EQ(permit->state, HG_MODEL_ENDED);
  CHECK(permit->ended_at <= w->world.committed);
  if (!wish->disputed) CHECK_EQ(permit->used, wish->is_release ? 0 : wish->tokens);
}

static void check_answer(struct random_world *w, hg_peer to, const struct hg_message *message) {
  CHECK(to >= 1 && to < PEERS_EVER);
  struct random_peer *peer = &w->peers[to];
  if (message->kind == HG_RECORDED) check_recorded(w, peer, message->as.recorded.number);
  else if (message->kind == HG_REJECTED) check_rejected(peer, &message->as.rejected);
  else if (message->kind == HG_USAGE) check_usage(w, &message->as.usage);
  else if (message->kind == HG_GRANTED) check_granted(w, &message->as.granted);
  else if (message->kind == HG_REFUSED) check_refused(w, &message->as.refused);
  else if (message->kind == HG_SETTLED) check_settled(w, &message->as.settled);
  else {
    CHECK(message->kind == HG_QUEUE || message->kind == HG_DONE);
    w->answers++;
  }
}

void hg_random_check_answers(struct random_world *w) {
  struct hg_message message;
  hg_peer to;
  while (hg_test_take(&w->world.tracker, HG_PORT_CLIENTS, &to, &message))
    check_answer(w, to, &message);
  while (hg_test_take(&w->world.scheduler, HG_PORT_CLIENTS, &to, &message))
    check_answer(w, to, &message);
}
