// Who asks from outside, and what is under way for them.
#include "actors/gateway_private.h"

#include "bus/frames.h"

#include <stdlib.h>

// Frames of the control socket are maps with named fields.
void hg_gateway_reply(struct hg_gateway *gateway, hg_peer peer, const struct hg_message *message) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  const size_t size = hg_outside_encode(message, frame, sizeof frame);
  assert(size);
  hg_outbox_put_frame(gateway->out, HG_PORT_CONTROL, peer, (struct hg_bytes){0},
                      (struct hg_bytes){frame, (uint32_t)size});
}

void hg_gateway_answer(struct hg_gateway *gateway, hg_peer peer, uint64_t request, hg_err err) {
  struct hg_message done;
  if (err == HG_ERR_BUSY) hg_count(gateway->out, busy_refusals);
  hg_message_done(&done, request, err, err == HG_OK ? "" : hg_err_text(err));
  hg_gateway_reply(gateway, peer, &done);
}

// ---------------------------------------------------------------------------------------------------- entering

static struct hg_outsider *find_outsider(struct hg_gateway *gateway, hg_peer peer) {
  struct hg_outsider *outsider = hg_id_map_get(&gateway->outsiders, peer);
  if (outsider) return outsider;
  outsider = calloc(1, sizeof *outsider);
  if (outsider && hg_id_map_put(&gateway->outsiders, peer, outsider)) {
    outsider->peer = peer;
    outsider->heard_at = gateway->now.monotonic_us;
    return outsider;
  }
  free(outsider);
  return NULL;
}

static void leave(struct hg_gateway *gateway, struct hg_outsider *outsider) {
  if (outsider->under_way > 0) return;
  hg_id_map_remove(&gateway->outsiders, outsider->peer);
  free(outsider);
}

struct hg_asked *hg_gateway_enter(struct hg_gateway *gateway, enum hg_kind kind, hg_peer peer, uint64_t request) {
  const enum hg_share share = hg_gateway_share_of(kind);
  struct hg_outsider *outsider = find_outsider(gateway, peer);
  const bool has_place = outsider && hg_gateway_take_place(gateway, outsider, share);
  struct hg_asked *asked = has_place ? calloc(1, sizeof *asked) : NULL;
  const uint64_t id = has_place ? ++gateway->next_id : 0;
  if (!asked || !hg_id_map_put(&gateway->questions, id, asked)) {
    free(asked);
    if (has_place) hg_gateway_give_back_place(gateway, outsider, share);
    if (outsider) leave(gateway, outsider);
    hg_gateway_answer(gateway, peer, request, outsider && !has_place ? HG_ERR_BUSY : HG_ERR_NO_MEMORY);
    return NULL;
  }
  *asked = (struct hg_asked){.kind = kind, .outsider = outsider, .request = request, .id = id};
  outsider->under_way++;
  return asked;
}

void hg_gateway_append(struct hg_asked_line *line, struct hg_asked *asked) {
  if (line->first) line->last->next = asked;
  else line->first = asked;
  line->last = asked;
}

// Nothing is asked by its id that is found by something else.
static void rename_to(struct hg_gateway *gateway, struct hg_asked *asked, uint64_t id) {
  hg_id_map_remove(&gateway->questions, asked->id);
  asked->id = id;
}

// The few that end one permit at a time stand in a chain.
bool hg_gateway_enter_end(struct hg_gateway *gateway, struct hg_asked *asked, uint64_t permit) {
  struct hg_asked *last = hg_id_map_get(&gateway->ends, permit);
  if (!last && !hg_id_map_put(&gateway->ends, permit, asked)) return false;
  rename_to(gateway, asked, permit);
  while (last && last->next)
    last = last->next;
  if (last) last->next = asked;
  return true;
}

// A number that the tracker did not take is given again, when nothing behind it is under way.
void hg_gateway_enter_number(struct hg_gateway *gateway, struct hg_asked *asked) {
  if (!gateway->numbers.first) gateway->last_number = gateway->decided;
  rename_to(gateway, asked, ++gateway->last_number);
  hg_gateway_append(&gateway->numbers, asked);
}

static int64_t silent_at(const struct hg_asked *asked) {
  return asked->outsider->heard_at + (int64_t)asked->as.acquire.lease_ms * 1000;
}

bool hg_gateway_enter_acquire(struct hg_gateway *gateway, struct hg_asked *asked, uint32_t lease_ms) {
  if (!hg_heap_reserve(&gateway->silences, gateway->acquires + 1)) return false;
  asked->as.acquire.lease_ms = lease_ms;
  asked->as.acquire.after = asked->outsider->acquires;
  if (asked->outsider->acquires) asked->outsider->acquires->as.acquire.before = asked;
  asked->outsider->acquires = asked;
  hg_heap_put(&gateway->silences, &asked->as.acquire.in_silence, silent_at(asked));
  gateway->acquires++;
  return true;
}

struct hg_asked *hg_gateway_find(const struct hg_gateway *gateway, enum hg_kind kind, uint64_t id) {
  struct hg_asked *asked = hg_id_map_get(&gateway->questions, id);
  return asked && asked->kind == kind ? asked : NULL;
}

// ---------------------------------------------------------------------------------------------------- leaving

// It waits no more, or is not wanted any more.
static void leave_acquires(struct hg_gateway *gateway, struct hg_asked *asked) {
  struct hg_asked *before = asked->as.acquire.before, *after = asked->as.acquire.after;
  if (asked->as.acquire.lease_ms == 0) return; // it never got among them
  if (before) before->as.acquire.after = after;
  else asked->outsider->acquires = after;
  if (after) after->as.acquire.before = before;
  hg_heap_remove(&gateway->silences, &asked->as.acquire.in_silence);
  gateway->acquires--;
}

