// The terminal of `headgate watch`: the alternate screen, redrawn in place, and given back as it was.
#ifndef HG_LIVE_H
#define HG_LIVE_H

#include "bus/frames.h"
#include "cli/event_line.h"
#include "runner/screen.h"

#include <termios.h>

#define HG_LIVE_EVENTS HG_SCREEN_ROWS_MAX

struct hg_live {
  struct hg_screen screen;
  bool is_open, has_keys; // keys: stdin is a terminal whose echo is off
  struct termios before;
  int64_t drawn_at, sampled_at; // monotonic
  unsigned columns, rows;       // as drawn
  bool changed;
  // The last events, as they came: most are never drawn.
  struct hg_live_event {
    uint8_t frame[HG_OUTSIDE_FRAME_MAX];
    uint32_t size; // 0: a note, whose text is in the frame
  } events[HG_LIVE_EVENTS];
  uint64_t event_count; // so far
  char lines[HG_LIVE_EVENTS][HG_EVENT_LINE_MAX];
  char picture[HG_SCREEN_BYTES], sent[HG_SCREEN_BYTES + 16 * HG_SCREEN_ROWS_MAX]; // the rows, and as they are written
};

// `title` must live as long. NULL: no memory. The close gives the terminal back; one that never opened is fine.
struct hg_live *hg_live_open(const char *title);
void hg_live_close(struct hg_live **live);

void hg_live_event(struct hg_live *live, const uint8_t *frame, size_t size);
void hg_live_note(struct hg_live *live, const char *text);
void hg_live_report(struct hg_live *live, const struct hg_status_report_message *report);
// Where no report can be had: what an event says of the default budget and of the concurrency.
void hg_live_figures(struct hg_live *live, const char *json);
// NULL: all is well. The text must live until the next call.
void hg_live_trouble(struct hg_live *live, const char *text);
// Draws when there is something new, at most ten times a second. False: the user has pressed q, or the terminal is
// gone.
bool hg_live_turn(struct hg_live *live, int64_t monotonic_us);
// Gives the terminal back and leaves the last figures on it, for whoever scrolls back.
void hg_live_leave_behind(struct hg_live *live);

#endif
