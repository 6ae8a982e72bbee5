// The runtime: opens the ledger, builds the actors, has them wired (wiring.c), starts their threads, and takes all of
// it back in the order in which facts flow.
#include "actors/runtime.h"

#include "actors/core.h"
#include "actors/event_bus.h"
#include "actors/gateway.h"
#include "actors/guest.h"
#include "actors/ledger_store.h"
#include "actors/life.h"
#include "actors/remote.h"
#include "actors/scheduler.h"
#include "actors/tracker.h"
#include "actors/wiring.h"
#include "actors/worker.h"
#include "actors/worker_pool.h"
#include "bus/unread.h"
#include "base/fail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

// Descriptors: libzmq aborts the process when it finds none.
#define DESCRIPTORS_OWN 128         // of the process itself
#define DESCRIPTORS_FLOOD 512       // of connections on their way out, while more come than there may be: 410 were seen
#define DESCRIPTORS_FLOOD_MOST 2048 // which the door has not heard of yet: what two monitors hold
#define FIRST_ANSWER_MS 30000
#define STOP_WITHIN_US 5000000 // an actor that waits for nothing but the ledger
#define LAST_ANSWERS_MS 50
#define SHARING_TRIES 3

struct hg_runtime {
  struct hg_core *core;
  struct hg_ledger *ledger;
  struct hg_shell shells[HG_OWNER_COUNT];
  struct hg_workers *workers;    // NULL before the first hg_run
  pthread_mutex_t life_lock;     // of the embedder's threads that talk to actors on their LIFE links
  uint64_t counts;               // questions for counters so far
  struct hg_outward_file *files; // of what the configuration binds outside
};

struct hg_core *hg_runtime_core(hg_runtime *runtime) {
  return runtime->core;
}

const struct hg_config *hg_runtime_config(const hg_runtime *runtime) {
  return runtime->core->config;
}

// ---------------------------------------------------------------------------------------------------- actors

static hg_err build(struct hg_runtime *runtime, const struct hg_ledger_state *state) {
  const struct hg_config *config = runtime->core->config;
  struct hg_unread *unread = hg_unread_new(HG_UNREAD_LEAST + HG_UNREAD_LEAST_A_BUDGET * (uint64_t)config->budget_count);
  const struct hg_gateway_readers readers = {unread, hg_unread_keeps_up};
  const struct hg_store store = hg_ledger_store(runtime->ledger, config->keep_days > 0);
  runtime->core->unread = unread;
  if (!unread) return HG_ERR_NO_MEMORY;
  hg_err err = hg_tracker_new(config, state, &runtime->shells[HG_TRACKER_ACTOR].actor);
  if (err == HG_OK) err = hg_scheduler_new(config, &runtime->shells[HG_SCHEDULER_ACTOR].actor);
  if (err == HG_OK) err = hg_persister_new(store, state->last_seq, &runtime->shells[HG_PERSISTER_ACTOR].actor);
  if (err == HG_OK) err = hg_event_bus_new(config, state, &runtime->shells[HG_EVENT_BUS_ACTOR].actor);
  if (err == HG_OK)
    err = hg_gateway_new(config, runtime->core->places.events_endpoint, state, readers,
                         &runtime->shells[HG_GATEWAY_ACTOR].actor);
  return err;
}

static hg_err start(struct hg_runtime *runtime) {
  hg_err err = HG_OK;
  for (int owner = 0; err == HG_OK && owner < HG_WORKER_POOL_ACTOR; owner++)
    if (runtime->shells[owner].actor.self) err = hg_shell_start(&runtime->shells[owner]);
  return err;
}

// The first answer has gone through every actor and the ledger.
static hg_err hear_first_answer(struct hg_runtime *runtime, hg_error *why) {
  hg_client *client = NULL;
  hg_usage usage = HG_USAGE_INIT;
  hg_err err = hg_client_new(runtime, &client);
  if (err == HG_OK) err = hg_get_usage(client, NULL, &usage, FIRST_ANSWER_MS);
  hg_client_destroy(&client);
  if (err == HG_ERR_TIMEOUT)
    return hg_fail(why, HG_ERR_STORE, "%s: the ledger took no write within %d s", runtime->core->config->ledger_path,
                   FIRST_ANSWER_MS / 1000);
  return err == HG_OK ? HG_OK : hg_fail(why, err, "the runtime did not start: %s", hg_err_text(err));
}

