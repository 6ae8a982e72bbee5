// The persister: drain, then commit; after a failure recover, find out what is stored, and write the rest again.
#include "actors/persister.h"

#include "actors/housekeeping.h"
#include "actors/replays.h"
#include "bus/frames.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCHES_MAX HG_FACTS_WINDOW
// The tracker stops listening past the one window, and asks nothing past the other.
#define FINDS_MAX (HG_FINDS_WINDOW + HG_BURST + HG_END_FINDS_WINDOW)
#define TELL_EVERY_US 100000  // the newest committed seq is repeated to the bus
#define IDLE_AFTER_US 1000000 // without facts: time for a checkpoint
#define RETRY_FIRST_US 10000
#define RETRY_MOST_US 2000000
#define FAILURES_MAX 2 // in a row, of a kind that does not pass

// A FACTS frame that is not committed yet. The frame is kept whole, because the bus gets it as it is.
struct batch {
  uint8_t *frame;
  size_t size, capacity;
  uint64_t last;
  struct hg_bytes events; // inside the frame
};

// A question for a usage id, or for a permit, that is not answered yet.
struct find {
  enum hg_kind kind; // HG_FIND_USAGE or HG_FIND_PERMIT
  uint64_t request, permit;
  char usage_id[HG_LABEL_MAX + 1];
};

struct persister {
  struct hg_store store;
  struct batch batches[BATCHES_MAX];
  size_t waiting;
  struct find finds[FINDS_MAX];
  size_t find_count;
  uint64_t durable;
  bool degraded; // what waits is not written yet, or nobody knows
  bool given_up; // and never will be
  uint32_t failures;
  bool stopping, stop_now;
  int64_t retry_at, retry_after_us;
  int64_t tell_at, idle_at;
  struct hg_housekeeping house;
  struct hg_replays replays;
  hg_error why;                       // of the newest failure
  char reason[HG_ERROR_TEXT_MAX + 1]; // of the trouble, as it is told
};

// ------------------------------------------------------------------------------------------------ what others hear

static void tell(struct persister *persister, enum hg_port port, struct hg_outbox *out) {
  struct hg_message committed;
  hg_message_init(&committed, HG_COMMITTED);
  committed.as.committed.seq = persister->durable;
  committed.as.committed.degraded = persister->degraded;
  committed.as.committed.given_up = persister->given_up;
  if (persister->degraded) committed.as.committed.reason = hg_text_of(persister->reason);
  hg_outbox_put(out, port, 0, &committed);
}

static void tell_all(struct persister *persister, struct hg_outbox *out) {
  tell(persister, HG_PORT_FACTS, out);
  tell(persister, HG_PORT_COMMITTED, out);
}

// A path in it may be anything, a message is UTF-8.
static void set_reason(struct persister *persister) {
  hg_text_copy(persister->reason, sizeof persister->reason, hg_text_of(persister->why.text));
  hg_text_clean(persister->reason);
}

static void stop(struct persister *persister, struct hg_outbox *out) {
  hg_outbox_finish(out, persister->degraded ? HG_ERR_STORE : HG_OK, persister->degraded ? persister->reason : NULL);
}

static void give_up(struct persister *persister, struct hg_outbox *out) {
  persister->degraded = persister->given_up = true;
  set_reason(persister);
  tell_all(persister, out);
}

// ------------------------------------------------------------------------------------------------ batches

static void keep(struct persister *persister, const struct hg_envelope *in, struct hg_outbox *out) {
  if (persister->given_up) return;
  // The tracker keeps a window of HG_FACTS_WINDOW, so there is always a free place.
  assert(persister->waiting < BATCHES_MAX);
  struct batch *batch = &persister->batches[persister->waiting];
  if (in->frame_size > batch->capacity) {
    uint8_t *larger = realloc(batch->frame, in->frame_size);
    if (!larger) { // this batch is lost, so nothing behind it may be stored
      snprintf(persister->why.text, sizeof persister->why.text, "not enough memory for a batch of %zu bytes",
               in->frame_size);
      give_up(persister, out);
      return;
    }
    batch->frame = larger;
    batch->capacity = in->frame_size;
  }
  const struct hg_facts_message *facts = &in->message.as.facts;
  memcpy(batch->frame, in->frame, in->frame_size);
  batch->size = in->frame_size;
  batch->last = facts->last;
  batch->events = (struct hg_bytes){batch->frame + (facts->events.data - in->frame), facts->events.size};
  persister->waiting++;
}

