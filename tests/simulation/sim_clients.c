// What clients do: acquire, ask again, settle too much or too little, twice or wrongly, cancel, renew, leave, ask.
#include "simulation/simulation.h"

#define LEASE_US INT64_C(120000)

static struct hg_sim_client *any_client(struct hg_sim *sim) {
  return &sim->clients[hg_sim_roll(sim, HG_SIM_CLIENTS)];
}

struct hg_sim_client *hg_sim_client_of(struct hg_sim *sim, hg_peer peer) {
  for (size_t i = 0; i < HG_SIM_CLIENTS; i++)
    if (sim->clients[i].peer == peer) return &sim->clients[i];
  return NULL;
}

static void to_scheduler(struct hg_sim_client *client, const struct hg_message *message) {
  hg_test_pipe_push(&client->to_scheduler, hg_test_frame_of(client->peer, message));
}

static void to_tracker(struct hg_sim_client *client, const struct hg_message *message) {
  hg_test_pipe_push(&client->to_tracker, hg_test_frame_of(client->peer, message));
}

// One of the newest wishes that is granted and that nobody has settled; 0: none was met.
static uint64_t any_running(struct hg_sim *sim) {
  for (int tries = 0; tries < 8 && sim->last_wish; tries++) {
    const uint64_t id = sim->last_wish - hg_sim_roll(sim, sim->last_wish < 24 ? sim->last_wish : 24);
    const struct hg_sim_wish *wish = &sim->wishes[id];
    if (wish->state == HG_SIM_GRANTED && !wish->settles && !wish->left && !wish->given_up) return id;
  }
  return 0;
}

// ------------------------------------------------------------------------------------------------ permits

static void send_acquire(struct hg_sim *sim, uint64_t id) {
  struct hg_sim_wish *wish = &sim->wishes[id];
  struct hg_message message;
  hg_message_init(&message, HG_ACQUIRE);
  struct hg_acquire_message *acquire = &message.as.acquire;
  acquire->request = id;
  acquire->budget = wish->budget;
  acquire->min_tokens = wish->min;
  acquire->max_tokens = wish->max;
  acquire->first_in_line = wish->first;
  acquire->parent = wish->parent;
  acquire->from_parent = wish->from_parent;
  acquire->lease_us = wish->leased ? LEASE_US : 0;
  acquire->waits = wish->blocking;
  acquire->timeout_us = wish->timeout;
  wish->sent++;
  to_scheduler(hg_sim_client_of(sim, wish->peer), &message);
}

static void acquire(struct hg_sim *sim) {
  if (sim->last_wish + 1 >= HG_MODEL_PERMITS) return;
  const uint64_t id = ++sim->last_wish;
  struct hg_sim_wish *wish = &sim->wishes[id];
  *wish = (struct hg_sim_wish){.state = HG_SIM_OPEN,
                               .peer = any_client(sim)->peer,
                               .budget = (uint32_t)hg_sim_roll(sim, sim->setup.config.budget_count),
                               .deadline = HG_NEVER,
                               .first = hg_sim_roll(sim, 8) == 0};
  wish->min = hg_sim_roll(sim, 30) ? hg_sim_between(sim, 1, 120) : hg_sim_between(sim, 60, 900);
  wish->max = wish->min + hg_sim_between(sim, 0, 120);
  wish->parent = hg_sim_roll(sim, 8) == 0 ? any_running(sim) : 0;
  if (wish->parent && hg_sim_roll(sim, 2)) {
    const struct hg_model_permit *parent = &sim->model.permits[wish->parent];
    wish->from_parent = true;
    wish->budget = parent->budget;
    wish->min = hg_sim_between(sim, 1, parent->tokens + 5); // now and then too much
    wish->max = wish->min + hg_sim_between(sim, 0, 40);
  }
  wish->leased = hg_sim_roll(sim, 6) == 0;
  wish->blocking = hg_sim_roll(sim, 3) == 0;
  wish->timeout = hg_sim_roll(sim, 4) ? 0 : 1 + hg_sim_roll(sim, 400000);
  send_acquire(sim, id);
}

void hg_sim_note_arrival(struct hg_sim *sim, const struct hg_acquire_message *acquire) {
  struct hg_sim_wish *wish = &sim->wishes[acquire->request];
  if (wish->arrival) return;
  wish->arrival = wish->first ? --sim->first_arrivals : ++sim->arrivals;
  if (wish->timeout) wish->deadline = sim->time + (int64_t)wish->timeout;
}

