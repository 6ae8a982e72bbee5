// headgate watch, once it is connected: the loop, what is shown, and what was missed and is asked for.
#include "cli/watch.h"

#include "cli/catch_up.h"
#include "cli/cli.h"
#include "cli/event_line.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURN_US 250000   // how soon a signal or a reader that went away is noticed at the latest
#define SILENCE_TURNS 12 // in which nothing came; a time would count that we were stopped. The event bus beats at each
#define FRAMES_A_TURN 1000
#define STATUS_EVERY_US 1000000
#define STATUS_WITHIN_US 5000000 // else the connection is lost

// Signal handlers can reach nothing else.
static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

void hg_watch_catch_signals(void) {
  struct sigaction action = {.sa_handler = interrupt};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
  sigaction(SIGQUIT, &action, NULL);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, NULL);
}

__attribute__((format(printf, 2, 3))) static void tell(const struct hg_watch *watch, const char *format, ...) {
  char text[HG_PATH_MAX + 256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (watch->screen) hg_live_note(watch->screen, text);
  else fprintf(stderr, "headgate watch: %s\n", text);
}

static void hear(struct hg_watch *watch) {
  if (!watch->live) tell(watch, "following %s", watch->endpoint);
  else if (watch->silence_told) tell(watch, "events are heard again");
  watch->live = true;
  watch->silence_told = false;
}

static void show(void *self, const uint8_t *frame, size_t size, const struct hg_event_envelope *event) {
  struct hg_watch *watch = self;
  char json[2 * HG_OUTSIDE_FRAME_MAX], line[HG_EVENT_LINE_MAX];
  const struct hg_kind_info *info = hg_kind_by_name(event->type);
  const bool known = info && info->is_event; // events of a newer version are printed all the same
  if (known ? !watch->wanted[(unsigned)info->kind - HG_EVENT_FIRST] : watch->by_topic) return;
  if (watch->screen) hg_live_event(watch->screen, frame, size);
  if ((watch->screen && watch->can_ask) || !hg_outside_to_json(frame, size, json, sizeof json)) return;
  if (watch->screen) hg_live_figures(watch->screen, json);
  else if (watch->json) puts(json);
  else if (hg_event_line(json, &watch->unit, line, sizeof line)) puts(line);
}

static void say_no_event(const struct hg_watch *watch) {
  tell(watch, "passed over a frame that is not an event");
}

static bool is_kind(const struct hg_event_envelope *event, enum hg_kind kind) {
  return hg_text_equal(event->type, hg_text_of(hg_kind_info(kind)->name));
}

// ------------------------------------------------------------------------------------------------ asking the runtime

static void open_control(struct hg_watch *watch, hg_error *why) {
  if (watch->is_open) return;
  const hg_err err = watch->found ? hg_control_open(&watch->control, &watch->site, why)
                                  : hg_control_connect(&watch->control, watch->control_endpoint, &watch->keys, why);
  watch->control.interrupted = &interrupted;
  watch->is_open = err == HG_OK;
}

static void close_control(struct hg_watch *watch) {
  if (watch->is_open) hg_control_close(&watch->control);
  watch->is_open = watch->is_status_asked = false;
}

static void repair(struct hg_watch *watch) {
  hg_error why = HG_ERROR_INIT;
  if (watch->gaps.state == HG_GAPS_ASKING) watch->is_status_asked = false; // its answer may be passed over
  while (watch->gaps.state == HG_GAPS_ASKING && !interrupted && !ferror(stdout)) {
    open_control(watch, &why);
    if (!watch->is_open) hg_gaps_refuse(&watch->gaps, why.code, why.text);
    else if (!hg_catch_up(&watch->control, &watch->gaps, show, watch)) close_control(watch);
    if (watch->screen && !hg_live_turn(watch->screen, hg_clock_now().monotonic_us)) interrupted = 1;
  }
  if (watch->gaps.state == HG_GAPS_BEHIND && !watch->trouble_told && !interrupted)
    tell(watch, "events behind row %llu were missed and can't be asked for yet: %s",
         (unsigned long long)watch->gaps.after, watch->gaps.why.text);
  watch->trouble_told = watch->gaps.state == HG_GAPS_BEHIND;
  if (watch->gaps.oldest) tell(watch, "rows before %llu are no longer kept", (unsigned long long)watch->gaps.oldest);
  watch->gaps.oldest = 0;
}

static void repair_frame(struct hg_watch *watch, const uint8_t *frame, size_t size) {
  struct hg_event_envelope event;
  const hg_err err = hg_gaps_hear(&watch->gaps, hg_clock_now().utc_us, frame, size, &event);
  if (err == HG_ERR_PROTOCOL) {
    say_no_event(watch);
    return;
  }
  watch->ended = watch->found && is_kind(&event, HG_RUNTIME_STOPPED);
  if (watch->gaps.state != HG_GAPS_SILENT) hear(watch);
  if (err == HG_OK) show(watch, frame, size, &event);
  while (hg_gaps_next(&watch->gaps, &frame, &size, &event))
    show(watch, frame, size, &event);
  repair(watch);
}

// ------------------------------------------------------------------------------------------------ asking nobody

static void tell_missed(void *self, enum hg_kind topic, uint64_t after, uint64_t upto) {
  tell(self, "missed events of %s after seq %llu, up to seq %llu", hg_kind_info(topic)->name, (unsigned long long)after,
       (unsigned long long)upto);
}

static void tell_frame(struct hg_watch *watch, const uint8_t *frame, size_t size) {
  struct hg_event_envelope event;
  struct hg_beat beat;
  if (hg_outside_read_envelope(frame, size, &event) != HG_OK) {
    say_no_event(watch);
    return;
  }
  hear(watch);
  if (hg_outside_read_beat(frame, size, &beat) == HG_OK)
    hg_missed_beat(&watch->missed, &event, &beat, watch->wanted, tell_missed, watch);
  else hg_missed_event(&watch->missed, &event, tell_missed, watch);
  show(watch, frame, size, &event);
}

// ------------------------------------------------------------------------------------------------ both

static void take(struct hg_watch *watch, const uint8_t *frame, size_t size) {
  struct hg_beat beat;
  if (watch->screen && hg_outside_read_beat(frame, size, &beat) == HG_OK) watch->degraded = beat.degraded;
  watch->silent_turns = 0;
  if (watch->can_ask) repair_frame(watch, frame, size);
  else tell_frame(watch, frame, size);
}

// What waits, up to a bound: there is more to do in a turn.
static hg_err drain(struct hg_watch *watch) {
  for (int taken = 0; taken < FRAMES_A_TURN; taken++) {
    struct hg_received received;
    hg_peer peer;
    const hg_err err = hg_link_receive(&watch->link, &peer, &received);
    if (err == HG_ERR_PROTOCOL) continue; // not two frames: no event
    if (err != HG_OK) return err == HG_ERR_EMPTY ? HG_OK : err;
    size_t size;
    const uint8_t *data = hg_received_data(&received, &size);
    take(watch, data, size);
    hg_received_close(&received);
    if (interrupted || ferror(stdout) || watch->ended) return HG_OK;
  }
  return HG_OK;
}

// ------------------------------------------------------------------------------------------------ the loop

static void notice_silence(struct hg_watch *watch) {
  if (watch->silence_told || ++watch->silent_turns < SILENCE_TURNS) return;
  tell(watch, "nothing is heard on %s; waiting", watch->endpoint);
  watch->silence_told = true;
}

// Nobody reads what we print any more.
static bool reader_is_gone(void) {
  struct pollfd out = {.fd = STDOUT_FILENO, .events = 0};
  return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

// What it did not read is no loss.
static int end_quietly(void) {
  __fpurge(stdout);
  clearerr(stdout);
  return HG_EXIT_DONE;
}

// ------------------------------------------------------------------------------------------------ the screen

static void take_status(struct hg_watch *watch, int64_t now) {
  struct hg_message answer;
  const hg_err err = hg_control_receive(&watch->control, now, &answer);
  if (err == HG_ERR_TIMEOUT && now - watch->status_at < STATUS_WITHIN_US) return;
  watch->is_status_asked = false;
  if (err != HG_OK) close_control(watch);
  else if (answer.kind == HG_STATUS_REPORT) hg_live_report(watch->screen, &answer.as.status_report);
}

// A question a second, whose answer is not waited for.
static void follow_status(struct hg_watch *watch, int64_t now) {
  hg_error why = HG_ERROR_INIT;
  struct hg_message question;
  if (watch->is_status_asked) take_status(watch, now);
  if (watch->is_status_asked || now - watch->status_at < STATUS_EVERY_US) return;
  watch->status_at = now;
  open_control(watch, &why);
  if (!watch->is_open) return;
  hg_message_init(&question, HG_STATUS);
  watch->is_status_asked = hg_control_send(&watch->control, &question) == HG_OK;
  if (!watch->is_status_asked) close_control(watch);
}

static const char *trouble_of(const struct hg_watch *watch) {
  if (!watch->live) return "nothing is heard yet";
  if (watch->silence_told) return "nothing is heard of the runtime: these figures are old";
  if (watch->degraded) return "the ledger can't be written: nothing is acknowledged until it can";
  if (watch->gaps.state == HG_GAPS_BEHIND) return "events were missed, and can't be asked for yet";
  return NULL;
}

static bool draw(struct hg_watch *watch) {
  const int64_t now = hg_clock_now().monotonic_us;
  if (!watch->screen) return true;
  if (watch->can_ask) follow_status(watch, now);
  hg_live_trouble(watch->screen, trouble_of(watch));
  return hg_live_turn(watch->screen, now);
}

bool hg_watch_open_screen(struct hg_watch *watch) {
  const char *terminal = getenv("TERM");
  if (watch->json || watch->plain || !isatty(STDOUT_FILENO) || (terminal && strcmp(terminal, "dumb") == 0)) return true;
  watch->screen = hg_live_open(watch->found ? watch->site.config->ledger_path : watch->endpoint);
  if (watch->screen && watch->found && !watch->site.from_ledger)
    watch->screen->screen.usage.throttle_percent = watch->site.config->throttle_percent;
  return watch->screen != NULL;
}

// ------------------------------------------------------------------------------------------------ turns

static int say(int code, const char *text) {
  fprintf(stderr, "headgate watch: %s\n", text);
  return code;
}

static int end_with_runtime(struct hg_watch *watch) {
  if (watch->screen) hg_live_leave_behind(watch->screen);
  hg_live_close(&watch->screen);
  if (watch->gaps.state == HG_GAPS_BEHIND)
    tell(watch, "the end was not heard: watch its next life with --from %llu",
         (unsigned long long)watch->gaps.after + 1);
  tell(watch, "the runtime has ended");
  return HG_EXIT_DONE;
}

static int follow(struct hg_watch *watch) {
  while (!interrupted) {
    uint32_t readable;
    hg_err err = hg_links_wait(&watch->link, 1, 1, TURN_US, &readable);
    if (err == HG_OK) err = drain(watch);
    if (err != HG_OK) return say(HG_EXIT_FAILED, hg_err_text(err));
    errno = 0;
    const bool failed = fflush(stdout) != 0 || ferror(stdout);
    if ((failed && errno == EPIPE) || reader_is_gone()) return end_quietly();
    if (failed) return HG_EXIT_FAILED; // which is told at the end
    if (watch->ended) return end_with_runtime(watch);
    if (!readable) notice_silence(watch);
    if (!draw(watch)) return HG_EXIT_DONE;
  }
  return HG_EXIT_DONE;
}

// Who can't ask hears it with the next RUNTIME_STARTED.
static void learn_unit(struct hg_watch *watch) {
  hg_error why = HG_ERROR_INIT;
  if (watch->json || !watch->can_ask) return;
  open_control(watch, &why);
  const int64_t soon = hg_clock_now().monotonic_us + HG_CONTROL_PATIENCE_MS * INT64_C(1000);
  if (watch->is_open && hg_control_unit(&watch->control, soon, &watch->unit, &why) != HG_OK) close_control(watch);
  if (watch->screen) watch->screen->screen.usage.unit = watch->unit;
}

int hg_watch_follow(struct hg_watch *watch) {
  learn_unit(watch);
  const int code = follow(watch);
  hg_live_close(&watch->screen);
  close_control(watch);
  return code;
}
