// headgate run: makes the calls of a batch file inside a hard token budget.
#include "cli/cli.h"

#include "actors/runtime.h"
#include "batch/line_reader.h"
#include "batch/order.h"
#include "cli/control.h"
#include "cli/metrics_server.h"
#include "cli/run_orphans.h"
#include "cli/run_other_ledger.h"
#include "cli/run_signals.h"
#include "runner/loop.h"
#include "runner/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define ANSWER_MS 30000 // a single command at the start or the end
#define CLOSE_MS 10000
#define SPARE_DESCRIPTORS 128 // for the runtime, the files and the terminal

struct run {
  const struct hg_run_flags *flags;
  struct hg_target target;
  hg_runtime *runtime;
  const struct hg_config *config; // the runtime's
  hg_client *client;
  struct hg_metrics_server *metrics;
  struct hg_batch *batch;
  struct hg_loop *loop;
  struct hg_learned *learned; // NULL: it reserves bounds, or counts
  int64_t lines;
  uint64_t ledger;               // its mark
  char name[HG_TASK_ID_MAX + 1]; // of the run: the base name of its results
  struct hg_run_orphans orphans;
  struct hg_other_ledger other_ledger;
  hg_error why;    // of what ends the run before it begins
  bool live, utf8; // the progress line
  unsigned shown;  // columns of the line that stands there
};

// ---------------------------------------------------------------------------------------------- the terminal

static void wipe_line(struct run *run) {
  if (run->shown > 0) fprintf(stderr, "\r%*s\r", (int)run->shown, "");
  run->shown = 0;
}

static void on_note(void *context, const char *text) {
  wipe_line(context);
  hg_run_say(text);
}

static void on_progress(void *context, const struct hg_run_figures *figures) {
  struct run *run = context;
  struct winsize size;
  const unsigned columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79;
  char line[HG_PROGRESS_MAX];
  hg_progress_line(figures, columns, run->utf8, line);
  const unsigned width = hg_text_columns(line);
  const unsigned rest = run->shown > width && width < columns ? run->shown - width : 0;
  fprintf(stderr, "\r%s%*s", line, (int)rest, "");
  fflush(stderr);
  run->shown = width;
}

// ---------------------------------------------------------------------------------------------- opening

static hg_err fail(hg_error *why, hg_err err, const char *what, const char *text) {
  return hg_fail(why, err, "%s: %s", what, text);
}

static hg_err check_files(struct run *run, const char *ledger_path, hg_error *why) {
  run->lines = hg_count_lines(run->flags->input);
  const bool standard = strcmp(run->flags->input, "-") == 0;
  if (run->lines < 0)
    return fail(why, HG_ERR_INVALID, standard ? "standard input" : run->flags->input, strerror(errno));
  return hg_run_check_output(run->flags, ledger_path, why);
}

// A task's id is text: bytes that are none are replaced.
static void name_run(struct run *run) {
  const char *name = hg_run_base(run->flags), *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
  size_t len = strlen(base);
  if (len > 6 && strcmp(base + len - 6, ".jsonl") == 0) len -= 6;
  if (len > HG_TASK_ID_MAX / 2) len = HG_TASK_ID_MAX / 2;
  for (size_t i = 0; i < len; i++)
    run->name[i] = base[i] > ' ' && base[i] < 0x7F && base[i] != '/' ? base[i] : '_';
  run->name[len] = '\0';
}

// Every call may need a connection of its own. The most that the system allows; 0: as many as one likes.
static uint32_t raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= UINT32_MAX) return 0;
  return limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? (uint32_t)limit.rlim_cur - SPARE_DESCRIPTORS : SPARE_DESCRIPTORS / 2;
}