// A client that is not sure whether its acquire was heard says it again.
static void acquire_again(struct hg_sim *sim) {
  if (!sim->last_wish) return;
  const uint64_t id = sim->last_wish - hg_sim_roll(sim, sim->last_wish < 8 ? sim->last_wish : 8);
  const struct hg_sim_wish *wish = &sim->wishes[id];
  if (wish->state == HG_SIM_OPEN && !wish->unwanted && !wish->left) send_acquire(sim, id);
}

static void send_ending(struct hg_sim *sim, struct hg_sim_client *client, uint64_t id, bool is_release, int64_t tokens,
                        bool is_valid) {
  struct hg_message message;
  const uint32_t outcome = is_valid ? (uint32_t)hg_sim_roll(sim, 3) : 9;
  hg_message_init(&message, is_release ? HG_RELEASE : HG_SETTLE);
  if (is_release) {
    message.as.release.permit = id;
    message.as.release.outcome = outcome;
  } else {
    message.as.settle.permit = id;
    message.as.settle.tokens = tokens;
    message.as.settle.outcome = outcome;
  }
  to_scheduler(client, &message);
}

void hg_sim_settle(struct hg_sim *sim, uint64_t id) {
  struct hg_sim_wish *wish = &sim->wishes[id];
  struct hg_sim_client *client = wish->settles ? hg_sim_client_of(sim, wish->settler) : any_client(sim);
  if (!client) return;
  wish->settler = client->peer;
  if (hg_sim_roll(sim, 20) == 0) { // refused, and nothing is changed by it
    wish->invalid++;
    send_ending(sim, client, id, hg_sim_roll(sim, 2), 1, false);
  }
  const int64_t granted = sim->model.permits[id].tokens; // perhaps less than it was granted
  const bool is_release = hg_sim_roll(sim, 6) == 0;
  const int64_t tokens = is_release            ? 0
                         : hg_sim_roll(sim, 8) ? hg_sim_between(sim, 0, granted)
                                               : hg_sim_between(sim, granted, 2 * granted);
  if (wish->settles && (wish->is_release != is_release || wish->tokens != tokens)) wish->disputed = true;
  if (!wish->settles) {
    wish->is_release = is_release;
    wish->tokens = tokens;
  }
  wish->settles++;
  send_ending(sim, client, id, is_release, tokens, true);
}

static void renew(struct hg_sim *sim, uint64_t id) {
  struct hg_sim_client *client = any_client(sim);
  struct hg_message message;
  hg_message_init(&message, HG_RENEW);
  message.as.renew.permit = id;
  client->questions++;
  to_scheduler(client, &message);
}

static void settle_some(struct hg_sim *sim) {
  const uint64_t id = any_running(sim);
  if (!id) return;
  if (hg_sim_roll(sim, 10) == 0) renew(sim, id);
  else hg_sim_settle(sim, id);
  if (sim->wishes[id].settles && hg_sim_roll(sim, 10) == 0) hg_sim_settle(sim, id); // twice, perhaps differently
}

static void settle_orphan(struct hg_sim *sim) {
  for (uint64_t id = 1; id <= sim->last_wish; id++) {
    const enum hg_model_state state = sim->model.permits[id].state;
    if ((state != HG_MODEL_GUESSED && state != HG_MODEL_KEPT) || hg_sim_roll(sim, 4)) continue;
    hg_sim_settle(sim, id);
    return;
  }
}

// What ended in an earlier life is said again as it was, or otherwise.
static void end_again(struct hg_sim *sim) {
  if (!sim->last_wish) return;
  const uint64_t id = 1 + hg_sim_roll(sim, sim->last_wish);
  struct hg_sim_wish *wish = &sim->wishes[id];
  const struct hg_model_permit *permit = &sim->model.permits[id];
  if (permit->state != HG_MODEL_ENDED || permit->ended_at > sim->life_began || wish->again) return;
  const bool was_release = sim->events.at[permit->ended_at - 1].kind == HG_TOKENS_RELEASED;
  const bool is_release = was_release != (hg_sim_roll(sim, 4) == 0);
  const int64_t tokens = is_release ? 0 : permit->used + (hg_sim_roll(sim, 4) == 0);
  const bool is_same = is_release == was_release && tokens == permit->used;
  struct hg_sim_client *client = any_client(sim);
  wish->again = true;
  wish->again_hears = is_same ? HG_OK : HG_ERR_CONFLICT;
  wish->settler = client->peer;
  wish->settles++;
  send_ending(sim, client, id, is_release, tokens, true);
}