// ---------------------------------------------------------------------------------------------------- worker threads

static hg_err open_pool(struct hg_runtime *runtime) {
  const struct hg_worker_source threads = {runtime->workers, hg_workers_start};
  const hg_err err = hg_worker_pool_new(threads, &runtime->shells[HG_WORKER_POOL_ACTOR].actor);
  return err == HG_OK ? hg_wire_worker_pool(runtime->shells, runtime->core) : err;
}

// How the actor died; HG_OK: it did not.
static hg_err close_shell(struct hg_shell *shell) {
  hg_shell_join(shell);
  const hg_err died_with = shell->died_with;
  hg_unwire(shell);
  if (shell->actor.destroy) shell->actor.destroy(shell->actor.self);
  *shell = (struct hg_shell){0};
  return died_with;
}

// What a start that failed has opened stays, for the next one: an inproc name is not free again at once.
static hg_err start_workers(struct hg_runtime *runtime) {
  struct hg_shell *pool = &runtime->shells[HG_WORKER_POOL_ACTOR];
  if (pool->started) return HG_OK;
  hg_err err =
      runtime->workers ? HG_OK : hg_workers_new(runtime->core->context, runtime->core->config->unit, &runtime->workers);
  if (err == HG_OK && !pool->actor.self) {
    err = open_pool(runtime);
    if (err != HG_OK) (void)close_shell(pool);
  }
  if (err == HG_OK && !hg_workers_any(runtime->workers) && !hg_workers_start(runtime->workers)) err = HG_ERR_SYSTEM;
  return err == HG_OK ? hg_shell_start(pool) : err;
}

// ---------------------------------------------------------------------------------------------------- life and death

// A function can't be stopped from outside: without end. The threads themselves end with the context.
static void stop_workers(struct hg_runtime *runtime) {
  struct hg_shell *pool = &runtime->shells[HG_WORKER_POOL_ACTOR];
  (void)hg_life_stop(pool, false, HG_NEVER / 2);
  hg_shell_join(pool);
}

// Actors end in the order in which facts flow, so each finds everything that was sent to it. Once one had to be cut
// short, the others have nothing more to wait for.
static hg_err stop_actors(struct hg_runtime *runtime) {
  static const enum hg_owner order[] = {HG_REMOTE_ACTOR,    HG_SCHEDULER_ACTOR, HG_TRACKER_ACTOR,
                                        HG_PERSISTER_ACTOR, HG_GATEWAY_ACTOR,   HG_EVENT_BUS_ACTOR};
  hg_err result = HG_OK;
  for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
    const hg_err err = hg_life_stop(&runtime->shells[order[i]], result != HG_OK, STOP_WITHIN_US);
    if (err != HG_OK && result == HG_OK) result = err;
  }
  return result;
}

// Answers that are in the pipes of waiting clients are lost when the context ends: they get a moment to be taken.
static void let_clients_hear(const struct hg_core *core) {
  const struct timespec pause = {0, 1000000};
  for (int i = 0; i < LAST_ANSWERS_MS && atomic_load(&core->clients) > 0; i++)
    nanosleep(&pause, NULL);
}