// A call that waits for a connection would do so with a slot, a reservation and a timeout that runs.
static void fit_concurrency(struct hg_config *config, uint32_t sockets_max) {
  char text[HG_ERROR_TEXT_MAX];
  if (sockets_max == 0 || config->max_concurrency <= sockets_max) return;
  snprintf(text, sizeof text,
           "%" PRIu32 " calls at a time instead of %" PRIu32 ": no more open files are allowed (ulimit -n)",
           sockets_max, config->max_concurrency);
  hg_run_say(text);
  config->max_concurrency = sockets_max;
  if (config->throttled_concurrency > sockets_max) config->throttled_concurrency = sockets_max;
}

// The host of a guest exports them all. Without them the run is as good as with them.
static void export_figures(struct run *run) {
  hg_error why = HG_ERROR_INIT;
  if (!run->config->metrics.wanted || hg_runtime_is_guest(run->runtime)) return;
  if (hg_metrics_server_start(run->runtime, &run->metrics, &why) != HG_OK) hg_run_say(why.text);
}

static hg_err open_runtime(struct run *run, struct hg_config **config, hg_error *why) {
  struct hg_ledger_state found = {.budgets = NULL};
  const int64_t said = (*config)->budgets[0].hard_limit;
  hg_err err = hg_open_shared(config, &run->runtime, &found, why);
  if (err) return err;
  run->config = hg_runtime_config(run->runtime);
  if (hg_runtime_is_guest(run->runtime)) hg_run_tell_host(run->flags, run->config, said);
  else hg_run_tell_limits(run->flags, run->config, &found);
  run->ledger = hg_ledger_mark(found.ledger_id);
  hg_ledger_state_clear(&found);
  err = hg_client_new(run->runtime, &run->client);
  run->orphans.client = run->client;
  run->orphans.unit = run->config->unit;
  if (!err) export_figures(run);
  return err ? fail(why, err, "the runtime", hg_err_text(err)) : HG_OK;
}

// ---------------------------------------------------------------------------------------------- the batch

static hg_err on_orphan(void *context, const struct hg_result_line *line) {
  struct run *run = context;
  return hg_run_orphans_settle(&run->orphans, line, &run->why);
}

static void on_other_ledger(void *context, const struct hg_result_line *line) {
  struct run *run = context;
  if (!run->flags->fresh) hg_run_other_ledger_add(&run->other_ledger, run->config->unit, line);
}

static bool is_stopped(void *context) {
  (void)context;
  return hg_run_signals_came();
}

static hg_err open_batch(struct run *run) {
  const size_t orphans = run->orphans.count;
  uint64_t *permits = calloc(orphans + 1, sizeof *permits);
  char *errors = hg_run_errors_path(run->flags);
  if (!permits || !errors) {
    free(permits);
    free(errors);
    return fail(&run->why, HG_ERR_NO_MEMORY, "run", hg_err_text(HG_ERR_NO_MEMORY));
  }
  for (size_t i = 0; i < orphans; i++)
    permits[i] = run->orphans.list[i].permit.id;
  const struct hg_batch_options options = {.input = run->flags->input,
                                           .output = run->flags->output,
                                           .errors = errors,
                                           .fresh = run->flags->fresh,
                                           .changed = run->flags->changed,
                                           .model = run->flags->model,
                                           .ledger = run->ledger,
                                           .orphans = permits,
                                           .orphan_count = orphans,
                                           .on_orphan = on_orphan,
                                           .on_other_ledger = on_other_ledger,
                                           .on_note = on_note,
                                           .is_stopped = is_stopped,
                                           .context = run};
  const hg_err err = hg_batch_open(&options, &run->batch, &run->why);
  free(permits);
  free(errors);
  return err == HG_ERR_CANCELLED ? hg_fail(&run->why, err, HG_RUN_INTERRUPTED) : err;
}

// ---------------------------------------------------------------------------------------------- running

// Beside the ledger, whoever holds that.
static void learned_path(const struct run *run, char out[HG_PATH_MAX + 16]) {
  snprintf(out, HG_PATH_MAX + 16, "%s" HG_LEARNED_SUFFIX, run->config->ledger_path);
}

