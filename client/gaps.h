// What a subscriber has been told and what it has missed. Frames of its subscription and answers to its questions go
// in; which of them to deliver and what to ask for comes out. No socket, no clock.
//
// Who hears every event sees a loss in the rows, which have no gap; who hears one topic in `prev`, which names the row
// before of the same topic; either sees a loss at the tail in the next heartbeat. Who hears several topics can't see in
// an event that one of another topic was lost before it, only in the next heartbeat. So after a crowd, in which events
// may have been lost, they are held back until it.
#ifndef HG_GAPS_H
#define HG_GAPS_H

#include "bus/frames.h"

#define HG_GAPS_ALL UINT32_MAX // every kind of event, those of later versions too
#define HG_GAPS_HEARINGS 4

enum hg_gaps_state {
  HG_GAPS_SILENT, // before the first heartbeat, which proves that the subscription is live
  HG_GAPS_LIVE,
  HG_GAPS_ASKING, // something is missing: hg_gaps_question, hg_gaps_answer
  HG_GAPS_BEHIND  // it could not be told: is asked for again after the next heartbeat
};

struct hg_gaps {
  uint32_t kinds; // wanted, a bit each
  bool several;   // topics, but not all
  enum hg_gaps_state state;
  uint64_t from; // the first row that is wanted; 0: what comes after the first heartbeat
  char ledger_id[40];
  uint64_t floor;                     // every wanted row up to this one was delivered
  uint64_t proven;                    // several topics: none was missing up to this row at the last heartbeat
  uint64_t delivered[HG_EVENT_KINDS]; // newest row of each topic
  uint64_t held[HG_EVENT_KINDS];      // of those held back; 0: none
  uint64_t newest;                    // row heard
  // The question.
  uint64_t after, target; // rows behind `after`, up to `target` at least
  uint64_t request;
  uint32_t told;   // events of the portion so far
  uint64_t oldest; // not 0: rows before this one, of which some were missing, are no longer kept; taken by who tells it
  hg_error why;    // of the last refusal
  // Whether more may have waited for us than there is room for, since the last heartbeat was sent.
  uint64_t count; // frames heard
  struct {
    int64_t at; // UTC
    uint64_t count;
  } hearings[HG_GAPS_HEARINGS]; // some of the heartbeats, the newest first
  uint64_t count_then;          // at one before the last heartbeat was sent
  // Frames that are held back, each behind its size; up to `released` they may go.
  uint8_t *frames;
  size_t first, released, used, room;
};

void hg_gaps_init(struct hg_gaps *gaps, uint32_t kinds, uint64_t from);
void hg_gaps_destroy(struct hg_gaps *gaps);

// A frame of the subscription, to which HEARTBEAT and RUNTIME_STOPPED belong. HG_OK: is to be delivered now.
// HG_ERR_EMPTY: is not. HG_ERR_PROTOCOL: is no event. `utc_us`: now. Heartbeats that are wanted are delivered at once,
// also before what they show to be missing. Not while a question is under way; first take all that hg_gaps_next has.
hg_err hg_gaps_hear(struct hg_gaps *gaps, int64_t utc_us, const uint8_t *frame, size_t size,
                    struct hg_event_envelope *event);
// The next frame that was held back and is to be delivered now; valid until the next call.
bool hg_gaps_next(struct hg_gaps *gaps, const uint8_t **frame, size_t *size, struct hg_event_envelope *event);

// While the state is HG_GAPS_ASKING: the next REPLAY, an outside frame; its size.
size_t hg_gaps_question(struct hg_gaps *gaps, uint8_t *to, size_t room);
// A frame that came for it. HG_OK: an event to be delivered now. HG_ERR_EMPTY: not. HG_ERR_TIMEOUT: that was the last
// of the portion: the state says whether to ask again.
hg_err hg_gaps_answer(struct hg_gaps *gaps, const uint8_t *frame, size_t size, struct hg_event_envelope *event);
// No answer comes. The next question must go over a connection on which nothing of this one can arrive.
void hg_gaps_refuse(struct hg_gaps *gaps, hg_err err, const char *why);

#endif
