// Inside random_clients: the state of one walk, shared by what clients do (random_clients.c) and by what is checked
// when they are answered (random_checks.c).
#ifndef HG_RANDOM_WORLD_H
#define HG_RANDOM_WORLD_H

#include "support/budget_model.h"
#include "support/random_clients.h"
#include "support/test.h"

#define CLIENTS 4
#define PEERS_EVER 64
#define NUMBERS 2048 // of one peer

struct random_peer {
  uint64_t last, recorded; // numbers sent, and acknowledged
  bool gone;
  struct {
    uint64_t row; // its event; 0: none yet
    bool makes_row, refused;
  } numbers[NUMBERS + 1];
};

enum wish_state { WISH_NONE, WISH_OPEN, WISH_GRANTED, WISH_REFUSED };
struct wish {
  enum wish_state state;
  hg_peer peer;
  uint32_t budget;
  int64_t min, max, arrival, deadline;
  uint64_t parent;
  bool from_parent;
  bool blocking; // its client says that it waits for it alone
  bool leased;   // its permit may become an orphan while its client is there
  bool unwanted; // cancelled
  bool given_up; // and its grant with it
  bool refused;  // whether or not its client has heard of it
  bool left;     // its client, or the whole runtime, is gone
  bool waits;    // the tracker said so
  uint32_t waits_for;
  uint32_t settles, settled; // sent, and answered
  bool disputed;             // two settles differ
  bool is_release;
  int64_t tokens; // what the first settle says
};

struct random_world {
  struct hg_test_setup setup;
  struct hg_test_world world;
  struct hg_model model;
  struct hg_ledger_permit stored[HG_MODEL_PERMITS];
  struct random_peer peers[PEERS_EVER]; // by peer id
  hg_peer clients[CLIENTS], last_peer;
  struct wish wishes[HG_MODEL_PERMITS]; // by request
  uint64_t last_wish;
  int64_t arrivals, first_arrivals;
  size_t events_read;
  size_t watched;                    // of what the tracker has said and the scheduler has not heard
  uint64_t waiters[HG_TEST_BUDGETS]; // who waits for a budget, first of all; 0: nobody
  uint64_t questions, answers;       // GET_USAGE, GET_QUEUE, SET_MAX_CONCURRENCY
  uint64_t dice;
  int64_t time;
  struct hg_random_totals *totals;
};

void hg_random_check_facts(struct random_world *w);   // collects what the tracker wrote
void hg_random_check_answers(struct random_world *w); // takes what clients are told
void hg_random_watch(struct random_world *w);         // what the tracker says to the scheduler
bool hg_random_ask(struct random_world *w);           // one message scheduler -> tracker
bool hg_random_answer(struct random_world *w);        // one message tracker -> scheduler

#endif
