// What the files of the gateway share: gateway.c (turns), outsiders.c (who asks, and what is under way for them),
// outside_shares.c (how much of it each may have), gateway_turns.c (long questions, by turns), gateway_commands.c (what
// outsiders want, put to the other actors), gateway_tells.c (what has no answer), gateway_answers.c (what those
// answer), gateway_prices.c (what it costs), gateway_snapshot.c (the snapshot).
#ifndef HG_GATEWAY_PRIVATE_H
#define HG_GATEWAY_PRIVATE_H

#include "actors/gateway.h"
#include "actors/heap.h"
#include "base/id_map.h"

// Commands have their places by what they are.
enum hg_share { HG_SHARE_ACQUIRES, HG_SHARE_ENDS, HG_SHARE_SHORT, HG_SHARE_COUNT };

// Questions that connections take turns at.
enum hg_turn { HG_TURN_REPLAY, HG_TURN_SNAPSHOT, HG_TURN_AUDIT, HG_TURN_COUNT };

struct hg_asked_line {
  struct hg_asked *first, *last;
};

// A connection that has something under way.
struct hg_outsider {
  hg_peer peer;
  int64_t heard_at; // monotonic
  uint32_t under_way;
  uint32_t taken[HG_SHARE_COUNT]; // places
  struct hg_heap_node in_crowd;
  struct hg_asked *acquires; // that wait and are wanted, the newest first
  struct hg_outsider_turn {
    struct hg_asked *under_way;
    struct hg_asked_line waiting;
    struct hg_outsider *next; // in line, which it is in when it waits and has none under way
  } turns[HG_TURN_COUNT];
};

// A command under way.
struct hg_asked {
  enum hg_kind kind;
  struct hg_outsider *outsider;
  uint64_t request; // the outsider's
  uint64_t id;      // ours: of a question, a number, or a permit that ends
  // Numbers, ends of one permit, and what waits for its turn: in their order. Audits: those that have the same answer.
  struct hg_asked *next;
  union {
    struct {                           // ACQUIRE_PERMIT
      struct hg_asked *before, *after; // of the same outsider
      struct hg_heap_node in_silence;
      uint32_t lease_ms;
      bool given_up;                // its grant is not wanted any more
      bool pushed_out;              // for the sake of another connection
      const struct hg_price *price; // of the model that it named; NULL: none
    } acquire;
    struct { // REPLAY
      uint64_t after;
      uint32_t credit;
      char *topics; // NULL: all
    } replay;
    struct { // STATUS, SNAPSHOT
      bool has_usage, has_queue;
      struct hg_usage_message usage;
      struct hg_queue_message queue;
      uint32_t budgets; // told so far
    } figures;
    struct {          // SETTLE_PERMIT, RECORD, and what else is numbered
      uint32_t error; // HG_OK unless REJECTED
      int64_t tokens;
      uint32_t source;
      const char *remark; // a static text; NULL: none
    } count;
  } as;
};

struct hg_gateway {
  const struct hg_config *config;
  char ledger_id[37];
  char events[HG_PATH_MAX + 8];
  uint64_t life;                // counts the openings of the ledger
  uint64_t next_id;             // unique over the ledger's life: some become permits
  uint64_t last_number;         // sent to the tracker
  uint64_t decided;             // newest number that it has taken
  struct hg_id_map outsiders;   // by peer
  struct hg_id_map questions;   // by id
  struct hg_id_map ends;        // by permit: the first of a line
  struct hg_asked_line numbers; // in their order
  struct hg_turns {
    struct hg_outsider *first, *last; // in line
    uint32_t under_way;
    bool changed;
    int64_t look_at; // again, at those who were passed over
  } turns[HG_TURN_COUNT];
  struct hg_asked_line audits; // those under way
  struct hg_gateway_readers readers;
  struct hg_heap silences;               // acquires, by the moment at which their outsiders must have been heard
  struct hg_heap crowd;                  // who has acquires that wait, the one with the most first
  struct hg_id_map prices, older_prices; // by permit: of the models that their acquires named; the younger, the older
  uint32_t acquires;
  uint32_t taken[HG_SHARE_COUNT]; // places
  bool stopping;
  struct hg_now now;     // of this turn
  struct hg_outbox *out; // of this turn
};