static hg_err take_down(struct hg_runtime *runtime, int timeout_ms) {
  pthread_mutex_lock(&runtime->life_lock);
  const int64_t timeout_us = timeout_ms < 0 ? HG_NEVER / 4 : (int64_t)timeout_ms * 1000;
  pthread_mutex_lock(&runtime->core->workers_lock);
  runtime->core->runtime = NULL; // no worker pool starts from now on
  pthread_mutex_unlock(&runtime->core->workers_lock);
  struct hg_shell *admission = &runtime->shells[runtime->core->is_guest ? HG_REMOTE_ACTOR : HG_SCHEDULER_ACTOR];
  if (admission->started) hg_life_drain(admission, timeout_us);
  if (runtime->workers) stop_workers(runtime);
  hg_err result = stop_actors(runtime);
  let_clients_hear(runtime->core);
  hg_unwire_outward(runtime->core, runtime->files);
  hg_door_leave(runtime->core->door);
  // Waiting clients wake up with HG_ERR_CLOSED; an actor that did not end in time does too.
  hg_core_close(runtime->core);
  hg_core_end_farewells(runtime->core);
  hg_door_destroy(&runtime->core->door);
  if (runtime->workers) hg_workers_join(&runtime->workers);
  for (int owner = 0; owner < HG_OWNER_COUNT; owner++) {
    const hg_err died_with = close_shell(&runtime->shells[owner]);
    if (died_with != HG_OK) result = died_with;
  }
  if (runtime->ledger && hg_ledger_close(&runtime->ledger) != HG_OK && result == HG_OK) result = HG_ERR_STORE;
  hg_core_release(runtime->core);
  pthread_mutex_unlock(&runtime->life_lock);
  pthread_mutex_destroy(&runtime->life_lock);
  free(runtime->files);
  free(runtime);
  return result;
}

hg_err hg_close(hg_runtime **rt, int timeout_ms) {
  if (!rt || !*rt) return HG_OK;
  if (!*(*rt)->core->not_forked) return HG_ERR_FORKED;
  hg_runtime *runtime = *rt;
  *rt = NULL;
  return take_down(runtime, timeout_ms);
}

// ---------------------------------------------------------------------------------------------------- counters

// The worker pool may start at any moment; once there, it stays.
static size_t shells_started(struct hg_runtime *runtime) {
  pthread_mutex_lock(&runtime->core->workers_lock);
  const bool pool = runtime->shells[HG_WORKER_POOL_ACTOR].started;
  pthread_mutex_unlock(&runtime->core->workers_lock);
  return pool ? HG_OWNER_COUNT : HG_WORKER_POOL_ACTOR;
}

hg_err hg_runtime_read_counters(hg_runtime *rt, struct hg_counters *out, int timeout_ms) {
  const int64_t timeout_us = timeout_ms < 0 ? HG_NEVER / 4 : (int64_t)timeout_ms * 1000;
  pthread_mutex_lock(&rt->life_lock);
  const int64_t deadline = hg_clock_now().monotonic_us + timeout_us;
  const hg_err err = hg_life_count(rt->shells, shells_started(rt), ++rt->counts, deadline, out);
  out->connections_turned_away += hg_door_turned_away(rt->core->door);
  out->keys_refused += hg_door_keys_refused(rt->core->door);
  pthread_mutex_unlock(&rt->life_lock);
  return err;
}

hg_err hg_read_counter(hg_runtime *rt, unsigned index, hg_counter *out, int timeout_ms) {
  if (!rt || !out || out->size < sizeof *out) return HG_ERR_INVALID;
  hg_err err = hg_core_check(rt->core);
  if (err != HG_OK) return err;
  if (index >= HG_COUNTER_COUNT) return HG_ERR_EMPTY;
  struct hg_counters sum;
  err = hg_runtime_read_counters(rt, &sum, timeout_ms);
  if (err != HG_OK) return err;
  const struct hg_counter_info *info = hg_counter_info((enum hg_counter_id)index);
  *out = (hg_counter){(uint32_t)sizeof *out, info->name, info->unit, info->doc,
                      hg_counter_value(&sum, (enum hg_counter_id)index)};
  return HG_OK;
}

// ---------------------------------------------------------------------------------------------------- opening

