// What headgate watch follows and what it knows of it: watch.c finds it and connects, watch_follow.c goes on from
// there.
#ifndef HG_WATCH_H
#define HG_WATCH_H

#include "bus/keys.h"
#include "cli/control.h"
#include "cli/live.h"
#include "cli/missed.h"
#include "client/gaps.h"

struct hg_watch {
  // What is followed.
  char endpoint[HG_PATH_MAX + 8];
  const char *control_endpoint; // given; NULL: none
  bool found;                   // through a configuration or a ledger: ends with the runtime
  struct hg_site site;          // when found
  struct hg_client_keys keys;   // for endpoints that were given
  struct hg_link link;
  // How it is shown.
  bool json, plain;            // a line of JSON an event; a line for people
  bool wanted[HG_EVENT_KINDS]; // to print
  bool by_topic;               // not all
  uint64_t from;               // 0: from now on
  struct hg_live *screen;      // NULL: lines
  hg_unit unit;                // of the ledger, as far as it is known
  // What was heard. Who can ask the runtime has told again what was missed; else the loss is told.
  bool can_ask;
  struct hg_gaps gaps;     // when it can ask
  struct hg_missed missed; // when it can't
  unsigned silent_turns;   // since anything was heard
  bool live, silence_told, degraded;
  bool ended; // the runtime that was found said that it stops
  // The runtime that is asked.
  struct hg_control control;
  bool is_open;      // control
  bool trouble_told; // that what was missed can't be asked for
  bool is_status_asked;
  int64_t status_at; // monotonic; asked
};

// Follows until a signal, the end of the runtime that was found, or a reader that went away; the exit code.
int hg_watch_follow(struct hg_watch *watch);
// False: no memory for the screen.
bool hg_watch_open_screen(struct hg_watch *watch);
// Signals end what follows; in their own time, so that the terminal is given back.
void hg_watch_catch_signals(void);

#endif