static hg_err open_learned(struct run *run, hg_error *why) {
  char path[HG_PATH_MAX + 16];
  hg_error found = HG_ERROR_INIT;
  if (run->config->llm.reservation != HG_RESERVE_LEARNED) return HG_OK;
  run->learned = hg_learned_new(hg_config_prices_mark(run->config));
  if (!run->learned) return fail(why, HG_ERR_NO_MEMORY, "run", hg_err_text(HG_ERR_NO_MEMORY));
  learned_path(run, path);
  if (hg_learned_load(run->learned, path, &found) == HG_ERR_PROTOCOL) hg_run_say(found.text);
  return HG_OK;
}

static void keep_learned(struct run *run) {
  char path[HG_PATH_MAX + 16];
  hg_error why = HG_ERROR_INIT;
  learned_path(run, path);
  if (run->learned && hg_learned_save(run->learned, path, &why) != HG_OK) on_note(run, why.text);
}

static hg_err open_loop(struct run *run, uint32_t sockets_max, hg_error *why) {
  const struct hg_loop_options options = {.runtime = run->runtime,
                                          .client = run->client,
                                          .batch = run->batch,
                                          .target = &run->target,
                                          .runner = {.run_name = run->name,
                                                     .budget = run->flags->budget,
                                                     .model = run->flags->model,
                                                     .llm = &run->config->llm,
                                                     .learned = run->learned,
                                                     .unit = run->config->unit,
                                                     .max_concurrency = run->config->max_concurrency},
                                          .sockets_max = sockets_max,
                                          .throttled_concurrency = run->config->throttled_concurrency,
                                          .lines = (uint64_t)run->lines,
                                          .wants_progress = run->live,
                                          .on_progress = on_progress,
                                          .on_note = on_note,
                                          .context = run};
  return hg_loop_new(&options, &run->loop, why);
}

static void print_summary(const struct run *run, const struct hg_summary *summary) {
  if (!run->flags->json) (void)hg_summary_print(summary, run->utf8, stderr); // the terminal may be gone by now
  else if (!hg_summary_print_json(summary, stdout) && !ferror(stdout)) hg_run_say("no memory for the summary");
}

static int summarise(struct run *run, bool looped) {
  struct hg_summary summary = {.stop_text = "", .go_on = "", .results = run->flags->output};
  char hint[HG_ERROR_TEXT_MAX + 1], *go_on = NULL;
  summary.stop = hg_loop_result(run->loop, &summary.figures, &summary.stop_text);
  if (!looped && summary.stop == HG_STOP_NONE) summary.stop = HG_STOP_LEDGER;
  const bool lost = summary.stop == HG_STOP_LEDGER; // then the runtime answers nothing
  hg_run_orphans_count(&run->orphans, run->name, &summary.figures.orphans);
  summary.figures.other_ledger = run->other_ledger;
  summary.errors = hg_batch_errors_path(run->batch);
  const bool left = hg_lines_left(&summary.figures) > 0 || !summary.figures.run.input_ended;
  if (left && !hg_run_has_stream(run->flags)) // what is on standard output, no run knows
    go_on = hg_go_on_command(run->flags, run->config, lost ? NULL : run->client, &summary.figures.run);
  if (go_on) summary.go_on = go_on;
  hg_run_hint(&run->target, &summary, hint, sizeof hint);
  if (left && !hint[0] && hg_run_has_stream(run->flags))
    snprintf(hint, sizeof hint,
             "a run again calls every line again, those on standard output too; -o FILE remembers them");
  summary.hint = hint;
  hg_metrics_server_stop(&run->metrics);
  hg_client_destroy(&run->client);
  summary.not_durable = hg_close(&run->runtime, lost ? 0 : CLOSE_MS) != HG_OK;
  wipe_line(run);
  print_summary(run, &summary);
  free(go_on);
  return hg_summary_exit(&summary);
}