// The soft limit is raised as far as there is use for it. What only its own user can reach, in a directory of mode
// 0700, nobody floods but its own user: there it may be less.
static hg_err check_descriptors(const struct hg_config *config, bool serves, hg_error *why) {
  const bool is_open_to_others = serves || config->event_bind_count + config->serve_bind_count > 0;
  const rlim_t own = (rlim_t)config->max_subscribers + config->max_clients + DESCRIPTORS_OWN;
  const rlim_t least = is_open_to_others ? own + DESCRIPTORS_FLOOD : DESCRIPTORS_OWN;
  const rlim_t wanted = own + DESCRIPTORS_FLOOD_MOST;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return HG_OK;
  struct rlimit higher = {limit.rlim_max < wanted ? limit.rlim_max : wanted, limit.rlim_max};
  if (higher.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &higher) == 0) limit = higher;
  if (limit.rlim_cur >= least) return HG_OK;
  if (!is_open_to_others)
    return hg_fail(why, HG_ERR_SYSTEM,
                   "only %llu file descriptors are allowed (ulimit -n); Headgate needs %llu at least",
                   (unsigned long long)limit.rlim_cur, (unsigned long long)least);
  return hg_fail(
      why, HG_ERR_SYSTEM,
      "only %llu file descriptors are allowed (ulimit -Hn); eventBus.maxSubscribers %u and serve.maxClients %u "
      "need %llu at least: raise the limit (systemd: LimitNOFILE), or lower the two",
      (unsigned long long)limit.rlim_cur, config->max_subscribers, config->max_clients, (unsigned long long)least);
}

static void free_unborn(struct hg_runtime *runtime) {
  if (runtime) free(runtime->files);
  free(runtime);
}

// With nothing in it but the core, which takes over the configuration. NULL: no memory.
static struct hg_runtime *make_runtime(struct hg_config *config, const struct hg_places *places, const char *ledger_id,
                                       uint64_t opening) {
  struct hg_runtime *runtime = calloc(1, sizeof *runtime);
  if (runtime) runtime->files = calloc(config->event_bind_count + config->serve_bind_count + 1, sizeof *runtime->files);
  if (!runtime || !runtime->files || hg_core_new(config, places, ledger_id, opening, &runtime->core) != HG_OK) {
    free_unborn(runtime);
    return NULL;
  }
  pthread_mutex_init(&runtime->life_lock, NULL);
  runtime->core->runtime = runtime;
  runtime->core->start_workers = start_workers;
  return runtime;
}

// Its actors are built and wired.
static hg_err bring_to_life(struct hg_runtime *runtime, hg_runtime **out, hg_error *why) {
  hg_err err = start(runtime);
  if (err != HG_OK) hg_fail(why, err, "cannot start a thread");
  if (err == HG_OK) err = hear_first_answer(runtime, why);
  if (err == HG_OK) *out = runtime;
  else (void)take_down(runtime, 0);
  return err;
}

// Takes over the configuration and the ledger.
static hg_err assemble(struct hg_config *config, const struct hg_places *places, struct hg_ledger *ledger,
                       const struct hg_ledger_state *state, hg_runtime **out, hg_error *why) {
  struct hg_runtime *runtime = make_runtime(config, places, state->ledger_id, state->opening);
  if (!runtime) {
    (void)hg_ledger_close(&ledger);
    hg_config_destroy(&config);
    return hg_fail(why, HG_ERR_NO_MEMORY, "%s", hg_err_text(HG_ERR_NO_MEMORY));
  }
  runtime->ledger = ledger;
  hg_err err = build(runtime, state);
  if (err != HG_OK) hg_fail(why, err, "%s", hg_err_text(err));
  if (err == HG_OK) err = hg_wire(runtime->shells, runtime->core, runtime->files, why);
  if (err == HG_OK) return bring_to_life(runtime, out, why);
  (void)take_down(runtime, 0);
  return err;
}

// Takes over the configuration when it succeeds.
static hg_err assemble_guest(struct hg_config **config, const struct hg_places *places, const struct hg_holder *holder,
                             hg_runtime **out, struct hg_ledger_state *found, hg_error *why) {
  struct hg_places there = *places;
  struct hg_host host = {0};
  snprintf(there.control_endpoint, sizeof there.control_endpoint, "%s", holder->control);
  snprintf(there.events_endpoint, sizeof there.events_endpoint, "%s", holder->events);
  void *context = NULL;
  hg_err err = hg_context_new(&context);
  if (err == HG_OK) err = hg_guest_greet(context, holder->control, *config, &host, why);
  if (context) hg_context_destroy(context);
  if (err != HG_OK) return err;
  struct hg_runtime *runtime = make_runtime(*config, &there, host.ledger_id, 0);
  if (!runtime) return hg_fail(why, HG_ERR_NO_MEMORY, "%s", hg_err_text(HG_ERR_NO_MEMORY));
  *config = NULL;
  runtime->core->is_guest = true;
  err = hg_remote_new(runtime->core->config, host.life, &runtime->shells[HG_REMOTE_ACTOR].actor);
  if (err != HG_OK) hg_fail(why, err, "%s", hg_err_text(err));
  if (err == HG_OK) err = hg_wire_guest(runtime->shells, runtime->core, why);
  if (err != HG_OK) {
    (void)take_down(runtime, 0);
    return err;
  }
  memcpy(found->ledger_id, host.ledger_id, sizeof found->ledger_id);
  return bring_to_life(runtime, out, why);
}

