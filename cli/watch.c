// headgate watch: follows the events of a runtime, has told again what it missed, says on stderr what it does not hear,
// and ends quietly.
#include "cli/watch.h"

#include "bus/frames.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "config/suggest.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define LOOK_EVERY_MS 25
#define FIND_WITHIN_US 2000000
#define TOPIC_TEXT 64

static const char usage[] =
    "usage: headgate watch [ENDPOINT | --config FILE | --ledger FILE] [--topics A,B] [--from SEQ]\n"
    "                      [--json | --plain] [--control ENDPOINT] [--server-key KEY --key FILE]\n"
    "Follows the events of a runtime until Ctrl-C, or until the runtime that was found ends: on a live\n"
    "screen at a terminal (q leaves it), else a line an event.\n"
    "  ENDPOINT        where the events are: ipc://PATH or tcp://HOST:PORT; followed over restarts\n"
    "  --config FILE   finds the runtime (default: " HG_CLI_CONFIG_FILE ")\n"
    "  --ledger FILE   finds a run that was started with --limit\n"
    "  --topics A,B    these events only (headgate describe --markdown names them)\n"
    "  --from SEQ      begins with this row of the journal (1: the first)\n"
    "  --json          one line of JSON an event\n"
    "  --plain         one line for people an event, also at a terminal\n"
    "  --control ENDPOINT             beside an ENDPOINT: where that runtime takes commands. It is asked for what was\n"
    "                  missed and for --from; without it a loss is told, and not repaired\n"
    "  --server-key KEY, --key FILE   for an ENDPOINT with keys: the public key of the runtime, and your secret key\n"
    "                  (headgate keygen)\n"
    "Exit: 0 it was ended, or the runtime has, 1 no runtime lives there, or events can't be received any more, 2 "
    "wrong\n"
    "flags, configuration or key, 4 the ledger can't be read.\n";

// ------------------------------------------------------------------------------------------------ connecting

