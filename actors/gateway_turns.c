// Questions that take the persister's time or the tracker's, or whose answers are long: REPLAY, SNAPSHOT, AUDIT. A
// connection has one of each kind under way; its others wait here. Connections take turns, so that each waits for one
// of every other at most. Whoever has not read its answers is passed over until it has.
#include "actors/gateway_private.h"

#define LOOK_AGAIN_US 20000 // at who is passed over

static const struct {
  uint32_t at_once;
  bool together; // all that begin at the same time have the same answer, and the next wait for it
  void (*begin)(struct hg_gateway *gateway, struct hg_asked *asked);
} kinds[HG_TURN_COUNT] = {
    [HG_TURN_REPLAY] = {HG_REPLAYS_MAX, false, hg_gateway_begin_replay},
    [HG_TURN_SNAPSHOT] = {1, false, hg_gateway_begin_snapshot},
    [HG_TURN_AUDIT] = {HG_REPLAYS_MAX, true, hg_gateway_begin_audit},
};

static enum hg_turn turn_of(enum hg_kind kind) {
  if (kind == HG_REPLAY) return HG_TURN_REPLAY;
  if (kind == HG_SNAPSHOT) return HG_TURN_SNAPSHOT;
  return kind == HG_AUDIT ? HG_TURN_AUDIT : HG_TURN_COUNT;
}

static void stand_in_line(struct hg_gateway *gateway, enum hg_turn turn, struct hg_outsider *outsider) {
  struct hg_turns *line = &gateway->turns[turn];
  outsider->turns[turn].next = NULL;
  if (line->first) line->last->turns[turn].next = outsider;
  else line->first = outsider;
  line->last = outsider;
}

void hg_gateway_wait_turn(struct hg_gateway *gateway, struct hg_asked *asked) {
  const enum hg_turn turn = turn_of(asked->kind);
  struct hg_outsider_turn *own = &asked->outsider->turns[turn];
  const bool is_first = !own->waiting.first && !own->under_way;
  hg_gateway_append(&own->waiting, asked);
  if (!is_first) return;
  stand_in_line(gateway, turn, asked->outsider);
  gateway->turns[turn].changed = true;
}

// Behind all others, if it has more.
void hg_gateway_end_turn(struct hg_gateway *gateway, struct hg_asked *asked) {
  const enum hg_turn turn = turn_of(asked->kind);
  struct hg_outsider_turn *own = turn < HG_TURN_COUNT ? &asked->outsider->turns[turn] : NULL;
  if (!own || own->under_way != asked) return;
  own->under_way = NULL;
  gateway->turns[turn].under_way--;
  gateway->turns[turn].changed = true;
  if (own->waiting.first) stand_in_line(gateway, turn, asked->outsider);
}

static void begin(struct hg_gateway *gateway, enum hg_turn turn, struct hg_outsider *outsider) {
  struct hg_outsider_turn *own = &outsider->turns[turn];
  struct hg_asked *asked = own->waiting.first;
  own->waiting.first = asked->next;
  own->under_way = asked;
  asked->next = NULL;
  gateway->turns[turn].under_way++;
  kinds[turn].begin(gateway, asked);
}

static bool keeps_up(const struct hg_gateway *gateway, const struct hg_outsider *outsider) {
  return !gateway->readers.keep_up || gateway->readers.keep_up(gateway->readers.self, outsider->peer);
}

// Begins what can begin. True: somebody was passed over.
static bool go_on(struct hg_gateway *gateway, enum hg_turn turn) {
  struct hg_turns *line = &gateway->turns[turn];
  struct hg_outsider *next = line->first;
  bool passed_over = false;
  line->changed = false;
  if (kinds[turn].together && line->under_way) return false;
  line->first = NULL;
  while (next) {
    struct hg_outsider *outsider = next;
    next = outsider->turns[turn].next;
    const bool has_room = line->under_way < kinds[turn].at_once, may = has_room && keeps_up(gateway, outsider);
    passed_over |= has_room && !may;
    if (may) begin(gateway, turn, outsider);
    else stand_in_line(gateway, turn, outsider);
  }
  return passed_over;
}

int64_t hg_gateway_take_turns(struct hg_gateway *gateway) {
  int64_t again = HG_NEVER;
  for (enum hg_turn turn = 0; turn < HG_TURN_COUNT; turn++) {
    struct hg_turns *line = &gateway->turns[turn];
    if ((line->changed || gateway->now.monotonic_us >= line->look_at) && line->first)
      line->look_at = go_on(gateway, turn) ? gateway->now.monotonic_us + LOOK_AGAIN_US : HG_NEVER;
    if (line->first && line->look_at < again) again = line->look_at;
  }
  return again;
}

static void leave_line(struct hg_gateway *gateway, enum hg_turn turn, const struct hg_outsider *outsider) {
  struct hg_outsider *next = gateway->turns[turn].first;
  gateway->turns[turn].first = NULL;
  while (next) {
    struct hg_outsider *other = next;
    next = other->turns[turn].next;
    if (other != outsider) stand_in_line(gateway, turn, other);
  }
}

void hg_gateway_drop_turns_of(struct hg_gateway *gateway, hg_peer peer) {
  for (enum hg_turn turn = 0; turn < HG_TURN_COUNT; turn++) {
    struct hg_outsider *outsider =
        hg_id_map_get(&gateway->outsiders, peer); // the last that is forgotten takes it along
    struct hg_asked *next = outsider ? outsider->turns[turn].waiting.first : NULL, *asked;
    if (next && !outsider->turns[turn].under_way) leave_line(gateway, turn, outsider);
    if (next) outsider->turns[turn].waiting.first = NULL;
    while ((asked = next)) {
      next = asked->next;
      hg_gateway_forget(gateway, asked);
    }
  }
}

// ------------------------------------------------------------------------------------------------ what begins

void hg_gateway_begin_replay(struct hg_gateway *gateway, struct hg_asked *asked) {
  struct hg_message ask;
  hg_message_init(&ask, HG_REPLAY);
  ask.as.replay.request = asked->id;
  ask.as.replay.after = asked->as.replay.after;
  ask.as.replay.credit = asked->as.replay.credit;
  if (asked->as.replay.topics) ask.as.replay.topics = hg_text_of(asked->as.replay.topics);
  hg_outbox_put(gateway->out, HG_PORT_LEDGER, 0, &ask);
}

// Those that begin together are one question to the persister, under the number of the first.
void hg_gateway_begin_audit(struct hg_gateway *gateway, struct hg_asked *asked) {
  const bool is_first = !gateway->audits.first;
  hg_gateway_append(&gateway->audits, asked);
  if (!is_first) return;
  struct hg_message ask;
  hg_message_init(&ask, HG_AUDIT);
  ask.as.audit.request = asked->id;
  hg_outbox_put(gateway->out, HG_PORT_LEDGER, 0, &ask);
}