static void keep_find(struct persister *persister, const struct hg_message *question) {
  assert(persister->find_count < FINDS_MAX);
  struct find *find = &persister->finds[persister->find_count++];
  find->kind = question->kind;
  if (question->kind == HG_FIND_PERMIT) {
    find->request = question->as.find_permit.request;
    find->permit = question->as.find_permit.permit;
  } else {
    assert(question->as.find_usage.usage_id.size <= HG_LABEL_MAX);
    find->request = question->as.find_usage.request;
    hg_text_copy(find->usage_id, sizeof find->usage_id, question->as.find_usage.usage_id);
  }
}

static void receive(void *self, struct hg_now now, const struct hg_envelope *in, struct hg_outbox *out) {
  struct persister *persister = self;
  const char *trouble = persister->degraded ? persister->reason : NULL;
  (void)now;
  if (in->port == HG_PORT_FACTS && in->message.kind == HG_FACTS) {
    keep(persister, in, out);
  } else if (in->message.kind == HG_FIND_USAGE || in->message.kind == HG_FIND_PERMIT) {
    keep_find(persister, &in->message);
  } else if (in->port == HG_PORT_LEDGER && in->message.kind == HG_AUDIT) {
    hg_housekeeping_ask(&persister->house, in->message.as.audit.request, trouble, out);
  } else if (in->port == HG_PORT_LEDGER && in->message.kind == HG_REPLAY) {
    hg_replays_ask(&persister->replays, &in->message.as.replay, trouble, out);
  } else if (in->message.kind == HG_STOP) {
    persister->stopping = true;
    persister->stop_now = in->message.as.stop.now;
  }
}

// Batches up to `stored` are durable: acknowledge them and pass them on.
static void acknowledge(struct persister *persister, uint64_t stored, struct hg_outbox *out) {
  size_t done = 0;
  while (done < persister->waiting && persister->batches[done].last <= stored)
    done++;
  if (done == 0) return;
  hg_count_by(out, rows_written, persister->batches[done - 1].last - persister->durable);
  persister->durable = persister->batches[done - 1].last;
  tell(persister, HG_PORT_FACTS, out);
  for (size_t i = 0; i < done; i++)
    hg_outbox_put_frame(out, HG_PORT_COMMITTED, 0, (struct hg_bytes){0},
                        (struct hg_bytes){persister->batches[i].frame, (uint32_t)persister->batches[i].size});
  // Keeps the buffers: those done move behind those that still wait.
  struct batch spare[BATCHES_MAX];
  memcpy(spare, persister->batches, done * sizeof *spare);
  memmove(persister->batches, persister->batches + done, (BATCHES_MAX - done) * sizeof *spare);
  memcpy(persister->batches + BATCHES_MAX - done, spare, done * sizeof *spare);
  persister->waiting -= done;
}

// ------------------------------------------------------------------------------------------------ commit and recover

static void degrade(struct persister *persister, hg_err err, struct hg_now now, struct hg_outbox *out) {
  const bool may_pass = err == HG_ERR_BUSY || err == HG_ERR_NO_MEMORY;
  persister->failures = may_pass ? 0 : persister->failures + 1;
  if (persister->failures == FAILURES_MAX) {
    give_up(persister, out);
    return;
  }
  if (!persister->degraded) {
    persister->degraded = true;
    persister->retry_after_us = RETRY_FIRST_US;
    set_reason(persister);
    tell_all(persister, out);
  } else if (persister->retry_after_us < RETRY_MOST_US) {
    persister->retry_after_us *= 2;
  }
  persister->retry_at = now.monotonic_us + persister->retry_after_us;
}

