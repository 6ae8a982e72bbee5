// Only plain ANSI sequences.
#include "cli/live.h"

#include "actors/tracker.h"
#include "cli/write_all.h"
#include "base/money.h"

#include <jansson.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_EVERY_US 100000
#define SAMPLE_EVERY_US 1000000
#define SMALLEST_COLUMNS 20
#define ENTER "\x1b[?1049h\x1b[?25l" // the alternate screen, no cursor
#define LEAVE "\x1b[0m\x1b[?25h\x1b[?1049l"

// Signal handlers can reach nothing else.
static volatile sig_atomic_t suspended, resumed;

static void note_signal(int signal_number) {
  if (signal_number == SIGTSTP) suspended = 1;
  else resumed = 1;
}

// ------------------------------------------------------------------------------------------------ the terminal

static void enter(struct hg_live *live) {
  struct termios quiet = live->before;
  quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
  quiet.c_cc[VMIN] = quiet.c_cc[VTIME] = 0; // a read takes what is there
  if (live->has_keys) (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
  (void)hg_write_all(STDOUT_FILENO, ENTER, sizeof ENTER - 1);
  live->is_open = live->changed = true;
}

static void leave(struct hg_live *live) {
  if (!live->is_open) return;
  (void)hg_write_all(STDOUT_FILENO, LEAVE, sizeof LEAVE - 1);
  if (live->has_keys) (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &live->before);
  live->is_open = false;
}

struct hg_live *hg_live_open(const char *title) {
  struct hg_live *live = calloc(1, sizeof *live);
  const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
  if (!live) return NULL;
  setlocale(LC_CTYPE, "");
  live->screen.title = title;
  live->screen.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
  live->screen.colour = !(no_color && no_color[0]) && !(terminal && strcmp(terminal, "dumb") == 0);
  live->screen.usage = (hg_usage)HG_USAGE_INIT;
  live->screen.queue = (hg_queue)HG_QUEUE_INIT;
  live->screen.usage.throttle_percent = 100;
  live->has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &live->before) == 0;
  struct sigaction action = {.sa_handler = note_signal};
  sigemptyset(&action.sa_mask);
  sigaction(SIGTSTP, &action, NULL);
  sigaction(SIGCONT, &action, NULL);
  enter(live);
  return live;
}

void hg_live_close(struct hg_live **live) {
  if (!*live) return;
  leave(*live);
  free(*live);
  *live = NULL;
}

// Gives the terminal back while we are stopped, and takes it again.
static void heed_signals(struct hg_live *live) {
  if (suspended) {
    suspended = 0;
    leave(live);
    raise(SIGSTOP);
    resumed = 1;
  }
  if (resumed) enter(live);
  resumed = 0;
}

static bool wants_to_quit(const struct hg_live *live) {
  char key;
  while (live->has_keys && read(STDIN_FILENO, &key, 1) == 1)
    if (key == 'q' || key == 'Q') return true;
  return false;
}

// ------------------------------------------------------------------------------------------------ what is known

static struct hg_live_event *next_event(struct hg_live *live) {
  live->changed = true;
  return &live->events[live->event_count++ % HG_LIVE_EVENTS];
}

void hg_live_event(struct hg_live *live, const uint8_t *frame, size_t size) {
  struct hg_live_event *event = next_event(live);
  event->size = (uint32_t)(size < sizeof event->frame ? size : sizeof event->frame);
  memcpy(event->frame, frame, event->size);
}

void hg_live_note(struct hg_live *live, const char *text) {
  struct hg_live_event *event = next_event(live);
  event->size = 0;
  snprintf((char *)event->frame, sizeof event->frame, "%s", text);
}

void hg_live_trouble(struct hg_live *live, const char *text) {
  live->changed |= live->screen.trouble != text;
  live->screen.trouble = text;
}

void hg_live_report(struct hg_live *live, const struct hg_status_report_message *report) {
  struct hg_screen *screen = &live->screen;
  screen->has_usage = screen->has_queue = live->changed = true;
  screen->seq = report->seq;
  (void)hg_unit_of_name(report->unit.data, report->unit.size, &screen->usage.unit);
  screen->usage.used = report->used;
  screen->usage.reserved = report->reserved;
  screen->usage.hard_limit = report->hard_limit;
  screen->usage.available = report->available;
  screen->usage.remaining = report->remaining;
  screen->usage.throttled = report->throttled;
  screen->usage.threshold_in_ms = report->threshold_in_ms;
  screen->usage.limit_in_ms = report->limit_in_ms;
  screen->usage.task_tokens = report->task_tokens;
  screen->usage.usage_percent_hundredths = report->usage_percent;
  screen->queue.max_concurrency = report->max_concurrency;
  screen->queue.effective_concurrency = report->effective_concurrency;
  screen->queue.running = report->running;
  screen->queue.waiting = report->waiting;
  screen->queue.throttled = report->waits_for_throttle;
  hg_text_copy(screen->queue.waits_for, sizeof screen->queue.waits_for, report->waits_for);
}

static bool read_number(const json_t *payload, const char *name, int64_t *out) {
  const json_t *value = json_object_get(payload, name);
  if (json_is_integer(value)) *out = json_integer_value(value);
  return json_is_integer(value);
}