// outsiders.c
void hg_gateway_reply(struct hg_gateway *gateway, hg_peer peer, const struct hg_message *message);
void hg_gateway_answer(struct hg_gateway *gateway, hg_peer peer, uint64_t request, hg_err err);
// Takes a command in; it is then found by what it waits for. NULL: it was answered, with HG_ERR_BUSY or
// HG_ERR_NO_MEMORY.
struct hg_asked *hg_gateway_enter(struct hg_gateway *gateway, enum hg_kind kind, hg_peer peer, uint64_t request);
void hg_gateway_append(struct hg_asked_line *line, struct hg_asked *asked);
bool hg_gateway_enter_end(struct hg_gateway *gateway, struct hg_asked *asked, uint64_t permit); // false: no memory
void hg_gateway_enter_number(struct hg_gateway *gateway, struct hg_asked *asked);
bool hg_gateway_enter_acquire(struct hg_gateway *gateway, struct hg_asked *asked, uint32_t lease_ms);
struct hg_asked *hg_gateway_find(const struct hg_gateway *gateway, enum hg_kind kind, uint64_t id); // NULL: not there
void hg_gateway_forget(struct hg_gateway *gateway, struct hg_asked *asked);
void hg_gateway_finish(struct hg_gateway *gateway, struct hg_asked *asked, hg_err err); // answers and forgets
void hg_gateway_refuse(struct hg_gateway *gateway, struct hg_asked *asked, hg_err err, const char *reason); // the same
void hg_gateway_hear(struct hg_gateway *gateway, hg_peer peer);                                             // it lives
void hg_gateway_give_up_acquire(struct hg_gateway *gateway, struct hg_asked *asked);
void hg_gateway_give_up_acquires_of(struct hg_gateway *gateway, hg_peer peer);
// Gives up the acquires of those that are silent; returns when to look again.
int64_t hg_gateway_give_up_silent(struct hg_gateway *gateway);
void hg_gateway_close(struct hg_gateway *gateway);      // all that are unanswered hear HG_ERR_CLOSED
void hg_gateway_forget_all(struct hg_gateway *gateway); // and frees what is theirs

// outside_shares.c
// Finds a place for one more, if need be by pushing out an acquire of somebody who has more. False: there is none.
bool hg_gateway_take_place(struct hg_gateway *gateway, struct hg_outsider *outsider, enum hg_share share);
void hg_gateway_give_back_place(struct hg_gateway *gateway, struct hg_outsider *outsider, enum hg_share share);
enum hg_share hg_gateway_share_of(enum hg_kind kind);

// gateway_turns.c
void hg_gateway_wait_turn(struct hg_gateway *gateway, struct hg_asked *asked);
void hg_gateway_end_turn(struct hg_gateway *gateway, struct hg_asked *asked); // nothing when it has none
int64_t hg_gateway_take_turns(struct hg_gateway *gateway);                    // returns when to come again
void hg_gateway_drop_turns_of(struct hg_gateway *gateway, hg_peer peer); // what it waits for is not wanted any more
void hg_gateway_begin_replay(struct hg_gateway *gateway, struct hg_asked *asked);
void hg_gateway_begin_audit(struct hg_gateway *gateway, struct hg_asked *asked);

// gateway_commands.c
void hg_gateway_command(struct hg_gateway *gateway, const struct hg_envelope *in);

bool hg_gateway_find_budget(const struct hg_gateway *gateway, struct hg_text name, uint32_t *out); // empty: the root

// gateway_tells.c
bool hg_gateway_tell(struct hg_gateway *gateway, hg_peer peer, const struct hg_message *message); // false: no such one

// gateway_prices.c
// Fills in max_tokens where tokens of input and output are told instead; *out: the price of the model that is named.
// HG_ERR_CONFIG: it has none; HG_ERR_RANGE. *reason: in words.
hg_err hg_gateway_price_acquire(const struct hg_gateway *gateway, struct hg_acquire_permit_message *wish,
                                const struct hg_price **out, const char **reason);
void hg_gateway_remember_price(struct hg_gateway *gateway, uint64_t permit, const struct hg_price *price);
// Where the ledger counts money, the usage of an answer becomes what it costs, by the model that the command named
// (empty: none), else by that of the permit (0: none), else by the answer's own. Failed: the usage is missing, never 0;
// *reason says why.
hg_err hg_gateway_price_answer(const struct hg_gateway *gateway, struct hg_text named, uint64_t permit,
                               hg_usage_report *used, const char **reason);

// gateway_answers.c
void hg_gateway_from_tracker(struct hg_gateway *gateway, const struct hg_message *message);
void hg_gateway_from_scheduler(struct hg_gateway *gateway, const struct hg_message *message);
void hg_gateway_from_persister(struct hg_gateway *gateway, const struct hg_message *message);
void hg_gateway_name_wait(const struct hg_gateway *gateway, const struct hg_queue_message *queue,
                          struct hg_text *budget,
                          bool *throttle); // what the first in line waits for

// gateway_snapshot.c
void hg_gateway_begin_snapshot(struct hg_gateway *gateway, struct hg_asked *asked);
// Parts of the answer.
void hg_gateway_snapshot_queue(struct hg_gateway *gateway, struct hg_asked *asked,
                               const struct hg_queue_message *queue);
void hg_gateway_snapshot_figures(struct hg_gateway *gateway, struct hg_asked *asked,
                                 const struct hg_figures_message *figures);

#endif