static hg_err subscribe(struct hg_watch *watch) {
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

static hg_err connect_to_events(struct hg_watch *watch, void *context, hg_error *why) {
  const struct hg_link_limits limits = {HG_EVENTS_HWM, HG_EVENTS_HWM, HG_OUTSIDE_FRAME_MAX};
  hg_err err = hg_link_open(context, HG_SUB, limits, &watch->link);
  if (err == HG_OK) err = subscribe(watch);
  if (err == HG_OK) err = hg_cli_use_keys(&watch->link, watch->endpoint, &watch->keys);
  if (err == HG_OK) err = hg_link_connect(&watch->link, watch->endpoint);
  if (err == HG_OK) return HG_OK;
  return hg_fail(why, HG_ERR_INVALID, "cannot connect to \"%.200s\": %s", watch->endpoint, hg_err_text(err));
}

static int run(struct hg_watch *watch) {
  void *context = NULL;
  hg_error why = HG_ERROR_INIT;
  hg_watch_catch_signals();
  hg_err err = hg_context_new(&context);
  if (err != HG_OK) (void)hg_fail(&why, err, "there is no socket to be had: %s", hg_err_text(err));
  else err = connect_to_events(watch, context, &why);
  if (err == HG_OK && !hg_watch_open_screen(watch)) err = hg_fail(&why, HG_ERR_NO_MEMORY, "no memory for a screen");
  const int code = err == HG_OK ? hg_watch_follow(watch) : hg_cli_exit("watch", &why);
  hg_link_close(&watch->link);
  if (context) hg_context_destroy(context);
  return code;
}

static hg_err find(struct hg_watch *watch, const char *config, const char *ledger, hg_error *why) {
  struct hg_holder holder;
  hg_err err = hg_site_open(config, ledger, &watch->site, why);
  if (err != HG_OK) return err;
  // A runtime that is just starting has not said yet where it publishes.
  const int64_t deadline = hg_clock_now().monotonic_us + FIND_WITHIN_US;
  while ((err = hg_ledger_holder(&watch->site.places, &holder)) == HG_ERR_BUSY &&
         hg_clock_now().monotonic_us < deadline)
    poll(NULL, 0, LOOK_EVERY_MS);
  if (err == HG_OK) snprintf(watch->endpoint, sizeof watch->endpoint, "%s", holder.events);
  else hg_fail(why, HG_ERR_NO_RUNTIME, "no runtime is living on \"%s\"", watch->site.config->ledger_path);
  watch->found = watch->can_ask = true;
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
static hg_err want(struct hg_watch *watch, const char *topics, hg_error *why) {
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

static hg_err check_endpoint(const char *endpoint, hg_error *why) {
  if (strncmp(endpoint, "ipc://", 6) != 0 && strncmp(endpoint, "tcp://", 6) != 0)
    return hg_fail(why, HG_ERR_INVALID, "\"%.100s\" is not an endpoint: ipc://PATH or tcp://HOST:PORT", endpoint);
  if (strlen(endpoint) >= sizeof((struct hg_watch *)NULL)->endpoint)
    return hg_fail(why, HG_ERR_INVALID, "the endpoint is too long");
  return HG_OK;
}

static hg_err take_endpoint(struct hg_watch *watch, const char *endpoint, hg_error *why) {
  hg_err err = check_endpoint(endpoint, why);
  if (err == HG_OK && watch->control_endpoint) err = check_endpoint(watch->control_endpoint, why);
  if (err != HG_OK) return err;
  watch->can_ask = watch->control_endpoint != NULL;
  if (watch->from && !watch->can_ask)
    return hg_fail(why, HG_ERR_INVALID,
                   "--from asks the runtime itself: where with --control, or name its --config "
                   "or --ledger and no ENDPOINT");
  memcpy(watch->endpoint, endpoint, strlen(endpoint) + 1);
  return HG_OK;
}

struct flags {
  const char *endpoint, *config, *ledger, *topics, *from, *server_key, *key_file;
};

static hg_err locate(struct hg_watch *watch, const struct flags *flags, hg_error *why) {
  if ((!flags->server_key) != (!flags->key_file) || (flags->key_file && !flags->endpoint))
    return hg_fail(why, HG_ERR_INVALID, "--server-key and --key belong together, and to an ENDPOINT");
  if (!flags->endpoint && watch->control_endpoint)
    return hg_fail(why, HG_ERR_INVALID, "--control belongs to an ENDPOINT, where the events are");
  if (flags->endpoint && (flags->config || flags->ledger))
    return hg_fail(why, HG_ERR_INVALID, "give an endpoint or a file that leads to one, not both");
  if (!flags->endpoint) return find(watch, flags->config, flags->ledger, why);
  if (flags->server_key && !hg_keys_valid(flags->server_key))
    return hg_fail(why, HG_ERR_INVALID, "--server-key takes the 40 characters of a public key, in quotes");
  const hg_err err = take_endpoint(watch, flags->endpoint, why);
  if (err != HG_OK || !flags->key_file) return err;
  return hg_keys_of_client(flags->server_key, flags->key_file, &watch->keys, why);
}

static hg_err take_flags(struct hg_watch *watch, const struct flags *flags, hg_error *why) {
  unsigned long first = 0;
  if (flags->from && !hg_cli_parse_whole(flags->from, 1, INT64_MAX, &first))
    return hg_fail(why, HG_ERR_INVALID, "--from takes the number of a row of the journal, from 1 on");
  watch->from = first;
  return want(watch, flags->topics, why);
}

int hg_cli_watch(int argc, char **argv) {
  static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                          {"ledger", required_argument, NULL, 'l'},
                                          {"topics", required_argument, NULL, 't'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"plain", no_argument, NULL, 'p'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"control", required_argument, NULL, 'C'},
                                          {"server-key", required_argument, NULL, 's'},
                                          {"key", required_argument, NULL, 'k'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
  struct flags flags = {NULL, NULL, NULL, NULL, NULL, NULL, NULL};
  struct hg_watch watch = {.from = 0};
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'c') flags.config = optarg;
    else if (option == 'l') flags.ledger = optarg;
    else if (option == 't') flags.topics = optarg;
    else if (option == 'j') watch.json = true;
    else if (option == 'p') watch.plain = true;
    else if (option == 'f') flags.from = optarg;
    else if (option == 'C') watch.control_endpoint = optarg;
    else if (option == 's') flags.server_key = optarg;
    else if (option == 'k') flags.key_file = optarg;
    else return hg_cli_usage(usage, option == 'h');
  }
  hg_error why = HG_ERROR_INIT;
  if (argc - optind > 1) {
    (void)hg_fail(&why, HG_ERR_INVALID, "one endpoint at a time");
    (void)hg_cli_exit("watch", &why);
    return hg_cli_usage(usage, false);
  }
  if (optind < argc) flags.endpoint = argv[optind];
  hg_err err = take_flags(&watch, &flags, &why);
  if (err == HG_OK) err = locate(&watch, &flags, &why);
  uint32_t kinds = 0;
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++)
    kinds |= (uint32_t)watch.wanted[i] << i;
  hg_gaps_init(&watch.gaps, watch.by_topic ? kinds : HG_GAPS_ALL, watch.from);
  const int code = err == HG_OK ? run(&watch) : hg_cli_exit("watch", &why);
  hg_gaps_destroy(&watch.gaps);
  hg_site_close(&watch.site);
  explicit_bzero(&watch.keys, sizeof watch.keys);
  return code;
}