static hg_err open_ledger(struct hg_config **config, const struct hg_places *places, hg_runtime **out,
                          struct hg_ledger_state *state, hg_error *why) {
  struct hg_ledger *ledger = NULL;
  hg_err err = hg_ledger_open(*config, places, &ledger, state, why);
  if (err != HG_OK) return err;
  err = assemble(*config, places, ledger, state, out, why);
  *config = NULL;
  return err;
}

hg_err hg_open_config(struct hg_config **config, hg_runtime **out, struct hg_ledger_state *found, hg_error *why) {
  hg_error local = HG_ERROR_INIT;
  if (!why) why = &local;
  struct hg_places places;
  struct hg_ledger_state state = {0};
  hg_err err = check_descriptors(*config, true, why);
  if (err == HG_OK) err = hg_places_of((*config)->ledger_path, getenv("XDG_RUNTIME_DIR"), &places, why);
  if (err == HG_OK) err = open_ledger(config, &places, out, &state, why);
  if (found && err == HG_OK) *found = state;
  else hg_ledger_state_clear(&state);
  return err;
}

hg_err hg_open_shared(struct hg_config **config, hg_runtime **out, struct hg_ledger_state *found, hg_error *why) {
  hg_error local = HG_ERROR_INIT;
  if (!why) why = &local;
  struct hg_places places;
  struct hg_ledger_state state = {0};
  struct hg_holder holder;
  hg_err err = check_descriptors(*config, false, why);
  if (err == HG_OK) err = hg_places_of((*config)->ledger_path, getenv("XDG_RUNTIME_DIR"), &places, why);
  if (err != HG_OK) return err;
  // Whoever is found may end before it answers, and when nobody is found somebody may live by the time the ledger is
  // opened.
  err = HG_ERR_NO_RUNTIME;
  for (int tries = 0; tries < SHARING_TRIES && (err == HG_ERR_NO_RUNTIME || err == HG_ERR_LEDGER_IN_USE); tries++) {
    const bool lives = hg_ledger_holder(&places, &holder) == HG_OK && !holder.momentary;
    err = lives ? assemble_guest(config, &places, &holder, out, &state, why)
                : open_ledger(config, &places, out, &state, why);
  }
  if (err == HG_ERR_NO_RUNTIME) err = why->code = HG_ERR_LEDGER_IN_USE;
  if (found && err == HG_OK) *found = state;
  else hg_ledger_state_clear(&state);
  return err;
}

bool hg_runtime_is_guest(const hg_runtime *runtime) {
  return runtime->core->is_guest;
}

static hg_err open_read(struct hg_config *config, hg_runtime **out, hg_error *why) {
  const hg_err err = hg_open_shared(&config, out, NULL, why);
  hg_config_destroy(&config);
  return err;
}

hg_err hg_open(const char *config_path, hg_runtime **out, hg_error *why) {
  hg_error local = HG_ERROR_INIT;
  struct hg_config *config;
  if (!config_path || !out) return HG_ERR_INVALID;
  const hg_err err = hg_config_read(config_path, &config, why ? why : &local);
  return err == HG_OK ? open_read(config, out, why) : err;
}

hg_err hg_open_json(const char *json, size_t len, const char *base_dir, hg_runtime **out, hg_error *why) {
  hg_error local = HG_ERROR_INIT;
  struct hg_config *config;
  if (!json || !out) return HG_ERR_INVALID;
  const hg_err err = hg_config_parse(json, len, "<json>", base_dir, &config, why ? why : &local);
  return err == HG_OK ? open_read(config, out, why) : err;
}