// Of a run that never began: whether it is the ledger that can't be used, or what the run was given.
static int exit_code_of(hg_err err) {
  if (err == HG_ERR_CANCELLED) return HG_EXIT_INTERRUPTED;
  const bool store = err == HG_ERR_STORE || err == HG_ERR_LEDGER_FOREIGN || err == HG_ERR_LEDGER_IN_USE ||
                     err == HG_ERR_TIMEOUT || err == HG_ERR_CLOSED;
  return store ? HG_EXIT_STORE : HG_EXIT_USAGE;
}

static hg_err open_all(struct run *run, struct hg_config **config) {
  hg_error *why = &run->why;
  const uint32_t sockets_max = raise_descriptor_limit();
  hg_run_signals_end_it();
  hg_err err = check_files(run, (*config)->ledger_path, why);
  if (!err) err = hg_target_resolve(run->flags->base_url, &(*config)->llm, &run->target, why);
  if (!err) fit_concurrency(*config, sockets_max);
  if (!err) err = open_runtime(run, config, why);
  hg_run_signals_wait();
  if (!err) err = hg_run_orphans_list(&run->orphans, why);
  if (!err) err = open_batch(run);
  if (!err) hg_run_orphans_tell(&run->orphans, run->flags, run->config);
  if (!err)
    hg_run_other_ledger_tell(&run->other_ledger, run->config->unit, hg_run_base(run->flags), run->config->ledger_path);
  if (!err) err = open_learned(run, why);
  return err ? err : open_loop(run, sockets_max, why);
}

// Nothing is written behind this. What fails leaves the results as they stand.
static void put_in_order(struct run *run) {
  hg_error why = HG_ERROR_INIT;
  bool changed;
  if (hg_order_results(run->flags->input, run->flags->output, &changed, &why) != HG_OK) on_note(run, why.text);
}

static int run_batch(struct run *run, struct hg_config **config) {
  const hg_err err = open_all(run, config);
  if (err) {
    hg_run_say(run->why.text[0] ? run->why.text : hg_err_text(err));
    return exit_code_of(err);
  }
  const bool looped = hg_loop_run(run->loop, &run->why) == HG_OK;
  if (!looped) on_note(run, run->why.text);
  // However it ended: an answer that is written is settled by the next run, and need not be paid for again.
  (void)hg_batch_sync(run->batch, &run->why);
  if (run->flags->input_order) put_in_order(run);
  keep_learned(run);
  return summarise(run, looped);
}

int hg_cli_run(int argc, char **argv) {
  struct hg_run_flags flags;
  struct hg_config *config = NULL;
  hg_error why = HG_ERROR_INIT;
  int exit_code;
  if (!hg_run_flags_parse(&flags, argc, argv, &exit_code)) return exit_code;
  if (hg_run_flags_config(&flags, &config, &why) != HG_OK) {
    hg_run_say(why.text);
    return HG_EXIT_USAGE;
  }
  if (flags.dry_run) {
    exit_code = hg_dry_run(&flags, config);
  } else {
    setlocale(LC_CTYPE, "");
    struct run run = {.flags = &flags, .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0, .why = HG_ERROR_INIT};
    run.live = flags.progress == HG_PROGRESS_ALWAYS || (flags.progress == HG_PROGRESS_AUTO && isatty(STDERR_FILENO));
    name_run(&run);
    exit_code = run_batch(&run, &config);
    hg_loop_destroy(&run.loop);
    hg_learned_destroy(&run.learned);
    hg_batch_close(&run.batch);
    hg_metrics_server_stop(&run.metrics);
    hg_client_destroy(&run.client);
    (void)hg_close(&run.runtime, CLOSE_MS);
    hg_target_clear(&run.target);
    hg_run_orphans_clear(&run.orphans);
  }
  hg_config_destroy(&config);
  return exit_code;
}
