// headgate watch: follows the events of a runtime, has told again what it missed, says on stderr what it does not hear,
// and ends quietly.
#include "cli/cli.h"

#include "bus/frames.h"
#include "bus/keys.h"
#include "cli/catch_up.h"
#include "cli/control.h"
#include "cli/event_line.h"
#include "cli/live.h"
#include "cli/options.h"
#include "config/suggest.h"

#include <errno.h>
#include <getopt.h>
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
#define FIND_WITHIN_US 2000000
#define TOPIC_TEXT 64

static const char usage[] =
    "usage: headgate watch [ENDPOINT | --config FILE | --ledger FILE] [--topics A,B] [--from SEQ]\n"
    "                      [--json | --plain] [--server-key KEY --key FILE]\n"
    "Follows the events of a runtime until Ctrl-C, or until the runtime that was found ends: on a live\n"
    "screen at a terminal (q leaves it), else a line an event.\n"
    "  ENDPOINT        ipc://PATH or tcp://HOST:PORT; followed over restarts\n"
    "  --config FILE   finds the runtime (default: " HG_CLI_CONFIG_FILE ")\n"
    "  --ledger FILE   finds a run that was started with --limit\n"
    "  --topics A,B    these events only (headgate describe --markdown names them)\n"
    "  --from SEQ      begins with this row of the journal (1: the first); not with an ENDPOINT\n"
    "  --json          one line of JSON an event\n"
    "  --plain         one line for people an event, also at a terminal\n"
    "  --server-key KEY, --key FILE   for an ENDPOINT with keys: the public key of the runtime, and your secret key\n"
    "                  (headgate keygen)\n";

// Signal handlers can reach nothing else.
static volatile sig_atomic_t interrupted;

struct watch {
  char endpoint[HG_PATH_MAX + 8];
  bool found;                // through a configuration or a ledger: repairs its gaps, and ends with the runtime
  struct hg_site site;       // when found
  struct hg_control control; // when found: asked for what was missed
  bool is_open;              // control
  bool trouble_told;         // that what was missed can't be asked for
  bool json, plain;          // a line of JSON an event; a line for people
  struct hg_live *screen;    // NULL: lines
  bool is_status_asked, degraded;
  int64_t status_at;                 // monotonic; asked
  const char *server_key, *key_file; // CURVE; NULL: without
  bool wanted[HG_EVENT_KINDS];       // to print
  bool by_topic;                     // not all
  uint64_t from;                     // 0: from now on
  struct hg_gaps gaps;               // when found
  struct hg_link link;
  unsigned silent_turns; // since anything was heard
  bool live, silence_told;
  char ledger_id[64];            // of the runtime heard last
  uint64_t last[HG_EVENT_KINDS]; // newest seq of each topic; when not found
  bool ended;                    // the runtime said that it stops
};

static void interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

static void catch_signals(void) {
  struct sigaction action = {.sa_handler = interrupt};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
  sigaction(SIGQUIT, &action, NULL);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, NULL);
}