void hg_live_figures(struct hg_live *live, const char *json) {
  json_t *event = json_loads(json, 0, NULL);
  const json_t *payload = json_object_get(event, "payload");
  const char *budget = json_string_value(json_object_get(event, "budget"));
  struct hg_screen *screen = &live->screen;
  hg_usage *usage = &screen->usage;
  int64_t seq, from, to;
  if (budget && strcmp(budget, "default") == 0 && read_number(payload, "limit", &usage->hard_limit) &&
      read_number(payload, "used", &usage->used) && read_number(payload, "reserved", &usage->reserved)) {
    usage->available = usage->hard_limit - usage->used - usage->reserved;
    usage->remaining = usage->hard_limit - usage->used;
    usage->usage_percent_hundredths = hg_usage_percent(usage->used, usage->hard_limit);
    screen->has_usage = true;
  }
  if (read_number(event, "seq", &seq)) screen->seq = (uint64_t)seq;
  if (read_number(payload, "from", &from) && read_number(payload, "to", &to) && from >= 0 && to >= 0 &&
      from <= HG_CONCURRENCY_MAX && to <= HG_CONCURRENCY_MAX) {
    screen->queue.effective_concurrency = (uint32_t)to;
    screen->queue.max_concurrency = (uint32_t)(from > to ? from : to);
  }
  json_decref(event);
}

static void take_sample(struct hg_live *live, int64_t now) {
  struct hg_screen *screen = &live->screen;
  if (now - live->sampled_at < SAMPLE_EVERY_US) return;
  live->sampled_at = now;
  live->changed = true;
  const bool known = screen->queue.max_concurrency && !screen->trouble;
  screen->samples[screen->sample_count++ % HG_SCREEN_SECONDS] =
      known ? screen->queue.effective_concurrency : HG_SCREEN_UNKNOWN;
}

// ------------------------------------------------------------------------------------------------ drawing

static void write_line(struct hg_live *live, const struct hg_live_event *event, char out[HG_EVENT_LINE_MAX]) {
  char json[2 * HG_OUTSIDE_FRAME_MAX];
  out[0] = '\0';
  if (event->size == 0) snprintf(out, HG_EVENT_LINE_MAX, "-- %.1000s", (const char *)event->frame);
  else if (hg_outside_to_json(event->frame, event->size, json, sizeof json))
    (void)hg_event_line(json, &live->screen.usage.unit, out, HG_EVENT_LINE_MAX);
}

static size_t write_lines(struct hg_live *live, unsigned room, const char *lines[HG_LIVE_EVENTS]) {
  const uint64_t kept = live->event_count < HG_LIVE_EVENTS ? live->event_count : HG_LIVE_EVENTS;
  const uint64_t shown = kept < room ? kept : room;
  for (uint64_t i = 0; i < shown; i++) {
    write_line(live, &live->events[(live->event_count - shown + i) % HG_LIVE_EVENTS], live->lines[i]);
    lines[i] = live->lines[i];
  }
  return shown;
}

// Each row anew, in one write: what stood there need not be known.
static bool draw(struct hg_live *live) {
  const char *lines[HG_LIVE_EVENTS];
  struct hg_text_line picture = {live->picture, 0, sizeof live->picture};
  live->screen.lines = lines;
  live->screen.line_count = write_lines(live, hg_screen_event_rows(live->rows), lines);
  hg_screen_draw(&live->screen, live->columns, live->rows, &picture);
  live->screen.lines = NULL;
  live->screen.line_count = 0;
  struct hg_text_line sent = {live->sent, 0, sizeof live->sent};
  hg_text_line_add(&sent, "\x1b[H");
  for (const char *at = live->picture; *at;) {
    const size_t size = strcspn(at, "\n");
    hg_text_line_add(&sent, "\x1b[2K%.*s%s", (int)size, at, at[size] ? "\r\n" : "");
    at += size + (at[size] != '\0');
  }
  return hg_write_all(STDOUT_FILENO, live->sent, sent.len);
}

static void look_at_size(struct hg_live *live) {
  struct winsize size;
  unsigned columns = 80, rows = 24;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
    columns = size.ws_col;
    rows = size.ws_row;
  }
  if (columns < SMALLEST_COLUMNS) columns = SMALLEST_COLUMNS;
  live->changed |= columns != live->columns || rows != live->rows;
  live->columns = columns;
  live->rows = rows;
}

bool hg_live_turn(struct hg_live *live, int64_t monotonic_us) {
  heed_signals(live);
  if (wants_to_quit(live)) return false;
  look_at_size(live);
  take_sample(live, monotonic_us);
  if (!live->changed || monotonic_us - live->drawn_at < DRAW_EVERY_US) return true;
  live->changed = false;
  live->drawn_at = monotonic_us;
  return draw(live);
}

void hg_live_leave_behind(struct hg_live *live) {
  struct hg_text_line picture = {live->picture, 0, sizeof live->picture};
  leave(live);
  hg_screen_draw(&live->screen, live->columns ? live->columns : 80, 4, &picture);
  (void)(hg_write_all(STDOUT_FILENO, live->picture, picture.len) && hg_write_all(STDOUT_FILENO, "\n", 1));
}