static void cancel_some(struct hg_sim *sim) {
  if (!sim->last_wish) return;
  const uint64_t id = sim->last_wish - hg_sim_roll(sim, sim->last_wish < 12 ? sim->last_wish : 12);
  struct hg_sim_wish *wish = &sim->wishes[id];
  struct hg_sim_client *client = hg_sim_client_of(sim, wish->peer);
  if (!client || wish->left) return;
  struct hg_message message;
  hg_message_init(&message, HG_CANCEL);
  message.as.cancel.request = id;
  wish->unwanted = true;
  if (wish->state == HG_SIM_OPEN && hg_sim_roll(sim, 2)) wish->given_up = message.as.cancel.give_back = true;
  to_scheduler(client, &message);
}

// ------------------------------------------------------------------------------------------------ coming and going

static void forget_client(struct hg_sim *sim, hg_peer peer) {
  for (uint64_t id = 1; id <= sim->last_wish; id++) {
    sim->wishes[id].left |= sim->wishes[id].peer == peer;
    sim->wishes[id].settler_left |= sim->wishes[id].settler == peer;
  }
}

void hg_sim_ask_for_name(struct hg_sim *sim, struct hg_sim_client *client) {
  struct hg_message message;
  char name[24];
  snprintf(name, sizeof name, "reporter%zu", (size_t)(client - sim->clients));
  hg_message_init(&message, HG_REPORT_AS);
  message.as.report_as.name = hg_text_of(name);
  to_tracker(client, &message);
}

void hg_sim_connect(struct hg_sim *sim, struct hg_sim_client *client) {
  const size_t index = (size_t)(client - sim->clients);
  const struct hg_sim_line *old = client->line;
  client->peer = ++sim->last_peer;
  client->questions = client->answers = 0;
  CHECK(sim->line_count < HG_SIM_LINES);
  if (!client->line || index >= HG_SIM_NAMED) client->line = &sim->lines[sim->line_count++];
  client->naming = index < HG_SIM_NAMED;
  if (!client->naming) {
    if (old) hg_sim_take_over_commands(sim, client, old);
    return;
  }
  hg_sim_ask_for_name(sim, client);
}

// It says so on both its links, behind what it sent before.
static void leave(struct hg_sim *sim, struct hg_sim_client *client) {
  struct hg_message message;
  hg_message_init(&message, HG_LEAVE);
  to_scheduler(client, &message);
  to_tracker(client, &message);
  forget_client(sim, client->peer);
  hg_sim_connect(sim, client);
}

void hg_sim_disconnect_all(struct hg_sim *sim) {
  for (size_t i = 0; i < HG_SIM_CLIENTS; i++) {
    struct hg_sim_client *client = &sim->clients[i];
    forget_client(sim, client->peer);
    while (client->to_scheduler.count)
      free(hg_test_pipe_pop(&client->to_scheduler).bytes);
    while (client->to_tracker.count)
      free(hg_test_pipe_pop(&client->to_tracker).bytes);
    client->was_here = true;
  }
  for (uint64_t id = 1; id <= sim->last_wish; id++)
    sim->wishes[id].old = true, sim->wishes[id].again = false;
}

// ------------------------------------------------------------------------------------------------ questions

static void ask(struct hg_sim *sim) {
  struct hg_sim_client *client = any_client(sim);
  struct hg_message message;
  client->questions++;
  const uint64_t kind = hg_sim_roll(sim, 4);
  if (kind == 0) {
    hg_message_init(&message, HG_GET_USAGE);
    message.as.get_usage.budget = (uint32_t)hg_sim_roll(sim, sim->setup.config.budget_count);
    to_tracker(client, &message);
  } else if (kind == 1) {
    hg_message_init(&message, HG_GET_QUEUE);
    to_scheduler(client, &message);
  } else if (kind == 2) {
    hg_message_init(&message, HG_GET_ORPHAN);
    to_tracker(client, &message);
  } else {
    hg_message_init(&message, HG_SET_MAX_CONCURRENCY);
    message.as.set_max_concurrency.count = (uint32_t)hg_sim_roll(sim, 9); // 0 is refused
    to_scheduler(client, &message);
  }
}

void hg_sim_client_acts(struct hg_sim *sim) {
  const uint64_t what = hg_sim_roll(sim, 100);
  if (what < 36) acquire(sim);
  else if (what < 38) acquire_again(sim);
  else if (what < 66) settle_some(sim);
  else if (what < 74) cancel_some(sim);
  else if (what < 93) hg_sim_number(sim);
  else if (what < 97) ask(sim);
  else if (what < 98) end_again(sim);
  else if (what < 99) settle_orphan(sim);
  else if (hg_sim_roll(sim, 3) == 0 && sim->line_count + 8 < HG_SIM_LINES) leave(sim, any_client(sim));
}