__attribute__((format(printf, 2, 3))) static void tell(const struct watch *watch, const char *format, ...) {
  char text[HG_PATH_MAX + 256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (watch->screen) hg_live_note(watch->screen, text);
  else fprintf(stderr, "headgate watch: %s\n", text);
}

static void hear(struct watch *watch) {
  if (!watch->live) tell(watch, "following %s", watch->endpoint);
  else if (watch->silence_told) tell(watch, "events are heard again");
  watch->live = true;
  watch->silence_told = false;
}

static void show(void *self, const uint8_t *frame, size_t size, const struct hg_event_envelope *event) {
  const struct watch *watch = self;
  char json[2 * HG_OUTSIDE_FRAME_MAX], line[HG_EVENT_LINE_MAX];
  const struct hg_kind_info *info = hg_kind_by_name(event->type);
  const bool known = info && info->is_event; // events of a newer version are printed all the same
  if (known ? !watch->wanted[(unsigned)info->kind - HG_EVENT_FIRST] : watch->by_topic) return;
  if (watch->screen) hg_live_event(watch->screen, frame, size);
  if ((watch->screen && watch->found) || !hg_outside_to_json(frame, size, json, sizeof json)) return;
  if (watch->screen) hg_live_figures(watch->screen, json);
  else if (watch->json) puts(json);
  else if (hg_event_line(json, line, sizeof line)) puts(line);
}

static void say_no_event(const struct watch *watch) {
  tell(watch, "passed over a frame that is not an event");
}

static bool is_kind(const struct hg_event_envelope *event, enum hg_kind kind) {
  return hg_text_equal(event->type, hg_text_of(hg_kind_info(kind)->name));
}

// ------------------------------------------------------------------------------------------------ a runtime found

static void close_control(struct watch *watch) {
  if (watch->is_open) hg_control_close(&watch->control);
  watch->is_open = watch->is_status_asked = false;
}

static void repair(struct watch *watch) {
  hg_error why = HG_ERROR_INIT;
  if (watch->gaps.state == HG_GAPS_ASKING) watch->is_status_asked = false; // its answer may be passed over
  while (watch->gaps.state == HG_GAPS_ASKING && !interrupted && !ferror(stdout)) {
    if (!watch->is_open) watch->is_open = hg_control_open(&watch->control, &watch->site, &why) == HG_OK;
    if (!watch->is_open) {
      hg_gaps_refuse(&watch->gaps, why.code, why.text);
    } else if (!hg_catch_up(&watch->control, &watch->gaps, show, watch)) {
      close_control(watch);
    }
    if (watch->screen && !hg_live_turn(watch->screen, hg_clock_now().monotonic_us)) interrupted = 1;
  }
  if (watch->gaps.state == HG_GAPS_BEHIND && !watch->trouble_told)
    tell(watch, "events behind row %llu were missed and can't be asked for yet: %s",
         (unsigned long long)watch->gaps.after, watch->gaps.why.text);
  watch->trouble_told = watch->gaps.state == HG_GAPS_BEHIND;
  if (watch->gaps.oldest) tell(watch, "rows before %llu are no longer kept", (unsigned long long)watch->gaps.oldest);
  watch->gaps.oldest = 0;
}

static void follow_frame(struct watch *watch, const uint8_t *frame, size_t size) {
  struct hg_event_envelope event;
  const hg_err err = hg_gaps_hear(&watch->gaps, hg_clock_now().utc_us, frame, size, &event);
  if (err == HG_ERR_PROTOCOL) {
    say_no_event(watch);
    return;
  }
  if (is_kind(&event, HG_RUNTIME_STOPPED)) watch->ended = true;
  if (watch->gaps.state != HG_GAPS_SILENT) hear(watch);
  if (err == HG_OK) show(watch, frame, size, &event);
  while (hg_gaps_next(&watch->gaps, &frame, &size, &event))
    show(watch, frame, size, &event);
  repair(watch);
}

static int end_with_runtime(struct watch *watch) {
  if (watch->screen) hg_live_leave_behind(watch->screen);
  hg_live_close(&watch->screen);
  if (watch->gaps.state == HG_GAPS_BEHIND)
    tell(watch, "the end was not heard: watch its next life with --from %llu",
         (unsigned long long)watch->gaps.after + 1);
  tell(watch, "the runtime has ended");
  return HG_EXIT_DONE;
}

// ------------------------------------------------------------------------------------------------ an endpoint

static void tell_missed(const struct watch *watch, unsigned topic, uint64_t upto) {
  const struct hg_kind_info *info = hg_kind_info((enum hg_kind)(HG_EVENT_FIRST + topic));
  tell(watch, "missed events of %s after seq %llu, up to seq %llu", info->name, (unsigned long long)watch->last[topic],
       (unsigned long long)upto);
}

// Numbers of another ledger say nothing about this one.
static void note_ledger(struct watch *watch, struct hg_text ledger_id) {
  if (hg_text_equal(ledger_id, hg_text_of(watch->ledger_id))) return;
  hg_text_copy(watch->ledger_id, sizeof watch->ledger_id, ledger_id);
  memset(watch->last, 0, sizeof watch->last);
}

// Tells when the last event of the topic that was seen is not the one before this one.
static void check_event(struct watch *watch, const struct hg_event_envelope *event) {
  const struct hg_kind_info *info = hg_kind_by_name(event->type);
  if (!event->seq || !info || !info->is_event) return;
  const unsigned topic = (unsigned)info->kind - HG_EVENT_FIRST;
  note_ledger(watch, event->ledger_id);
  if (watch->last[topic] && event->prev > watch->last[topic]) tell_missed(watch, topic, event->prev);
  watch->last[topic] = event->seq;
}

static void check_beat(struct watch *watch, const struct hg_event_envelope *event, const struct hg_beat *beat) {
  note_ledger(watch, event->ledger_id);
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++) {
    if (watch->wanted[i] && watch->last[i] && beat->topic_newest[i] > watch->last[i])
      tell_missed(watch, i, beat->topic_newest[i]);
    if (beat->topic_newest[i] > watch->last[i]) watch->last[i] = beat->topic_newest[i];
  }
}