static hg_err write_waiting(struct persister *persister) {
  if (persister->waiting == 0) return HG_OK;
  struct hg_bytes payloads[BATCHES_MAX];
  for (size_t i = 0; i < persister->waiting; i++)
    payloads[i] = persister->batches[i].events;
  return persister->store.write(persister->store.self, payloads, persister->waiting, &persister->why);
}

// Finds out what is stored, and acknowledges that. False: not now, or never.
static bool recover(struct persister *persister, struct hg_now now, struct hg_outbox *out) {
  uint64_t stored = 0;
  const hg_err err = persister->store.recover(persister->store.self, &stored, &persister->why);
  if (err != HG_OK) {
    degrade(persister, err, now, out);
    return false;
  }
  if (stored < persister->durable) {
    snprintf(persister->why.text, sizeof persister->why.text,
             "the ledger has lost acknowledged events: they reach to %" PRIu64 ", and %" PRIu64 " was acknowledged",
             stored, persister->durable);
    give_up(persister, out);
    return false;
  }
  acknowledge(persister, stored, out);
  return true;
}

// One transaction of all that waits. A commit that failed may be stored all the same: only the recovered store knows.
static void commit(struct persister *persister, struct hg_now now, struct hg_outbox *out) {
  if (persister->waiting == 0 && !persister->degraded) return;
  if (persister->degraded && !recover(persister, now, out)) return;
  const hg_err err = write_waiting(persister);
  if (err == HG_OK && persister->waiting) hg_count(out, commits);
  if (err != HG_OK) {
    hg_count(out, commit_failures);
    degrade(persister, err, now, out);
    return;
  }
  const bool recovered = persister->degraded;
  persister->degraded = false;
  if (persister->waiting) acknowledge(persister, persister->batches[persister->waiting - 1].last, out);
  if (recovered) tell_all(persister, out);
  persister->idle_at = now.monotonic_us + IDLE_AFTER_US;
}

static hg_err find_usage(struct persister *persister, const struct find *find, struct hg_outbox *out) {
  struct hg_message found;
  hg_message_init(&found, HG_USAGE_FOUND);
  found.as.usage_found.request = find->request;
  const hg_err err =
      persister->store.find_usage(persister->store.self, hg_text_of(find->usage_id), &found.as.usage_found.seq,
                                  &found.as.usage_found.content, &persister->why);
  if (err == HG_OK) hg_outbox_put(out, HG_PORT_FACTS, 0, &found);
  return err;
}

static hg_err find_permit(struct persister *persister, const struct find *find, struct hg_outbox *out) {
  struct hg_ended_permit ended;
  const hg_err err = persister->store.find_permit(persister->store.self, find->permit, &ended, &persister->why);
  if (err != HG_OK) return err;
  struct hg_message found;
  hg_message_init(&found, HG_PERMIT_FOUND);
  found.as.permit_found.request = find->request;
  found.as.permit_found.end = (uint32_t)ended.end;
  found.as.permit_found.used = ended.used;
  found.as.permit_found.reserved = ended.reserved;
  hg_outbox_put(out, HG_PORT_FACTS, 0, &found);
  return HG_OK;
}

// A store that can't be read now is asked again when it has recovered.
static void answer_finds(struct persister *persister, struct hg_now now, struct hg_outbox *out) {
  size_t answered = 0;
  hg_err err = HG_OK;
  while (answered < persister->find_count) {
    const struct find *find = &persister->finds[answered];
    err = find->kind == HG_FIND_PERMIT ? find_permit(persister, find, out) : find_usage(persister, find, out);
    if (err != HG_OK) break;
    answered++;
  }
  persister->find_count -= answered;
  memmove(persister->finds, persister->finds + answered, persister->find_count * sizeof *persister->finds);
  if (err != HG_OK) degrade(persister, err, now, out);
}

