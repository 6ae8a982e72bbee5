// The last word of a client whose pipes are full: nobody waits for the room that it needs, and it is said all the same.
// A thread that lives as long as there is something to say keeps the client until then.
#include "client/client.h"
#include "base/thread.h"

#define WITHIN_US 2000000 // where there is no such thread

// A grant that nobody has taken is no orphan: no work has begun under it.
static void give_back_untaken(hg_client *client) {
  (void)hg_client_pump(client);
  const hg_completion *done;
  for (; (done = hg_ring_first(&client->completions)); hg_ring_pop(&client->completions))
    if (done->kind == HG_COMPLETED_ACQUIRE && done->err == HG_OK)
      (void)hg_ring_push(&client->unwanted, &done->permit.id);
}

static hg_err say_now(hg_client *client, enum hg_client_link link) {
  struct hg_message leave;
  hg_message_init(&leave, HG_LEAVE);
  leave.as.leave.gone = true;
  if (link == HG_TO_SCHEDULER) {
    const hg_err err = hg_client_give_back(client);
    if (err != HG_OK) return err;
  }
  return hg_client_send(client, link, &leave);
}

static void say(hg_client *client, enum hg_client_link link, int64_t until_us) {
  while (say_now(client, link) == HG_ERR_BUSY) {
    const int64_t left = until_us == HG_NEVER ? -1 : until_us - hg_clock_now().monotonic_us;
    if (until_us != HG_NEVER && left <= 0) return;
    const hg_err err = hg_link_wait_writable(&client->links[link], left);
    if (err != HG_OK && err != HG_ERR_TIMEOUT) return;
  }
  client->unsaid &= ~(1U << link);
}

// What does not wait for room first; the scheduler has the permits.
static void say_all(hg_client *client, int64_t until_us) {
  static const enum hg_client_link order[] = {HG_TO_SCHEDULER, HG_TO_TRACKER, HG_TO_WORKERS};
  for (size_t i = 0; i < sizeof order / sizeof *order; i++)
    if (client->unsaid >> order[i] & 1) say(client, order[i], until_us);
}

static void *say_those_of_others(void *argument) {
  struct hg_core *core = argument;
  for (;;) {
    pthread_mutex_lock(&core->farewells.lock);
    hg_client *client = core->farewells.first;
    if (client) core->farewells.first = client->next_leaving;
    else core->farewells.running = false;
    pthread_mutex_unlock(&core->farewells.lock);
    if (!client) return NULL;
    say_all(client, HG_NEVER); // or until the context ends
    hg_client_free(client);
  }
}

// The core outlives the thread: hg_close joins it before it lets go.
static bool hand_over(hg_client *client) {
  struct hg_farewells *farewells = &client->core->farewells;
  pthread_mutex_lock(&farewells->lock);
  bool taken = !farewells->over;
  if (taken && !farewells->running) {
    if (farewells->started) pthread_join(farewells->thread, NULL);
    farewells->running = farewells->started =
        hg_thread_start(&farewells->thread, say_those_of_others, client->core) == HG_OK;
    taken = farewells->started;
  }
  if (taken) {
    client->next_leaving = farewells->first;
    farewells->first = client;
  }
  pthread_mutex_unlock(&farewells->lock);
  return taken;
}

void hg_client_say_farewell(hg_client *client) {
  client->unsaid = 1U << HG_TO_TRACKER | 1U << HG_TO_SCHEDULER;
  if (client->links[HG_TO_WORKERS].socket) client->unsaid |= 1U << HG_TO_WORKERS;
  give_back_untaken(client);
  say_all(client, 0);
  if (client->unsaid && hand_over(client)) return;
  if (client->unsaid) say_all(client, hg_clock_now().monotonic_us + WITHIN_US);
  hg_client_free(client);
}

void hg_core_end_farewells(struct hg_core *core) {
  pthread_mutex_lock(&core->farewells.lock);
  core->farewells.over = true;
  pthread_mutex_unlock(&core->farewells.lock);
  if (core->farewells.started) pthread_join(core->farewells.thread, NULL);
}
