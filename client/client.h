// Inside a client: its links, what it waits for, and the completions that nobody has taken yet.
#ifndef HG_CLIENT_H
#define HG_CLIENT_H

#include "actors/core.h"
#include "base/id_map.h"

// Numbers of records, corrections and limits, and ids of permits, share the ticket's 64 bits.
#define HG_TICKET_RECORD (UINT64_C(1) << 63)
#define HG_TICKET_SETTLE (UINT64_C(1) << 62)
#define HG_TICKET_RENEW (UINT64_C(1) << 61)
#define HG_ID_BLOCK 1024 // ids taken from the core at once

// A first-in first-out queue of fixed-size values that grows by doubling.
struct hg_ring {
  void *data;
  size_t item, first, count, capacity;
};
bool hg_ring_push(struct hg_ring *ring, const void *item);
void *hg_ring_first(struct hg_ring *ring); // NULL: empty
void hg_ring_pop(struct hg_ring *ring);
void hg_ring_destroy(struct hg_ring *ring);

struct hg_rejection {
  uint64_t number;
  hg_err err;
};

enum hg_client_link { HG_TO_TRACKER, HG_TO_SCHEDULER, HG_TO_WORKERS, HG_CLIENT_LINKS };

struct hg_client {
  struct hg_core *core;
  struct hg_link links[HG_CLIENT_LINKS];
  int epoll_fd, event_fd;
  bool signalled;            // event_fd is readable
  bool fd_in_use;            // somebody polls epoll_fd
  uint64_t next_id, last_id; // the rest of the block of ids
  // Numbered commands: 1 … sent, of which 1 … durable are answered and 1 … reported are taken by hg_client_next.
  uint64_t sent, durable, reported;
  struct hg_ring rejections;                  // struct hg_rejection, in the order of their numbers
  bool lost_settles;                          // the outcome of some is unknown
  bool lost;                                  // the store is: the outcome of …
  uint64_t lost_after;                        // … all numbers after this one is unknown
  struct hg_ring silent;                      // uint64_t numbers of waiting calls: no completion for them
  struct hg_ring completions;                 // hg_completion of acquires, settles and runs
  struct hg_id_map abandoned;                 // commands that a waiting call gave up: their answers find nobody
  struct hg_ring unwanted;                    // uint64_t permits: late grants of abandoned acquires, to be given back
  uint64_t acquires, settles, renewals, runs; // unanswered
  uint64_t waited_number;                     // the numbered command of a waiting call under way; 0: none
  hg_err waited_result;
  uint32_t unsaid;                // links (bits) on which its LEAVE is still to be sent
  struct hg_client *next_leaving; // of those that wait to say it
  // The one question that a waiting call asks at a time.
  uint64_t awaited; // its request id; 0: none
  bool answered;
  struct hg_message answer;
  char answer_text[HG_TEXT_MAX + 1];
};

// hg_client_new, for a runtime or what stands in for one.
hg_err hg_client_open(struct hg_core *core, hg_client **out);
// Grants that nobody wants any more go back; HG_ERR_BUSY: not all of them found room.
hg_err hg_client_give_back(hg_client *client);
void hg_client_free(hg_client *client); // without a word
// Tells the actors that it goes, and frees it, now or when there is room for that word.
void hg_client_say_farewell(hg_client *client);
// Takes in everything that has come, without waiting. HG_ERR_CLOSED when the runtime is gone.
hg_err hg_client_pump(hg_client *client);
// Waits until something can be taken in, at most until `deadline_us` (monotonic, HG_NEVER: without end), and takes it
// in.
hg_err hg_client_wait(hg_client *client, int64_t deadline_us);
// Of an answered number that was not rejected: HG_OK or HG_ERR_STORE.
hg_err hg_client_outcome(const hg_client *client, uint64_t number);
// Passes over durable numbers that belong to waiting calls.
void hg_client_skip_silent(hg_client *client);
int64_t hg_deadline(int timeout_ms);
hg_err hg_client_send(hg_client *client, enum hg_client_link link, const struct hg_message *message);
uint64_t hg_client_fresh_id(hg_client *client);
hg_err hg_client_find_budget(const hg_client *client, const char *name, uint32_t *out); // NULL: default
// A NUL-ended text of at most `most` bytes of UTF-8, as a view. HG_ERR_INVALID otherwise. NULL is the empty text.
hg_err hg_client_text(const char *text, size_t most, struct hg_text *out);

// The parts of the waiting calls that send (start.c).
struct hg_patience {
  uint64_t us; // 0: without end
  bool waits;  // the client does nothing else meanwhile
};
hg_err hg_client_start_acquire(hg_client *client, const hg_request *request, struct hg_patience patience,
                               hg_ticket *out);
// `give_back`: the grant is not wanted either, should it have been faster.
hg_err hg_client_cancel(hg_client *client, uint64_t request, bool give_back);
hg_err hg_client_start_correction(hg_client *client, const char *budget, int64_t tokens, const char *why,
                                  const char *usage_id, uint64_t *number);
hg_err hg_client_start_limit(hg_client *client, const char *budget, int64_t tokens, bool configured, uint64_t *number);

// A provider lets fewer calls of this client run at once, or as many again: becomes an event, has no answer.
hg_err hg_client_tell_pushback(hg_client *client, const char *task_id, uint32_t from, uint32_t to);

// What calls of this client reserved less than their bounds since it said so last, and how many of them used more than
// they had reserved: for status, has no answer.
hg_err hg_client_tell_savings(hg_client *client, int64_t saved, uint64_t overran);

// How many lines its run has left that are charged to a budget (NULL: the root), for the forecast, and how many calls
// at once a provider that pushes back lets it make (0: as many as it likes), for status; has no answer.
hg_err hg_client_tell_lines(hg_client *client, const char *budget, uint64_t lines, uint32_t allowed);

// hg_set_hard_limit for a configuration that was read again: from now on it is what the file says.
hg_err hg_client_configure_limit(hg_client *client, const char *budget, int64_t tokens, int timeout_ms);

#endif