static void checkpoint(struct persister *persister, struct hg_now now, struct hg_outbox *out) {
  const bool idle = now.monotonic_us >= persister->idle_at;
  const hg_err err = persister->store.checkpoint(persister->store.self, idle, &persister->why);
  if (err != HG_OK) hg_count(out, checkpoint_failures);
  if (err != HG_OK) degrade(persister, err, now, out);
  else if (idle) persister->idle_at = HG_NEVER;
}

static int64_t keep_house(struct persister *persister, bool idle, struct hg_now now, struct hg_outbox *out) {
  if (persister->stopping) hg_housekeeping_stop(&persister->house, HG_ERR_CLOSED, hg_err_text(HG_ERR_CLOSED), out);
  else if (persister->given_up) hg_housekeeping_stop(&persister->house, HG_ERR_STORE, persister->reason, out);
  if (persister->degraded || persister->stopping) return HG_NEVER;
  int64_t wake = HG_NEVER;
  const hg_err err = hg_housekeeping_turn(&persister->house, idle, now, &wake, &persister->why, out);
  if (persister->house.wrote) persister->idle_at = now.monotonic_us + IDLE_AFTER_US;
  if (err != HG_OK) degrade(persister, err, now, out);
  return wake;
}

static int64_t replay(struct persister *persister, bool idle, struct hg_now now, struct hg_outbox *out) {
  if (persister->stopping) hg_replays_stop(&persister->replays, HG_ERR_CLOSED, hg_err_text(HG_ERR_CLOSED), out);
  else if (persister->degraded) hg_replays_stop(&persister->replays, HG_ERR_STORE, persister->reason, out);
  return hg_replays_turn(&persister->replays, persister->durable, !idle, now, out);
}

static int64_t flush(void *self, struct hg_now now, struct hg_outbox *out) {
  struct persister *persister = self;
  const bool idle = persister->waiting == 0;
  const bool due = !persister->degraded || now.monotonic_us >= persister->retry_at || persister->stopping;
  if (due && !persister->given_up) commit(persister, now, out);
  if (!persister->degraded) answer_finds(persister, now, out);
  if (!persister->degraded) checkpoint(persister, now, out);
  if (now.monotonic_us >= persister->tell_at) {
    tell(persister, HG_PORT_COMMITTED, out);
    persister->tell_at = now.monotonic_us + TELL_EVERY_US;
  }
  int64_t wake = keep_house(persister, idle, now, out);
  const int64_t replay_at = replay(persister, idle, now, out);
  if (replay_at < wake) wake = replay_at;
  if (!persister->degraded) persister->failures = 0; // all that a turn does has gone well
  if (persister->stopping && (!persister->degraded || persister->given_up || persister->stop_now)) {
    tell(persister, HG_PORT_COMMITTED, out);
    stop(persister, out);
  }
  if (persister->degraded && !persister->given_up && persister->retry_at < wake) wake = persister->retry_at;
  return wake < persister->tell_at ? wake : persister->tell_at;
}

static void destroy(void *self) {
  struct persister *persister = self;
  for (size_t i = 0; i < BATCHES_MAX; i++)
    free(persister->batches[i].frame);
  free(persister);
}

hg_err hg_persister_new(struct hg_store store, uint64_t last_seq, struct hg_actor *out) {
  struct persister *persister = calloc(1, sizeof *persister);
  if (!persister) return HG_ERR_NO_MEMORY;
  persister->store = store;
  persister->durable = last_seq;
  persister->idle_at = HG_NEVER;
  hg_housekeeping_init(&persister->house, &persister->store);
  hg_replays_init(&persister->replays, &persister->store);
  persister->why = (hg_error)HG_ERROR_INIT;
  *out = (struct hg_actor){"hg-persister", persister, receive, flush, NULL, destroy};
  return HG_OK;
}