static void destroy(struct hg_asked *asked) {
  if (asked->kind == HG_REPLAY) free(asked->as.replay.topics);
  free(asked);
}

// Out of where it is found: among the questions, or in front of a line.
static void take_out(struct hg_gateway *gateway, struct hg_asked *asked) {
  if (hg_id_map_get(&gateway->questions, asked->id) == asked) {
    hg_id_map_remove(&gateway->questions, asked->id);
  } else if (gateway->numbers.first == asked) {
    gateway->numbers.first = asked->next;
  } else {
    assert(hg_id_map_get(&gateway->ends, asked->id) == asked);
    if (asked->next) (void)hg_id_map_put(&gateway->ends, asked->id, asked->next); // in its place
    else hg_id_map_remove(&gateway->ends, asked->id);
  }
}

void hg_gateway_forget(struct hg_gateway *gateway, struct hg_asked *asked) {
  struct hg_outsider *outsider = asked->outsider;
  const bool is_acquire = asked->kind == HG_ACQUIRE_PERMIT, had_place = !is_acquire || !asked->as.acquire.given_up;
  if (had_place) hg_gateway_give_back_place(gateway, outsider, hg_gateway_share_of(asked->kind));
  if (is_acquire && had_place) leave_acquires(gateway, asked);
  hg_gateway_end_turn(gateway, asked);
  take_out(gateway, asked);
  destroy(asked);
  outsider->under_way--;
  leave(gateway, outsider);
}

void hg_gateway_finish(struct hg_gateway *gateway, struct hg_asked *asked, hg_err err) {
  hg_gateway_answer(gateway, asked->outsider->peer, asked->request, err);
  hg_gateway_forget(gateway, asked);
}

void hg_gateway_refuse(struct hg_gateway *gateway, struct hg_asked *asked, hg_err err, const char *reason) {
  struct hg_message done;
  hg_message_done(&done, asked->request, err, reason);
  hg_gateway_reply(gateway, asked->outsider->peer, &done);
  hg_gateway_forget(gateway, asked);
}

// ---------------------------------------------------------------------------------------------------- who is gone

void hg_gateway_hear(struct hg_gateway *gateway, hg_peer peer) {
  struct hg_outsider *outsider = hg_id_map_get(&gateway->outsiders, peer);
  if (outsider) outsider->heard_at = gateway->now.monotonic_us;
}

// The scheduler answers it once all the same; its grant, should that be on its way, is released.
void hg_gateway_give_up_acquire(struct hg_gateway *gateway, struct hg_asked *asked) {
  struct hg_message cancel;
  if (asked->as.acquire.given_up) return;
  asked->as.acquire.given_up = true;
  leave_acquires(gateway, asked);
  hg_gateway_give_back_place(gateway, asked->outsider, HG_SHARE_ACQUIRES);
  hg_message_init(&cancel, HG_CANCEL);
  cancel.as.cancel.request = asked->id;
  cancel.as.cancel.give_back = true;
  hg_outbox_put(gateway->out, HG_PORT_SCHEDULER, 0, &cancel);
}

void hg_gateway_give_up_acquires_of(struct hg_gateway *gateway, hg_peer peer) {
  const struct hg_outsider *outsider = hg_id_map_get(&gateway->outsiders, peer);
  while (outsider && outsider->acquires)
    hg_gateway_give_up_acquire(gateway, outsider->acquires);
}

// Outsiders are heard more often than leases end: a place in the heap is brought up to date only when its time comes.
int64_t hg_gateway_give_up_silent(struct hg_gateway *gateway) {
  int64_t at;
  struct hg_heap_node *first;
  while ((first = hg_heap_first(&gateway->silences, &at)) && at <= gateway->now.monotonic_us) {
    struct hg_asked *asked = HG_HOLDER(first, struct hg_asked, as.acquire.in_silence);
    if (silent_at(asked) > gateway->now.monotonic_us) hg_heap_put(&gateway->silences, first, silent_at(asked));
    else hg_gateway_give_up_acquire(gateway, asked);
  }
  return first ? at : HG_NEVER;
}

// ---------------------------------------------------------------------------------------------------- the end

static void each_asked(const struct hg_gateway *gateway, void *self, void (*take)(void *self, struct hg_asked *asked)) {
  struct hg_asked *asked, *next;
  for (size_t at = 0; (asked = hg_id_map_next(&gateway->questions, &at));)
    take(self, asked);
  for (size_t at = 0; (next = hg_id_map_next(&gateway->ends, &at));)
    while ((asked = next)) {
      next = asked->next;
      take(self, asked);
    }
  for (next = gateway->numbers.first; (asked = next);) {
    next = asked->next;
    take(self, asked);
  }
}

static void answer_closed(void *self, struct hg_asked *asked) {
  hg_gateway_answer(self, asked->outsider->peer, asked->request, HG_ERR_CLOSED);
}

static void free_asked(void *self, struct hg_asked *asked) {
  (void)self;
  destroy(asked);
}

void hg_gateway_close(struct hg_gateway *gateway) {
  each_asked(gateway, gateway, answer_closed);
}

void hg_gateway_forget_all(struct hg_gateway *gateway) {
  struct hg_outsider *outsider;
  each_asked(gateway, NULL, free_asked);
  for (size_t at = 0; (outsider = hg_id_map_next(&gateway->outsiders, &at));)
    free(outsider);
  hg_id_map_destroy(&gateway->questions);
  hg_id_map_destroy(&gateway->ends);
  hg_id_map_destroy(&gateway->outsiders);
  hg_id_map_destroy(&gateway->prices);
  hg_id_map_destroy(&gateway->older_prices);
  hg_heap_destroy(&gateway->silences);
  hg_heap_destroy(&gateway->crowd);
}