static void take_frame(struct watch *watch, const uint8_t *frame, size_t size) {
  struct hg_event_envelope event;
  struct hg_beat beat;
  if (hg_outside_read_envelope(frame, size, &event) != HG_OK) {
    say_no_event(watch);
    return;
  }
  hear(watch);
  if (hg_outside_read_beat(frame, size, &beat) == HG_OK) check_beat(watch, &event, &beat);
  else check_event(watch, &event);
  show(watch, frame, size, &event);
}

// ------------------------------------------------------------------------------------------------ both

static void take(struct watch *watch, const uint8_t *frame, size_t size) {
  struct hg_beat beat;
  if (watch->screen && hg_outside_read_beat(frame, size, &beat) == HG_OK) watch->degraded = beat.degraded;
  watch->silent_turns = 0;
  if (watch->found) follow_frame(watch, frame, size);
  else take_frame(watch, frame, size);
}

// What waits, up to a bound: there is more to do in a turn.
static hg_err drain(struct watch *watch) {
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

static void notice_silence(struct watch *watch) {
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

static void take_status(struct watch *watch, int64_t now) {
  struct hg_message answer;
  const hg_err err = hg_control_receive(&watch->control, now, &answer);
  if (err == HG_ERR_TIMEOUT && now - watch->status_at < STATUS_WITHIN_US) return;
  watch->is_status_asked = false;
  if (err != HG_OK) close_control(watch);
  else if (answer.kind == HG_STATUS_REPORT) hg_live_report(watch->screen, &answer.as.status_report);
}

// A question a second, whose answer is not waited for.
static void follow_status(struct watch *watch, int64_t now) {
  hg_error why = HG_ERROR_INIT;
  struct hg_message question;
  if (watch->is_status_asked) take_status(watch, now);
  if (watch->is_status_asked || now - watch->status_at < STATUS_EVERY_US) return;
  watch->status_at = now;
  if (!watch->is_open) watch->is_open = hg_control_open(&watch->control, &watch->site, &why) == HG_OK;
  if (!watch->is_open) return;
  hg_message_init(&question, HG_STATUS);
  watch->is_status_asked = hg_control_send(&watch->control, &question) == HG_OK;
  if (!watch->is_status_asked) close_control(watch);
}

static const char *trouble_of(const struct watch *watch) {
  if (!watch->live) return "nothing is heard yet";
  if (watch->silence_told) return "nothing is heard of the runtime: these figures are old";
  if (watch->degraded) return "the ledger can't be written: nothing is acknowledged until it can";
  if (watch->gaps.state == HG_GAPS_BEHIND) return "events were missed, and can't be asked for yet";
  return NULL;
}

static bool draw(struct watch *watch) {
  const int64_t now = hg_clock_now().monotonic_us;
  if (!watch->screen) return true;
  if (watch->found) follow_status(watch, now);
  hg_live_trouble(watch->screen, trouble_of(watch));
  return hg_live_turn(watch->screen, now);
}

static bool open_screen(struct watch *watch) {
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

static int follow(struct watch *watch) {
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

// ------------------------------------------------------------------------------------------------ connecting

static hg_err subscribe(struct watch *watch) {
  if (!watch->by_topic) return hg_link_subscribe(&watch->link, "");
  hg_err err = HG_OK;
  for (unsigned i = 0; err == HG_OK && i < HG_EVENT_KINDS; i++) {
    const enum hg_kind kind = (enum hg_kind)(HG_EVENT_FIRST + i);
    const struct hg_kind_info *info = hg_kind_info(kind);
    // The beat proves that the subscription is live.
    if (info && (watch->wanted[i] || kind == HG_HEARTBEAT || kind == HG_RUNTIME_STOPPED))
      err = hg_link_subscribe(&watch->link, info->name);
  }
  return err;
}

static hg_err use_keys(struct watch *watch, hg_error *why) {
  char secret_key[HG_KEY_TEXT], public_key[HG_KEY_TEXT];
  if (!watch->key_file) return HG_OK;
  hg_err err = hg_keys_read_secret(watch->key_file, secret_key, why);
  if (err == HG_OK) err = hg_keys_public(secret_key, public_key, why);
  if (err == HG_OK) err = hg_link_use_curve(&watch->link, watch->server_key, public_key, secret_key);
  explicit_bzero(secret_key, sizeof secret_key);
  return err;
}

static int run(struct watch *watch) {
  void *context = NULL;
  const struct hg_link_limits limits = {HG_EVENTS_HWM, HG_EVENTS_HWM, HG_OUTSIDE_FRAME_MAX};
  int code = HG_EXIT_USAGE;
  catch_signals();
  hg_err err = hg_context_new(&context);
  if (err == HG_OK) err = hg_link_open(context, HG_SUB, limits, &watch->link);
  hg_error why = HG_ERROR_INIT;
  if (err == HG_OK) err = subscribe(watch);
  if (err == HG_OK) err = use_keys(watch, &why);
  if (why.text[0]) code = hg_cli_exit("watch", &why);
  else if (err == HG_OK && (err = hg_link_connect(&watch->link, watch->endpoint)) == HG_OK)
    code = open_screen(watch) ? follow(watch) : say(HG_EXIT_FAILED, hg_err_text(HG_ERR_NO_MEMORY));
  else fprintf(stderr, "headgate watch: cannot connect to \"%s\": %s\n", watch->endpoint, hg_err_text(err));
  hg_link_close(&watch->link);
  hg_live_close(&watch->screen);
  close_control(watch);
  if (context) hg_context_destroy(context);
  return code;
}

static hg_err find(struct watch *watch, const char *config, const char *ledger, hg_error *why) {
  struct hg_holder holder;
  hg_err err = hg_site_open(config, ledger, &watch->site, why);
  if (err != HG_OK) return err;
  // A runtime that is just starting has not said yet where it publishes.
  const int64_t deadline = hg_clock_now().monotonic_us + FIND_WITHIN_US;
  while ((err = hg_ledger_holder(&watch->site.places, &holder)) == HG_ERR_BUSY &&
         hg_clock_now().monotonic_us < deadline)
    poll(NULL, 0, TURN_US / 10000);
  if (err == HG_OK) snprintf(watch->endpoint, sizeof watch->endpoint, "%s", holder.events);
  else hg_fail(why, HG_ERR_NO_RUNTIME, "no runtime is living on \"%s\"", watch->site.config->ledger_path);
  watch->found = true;
  return err == HG_OK ? HG_OK : HG_ERR_NO_RUNTIME;
}

// ------------------------------------------------------------------------------------------------ flags

static hg_err refuse_topic(struct hg_text name, hg_error *why) {
  const char *names[HG_EVENT_KINDS];
  char text[TOPIC_TEXT];
  size_t count = 0;
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++)
    if (hg_kind_info(HG_EVENT_FIRST + i)) names[count++] = hg_kind_info(HG_EVENT_FIRST + i)->name;
  hg_text_copy(text, sizeof text, name);
  const char *nearest = hg_suggest(text, names, count);
  return hg_fail(why, HG_ERR_INVALID, "--topics: there is no event \"%s\"%s%s%s", text,
                 nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

// NULL: all but the beat.
static hg_err want(struct watch *watch, const char *topics, hg_error *why) {
  watch->by_topic = topics != NULL;
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++)
    watch->wanted[i] = !topics && HG_EVENT_FIRST + i != HG_HEARTBEAT;
  while (topics) {
    const size_t size = strcspn(topics, ",");
    const struct hg_text name = {topics, (uint32_t)size};
    const struct hg_kind_info *info = hg_kind_by_name(name);
    if (!info || !info->is_event) return refuse_topic(name, why);
    watch->wanted[(unsigned)info->kind - HG_EVENT_FIRST] = true;
    topics = topics[size] ? topics + size + 1 : NULL;
  }
  return HG_OK;
}

static hg_err locate(struct watch *watch, const char *endpoint, const char *config, const char *ledger, hg_error *why) {
  if ((!watch->server_key) != (!watch->key_file) || (watch->key_file && !endpoint))
    return hg_fail(why, HG_ERR_INVALID, "--server-key and --key belong together, and to an ENDPOINT");
  if (watch->server_key && !hg_keys_valid(watch->server_key))
    return hg_fail(why, HG_ERR_INVALID, "--server-key takes the 40 characters of a public key, in quotes");
  if (!endpoint) return find(watch, config, ledger, why);
  if (watch->from)
    return hg_fail(why, HG_ERR_INVALID, "--from asks the runtime itself: name its --config or --ledger, no endpoint");
  if (config || ledger) return hg_fail(why, HG_ERR_INVALID, "give an endpoint or a file that leads to one, not both");
  if (strncmp(endpoint, "ipc://", 6) != 0 && strncmp(endpoint, "tcp://", 6) != 0)
    return hg_fail(why, HG_ERR_INVALID, "\"%.100s\" is not an endpoint: ipc://PATH or tcp://HOST:PORT", endpoint);
  if (strlen(endpoint) >= sizeof watch->endpoint) return hg_fail(why, HG_ERR_INVALID, "the endpoint is too long");
  memcpy(watch->endpoint, endpoint, strlen(endpoint) + 1);
  return HG_OK;
}

int hg_cli_watch(int argc, char **argv) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"ledger", required_argument, NULL, 'l'},
                                          {"topics", required_argument, NULL, 't'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"plain", no_argument, NULL, 'p'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"server-key", required_argument, NULL, 's'},
                                          {"key", required_argument, NULL, 'k'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  const char *config = NULL, *ledger = NULL, *topics = NULL, *from = NULL;
  bool json = false, plain = false;
  const char *server_key = NULL, *key_file = NULL;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'c') config = optarg;
    else if (option == 'l') ledger = optarg;
    else if (option == 't') topics = optarg;
    else if (option == 'j') json = true;
    else if (option == 'p') plain = true;
    else if (option == 'f') from = optarg;
    else if (option == 's') server_key = optarg;
    else if (option == 'k') key_file = optarg;
    else return hg_cli_usage(usage, option == 'h');
  }
  if (argc - optind > 1) {
    (void)say(HG_EXIT_USAGE, "one endpoint at a time");
    return hg_cli_usage(usage, false);
  }
  struct watch watch = {.json = json, .plain = plain, .server_key = server_key, .key_file = key_file};
  hg_error why = HG_ERROR_INIT;
  unsigned long first = 0;
  if (from && !hg_cli_parse_whole(from, 1, INT64_MAX, &first))
    return say(HG_EXIT_USAGE, "--from takes the number of a row of the journal, from 1 on");
  watch.from = first;
  hg_err err = want(&watch, topics, &why);
  if (err == HG_OK) err = locate(&watch, optind < argc ? argv[optind] : NULL, config, ledger, &why);
  uint32_t kinds = 0;
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++)
    kinds |= (uint32_t)watch.wanted[i] << i;
  hg_gaps_init(&watch.gaps, watch.by_topic ? kinds : HG_GAPS_ALL, first);
  const int code = err == HG_OK ? run(&watch) : hg_cli_exit("watch", &why);
  hg_gaps_destroy(&watch.gaps);
  hg_site_close(&watch.site);
  return code;
}
