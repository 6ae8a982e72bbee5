// Ties the files of a batch run together: input lines, the index of what is known, results and errors.
#include "batch/batch.h"
#include "batch/line_index.h"
#include "batch/line_reader.h"
#include "batch/results_file.h"
#include "base/fail.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct hg_batch {
  struct hg_batch_options options;            // output and model are the copies below; orphans only while opening
  char *input, *output, *model, *errors_path; // input: as messages name it; output, errors_path: NULL for none
  int input_fd;
  struct hg_line_reader reader;
  struct hg_hash_key key;
  struct hg_line_index *index;
  struct hg_results_file *results, *errors; // NULL: this is only a look
  struct hg_batch_line line;                // handed out last
  uint64_t *orphans;                        // sorted
  struct hg_batch_counts counts;
};

// --- opening

static int compare_permits(const void *left, const void *right) {
  const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
  return (a > b) - (a < b);
}

static bool is_standard(const char *path) {
  return strcmp(path, "-") == 0;
}

static char *errors_path_of(const struct hg_batch_options *options) {
  if (options->errors) return strdup(options->errors);
  return options->output ? hg_errors_path(options->output) : NULL;
}

// Copies what must outlive the caller's strings.
static bool copy_options(struct hg_batch *batch, const struct hg_batch_options *options) {
  batch->options = *options;
  batch->input = strdup(is_standard(options->input) ? "standard input" : options->input);
  batch->output = options->output ? strdup(options->output) : NULL;
  batch->model = options->model ? strdup(options->model) : NULL;
  batch->errors_path = errors_path_of(options);
  if (!batch->input || (options->model && !batch->model)) return false;
  if (options->output && (!batch->output || !batch->errors_path)) return false;
  if (options->orphan_count == 0) return true;
  batch->orphans = calloc(options->orphan_count, sizeof *batch->orphans);
  if (!batch->orphans) return false;
  memcpy(batch->orphans, options->orphans, options->orphan_count * sizeof *batch->orphans);
  qsort(batch->orphans, options->orphan_count, sizeof *batch->orphans, compare_permits);
  return true;
}

// Neither the results nor the errors, which are emptied, may be the input itself.
static hg_err refuse_same_file(const struct hg_batch *batch, const struct stat *input, const char *path,
                               hg_error *why) {
  struct stat other;
  if (!path || (is_standard(path) ? fstat(STDOUT_FILENO, &other) : stat(path, &other)) != 0 ||
      !S_ISREG(other.st_mode) || other.st_dev != input->st_dev || other.st_ino != input->st_ino)
    return HG_OK;
  return hg_fail(why, HG_ERR_INVALID,
                 "%s is the batch file itself (%s) and would be overwritten; name another file with -o", path,
                 batch->input);
}

// Without O_NONBLOCK a named pipe would keep the opening until somebody writes to it.
static hg_err open_input(struct hg_batch *batch, hg_error *why) {
  struct stat input;
  batch->input_fd = is_standard(batch->options.input)
                        ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                        : open(batch->options.input, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (batch->input_fd < 0 || fstat(batch->input_fd, &input) != 0)
    return hg_fail(why, HG_ERR_INVALID, "%s: the batch file can't be read: %s", batch->input, strerror(errno));
  if (S_ISDIR(input.st_mode))
    return hg_fail(why, HG_ERR_INVALID, "%s is a directory; name a batch file in it", batch->input);
  const hg_err err = refuse_same_file(batch, &input, batch->output, why);
  if (err) return err;
  hg_line_reader_init(&batch->reader, batch->input_fd, HG_BODY_MAX);
  return refuse_same_file(batch, &input, batch->errors_path, why);
}

// A line of the results or of the errors that an earlier run left.
static hg_err tell_line(void *context, const struct hg_result_line *line) {
  const struct hg_batch *batch = context;
  const struct hg_batch_options *options = &batch->options;
  if (options->is_stopped && options->is_stopped(options->context)) return HG_ERR_CANCELLED;
  if (line->permit == 0) return HG_OK;
  if (line->ledger != options->ledger) {
    if (options->on_other_ledger) options->on_other_ledger(options->context, line);
    return HG_OK;
  }
  if (!options->on_orphan || !batch->orphans) return HG_OK;
  if (!bsearch(&line->permit, batch->orphans, options->orphan_count, sizeof *batch->orphans, compare_permits))
    return HG_OK;
  return options->on_orphan(options->context, line);
}

// One line of the results file. Of several for one custom_id (--changed redo) the last one counts.
static hg_err learn_result(void *context, const struct hg_result_line *line) {
  struct hg_batch *batch = context;
  hg_err err = tell_line(context, line);
  if (err || !line->succeeded || batch->options.fresh) return err;
  const struct hg_line_entry entry = {line->request_hash_stored, HG_LINE_UNSEEN};
  const uint64_t id_hash = hg_id_hash(batch->key, line->custom_id);
  err = hg_line_index_put(batch->index, id_hash, entry);
  if (err != HG_ERR_CONFLICT) return err;
  hg_line_index_set(batch->index, id_hash, entry);
  return HG_OK;
}

static void pass_note(void *context, const char *text) {
  const struct hg_batch *batch = context;
  if (batch->options.on_note) batch->options.on_note(batch->options.context, text);
}

// Whoever only looks is not told of old failures: they are there to be read.
static hg_err open_results(struct hg_batch *batch, hg_error *why) {
  const struct hg_results_visitor results = {learn_result, pass_note, batch}, errors = {tell_line, NULL, batch};
  if (batch->options.look_only && !batch->output) return HG_OK;
  if (batch->options.look_only) return hg_results_file_look(batch->output, &results, why);
  const hg_err err = is_standard(batch->output)
                         ? hg_results_stream_open(&batch->results, why)
                         : hg_results_file_open(batch->output, batch->options.fresh, &results, &batch->results, why);
  return err ? err : hg_results_file_open_empty(batch->errors_path, &errors, &batch->errors, why);
}

static hg_err open_all(struct hg_batch *batch, hg_error *why) {
  hg_err err = open_input(batch, why);
  if (err) return err;
  if (getrandom(&batch->key, sizeof batch->key, 0) != (ssize_t)sizeof batch->key)
    return hg_fail(why, HG_ERR_SYSTEM, "the system gives no random numbers: %s", strerror(errno));
  err = hg_line_index_new(&batch->index);
  if (err) return hg_fail(why, err, "%s: no memory", batch->input);
  err = open_results(batch, why);
  batch->counts.results = hg_line_index_count(batch->index, HG_LINE_UNSEEN);
  return err;
}

hg_err hg_batch_open(const struct hg_batch_options *options, struct hg_batch **out, hg_error *why) {
  assert(options->input && (options->output || options->look_only));
  assert(options->errors || !options->output || !is_standard(options->output));
  struct hg_batch *batch = calloc(1, sizeof *batch);
  if (!batch) return hg_fail(why, HG_ERR_NO_MEMORY, "%s: no memory", options->input);
  batch->input_fd = -1;
  const hg_err err = copy_options(batch, options) ? open_all(batch, why)
                                                  : hg_fail(why, HG_ERR_NO_MEMORY, "%s: no memory", options->input);
  free(batch->orphans);
  batch->orphans = NULL;
  if (err) {
    hg_batch_close(&batch);
    return err;
  }
  *out = batch;
  return HG_OK;
}

void hg_batch_close(struct hg_batch **batch) {
  struct hg_batch *old = *batch;
  if (!old) return;
  hg_batch_line_clear(&old->line);
  hg_line_reader_clear(&old->reader);
  if (old->input_fd >= 0) close(old->input_fd);
  hg_line_index_destroy(&old->index);
  hg_results_file_close(&old->errors, true);
  hg_results_file_close(&old->results, false);
  free(old->input);
  free(old->output);
  free(old->model);
  free(old->errors_path);
  free(old);
  *batch = NULL;
}

// --- the next line

static hg_err tell_bad_line(struct hg_batch *batch, const char *custom_id, const char *code, const char *text,
                            hg_error *why) {
  const struct hg_result bad = {
      .custom_id = custom_id, .error_code = code, .error_message = text, .line_number = batch->reader.line_number};
  if (batch->options.look_only) {
    pass_note(batch, text);
    return HG_OK;
  }
  return hg_results_file_append(batch->errors, &bad, why);
}

static hg_err refuse_line(struct hg_batch *batch, const char *text, hg_error *why) {
  batch->counts.bad++;
  return tell_bad_line(batch, batch->line.custom_id, "invalid_line", text, why);
}

static hg_err refuse_duplicate(struct hg_batch *batch, hg_error *why) {
  hg_error text = HG_ERROR_INIT;
  hg_fail(&text, HG_ERR_INVALID, "line %llu: the custom_id \"%s\" was given before; make it unique",
          (unsigned long long)batch->line.line_number, hg_show(batch->line.custom_id).text);
  batch->counts.duplicates++;
  return tell_bad_line(batch, batch->line.custom_id, "duplicate_custom_id", text.text, why);
}

// A line that succeeded in an earlier run and is met for the first time. *run: it has to run again.
static hg_err resume_line(struct hg_batch *batch, uint64_t stored_hash, bool *run, hg_error *why) {
  const struct hg_batch_line *line = &batch->line;
  const bool changed = stored_hash != 0 && stored_hash != line->request_hash;
  struct hg_line_entry entry = {line->request_hash, HG_LINE_DONE};
  batch->counts.changed += changed;
  if (changed && batch->options.changed == HG_CHANGED_STOP)
    return hg_fail(why, HG_ERR_CONFLICT,
                   "%s, line %llu: the request of \"%s\" is not the one that succeeded before; run with --changed redo "
                   "to run such lines again, --changed keep to keep their results, or --fresh to start anew",
                   batch->input, (unsigned long long)line->line_number, hg_show(line->custom_id).text);
  *run = changed && batch->options.changed == HG_CHANGED_REDO;
  if (*run) {
    entry.state = HG_LINE_RUNNING;
  } else {
    batch->counts.done_before++;
  }
  hg_line_index_set(batch->index, line->id_hash, entry);
  return HG_OK;
}

// A good line: *run says whether it has to.
static hg_err consider_line(struct hg_batch *batch, bool *run, hg_error *why) {
  struct hg_batch_line *line = &batch->line;
  struct hg_line_entry known;
  *run = false;
  if (batch->model) line->request_hash = hg_request_hash_with_model(line->request_hash, batch->model);
  if (hg_line_index_find(batch->index, line->id_hash, &known))
    return known.state == HG_LINE_UNSEEN ? resume_line(batch, known.request_hash, run, why)
                                         : refuse_duplicate(batch, why);
  const struct hg_line_entry entry = {line->request_hash, HG_LINE_RUNNING};
  const hg_err err = hg_line_index_put(batch->index, line->id_hash, entry);
  if (err) return hg_fail(why, err, "%s, line %llu: no memory", batch->input, (unsigned long long)line->line_number);
  *run = true;
  return HG_OK;
}

// Reads one line, good or bad. HG_ERR_EMPTY: the end.
static hg_err read_line(struct hg_batch *batch, bool *run, hg_error *why) {
  const char *text;
  size_t len;
  *run = false;
  hg_batch_line_clear(&batch->line);
  hg_err err = hg_line_reader_next(&batch->reader, &text, &len);
  const uint64_t number = batch->reader.line_number;
  if (err == HG_ERR_EMPTY || err == HG_ERR_BUSY) return err;
  if (err == HG_ERR_SYSTEM)
    return hg_fail(why, err, "%s, after line %llu: %s", batch->input, (unsigned long long)number, strerror(errno));
  if (err == HG_ERR_NO_MEMORY) return hg_fail(why, err, "%s: no memory for a line", batch->input);
  batch->counts.lines++;
  hg_error fault = HG_ERROR_INIT;
  if (err == HG_ERR_RANGE)
    hg_fail(&fault, err, "line %llu: it is longer than %d bytes; shorten it", (unsigned long long)number, HG_BODY_MAX);
  if (!err) err = hg_batch_line_parse(text, len, number, batch->key, &batch->line, &fault);
  if (err == HG_ERR_RANGE || err == HG_ERR_INVALID) return refuse_line(batch, fault.text, why);
  return err ? hg_fail(why, err, "%s: %s", batch->input, fault.text) : consider_line(batch, run, why);
}

hg_err hg_batch_next(struct hg_batch *batch, const struct hg_batch_line **out, hg_error *why) {
  for (;;) {
    // Before a line is read, so that a full disk loses none: a file of nothing but bad lines needs no call to finish.
    const bool full = batch->errors && hg_results_file_group_full(batch->errors);
    hg_err err = full ? hg_results_file_sync(batch->errors, why) : HG_OK;
    bool run = false;
    if (!err) err = read_line(batch, &run, why);
    if (err) return err;
    if (!run) continue;
    *out = &batch->line;
    return HG_OK;
  }
}

int hg_batch_input_fd(const struct hg_batch *batch) {
  return batch->input_fd;
}

// --- results

static hg_err finish(struct hg_batch *batch, struct hg_results_file *file, uint64_t id_hash,
                     const struct hg_result *result, enum hg_line_state state, hg_error *why) {
  struct hg_line_entry entry;
  assert(file);
  if (!hg_line_index_find(batch->index, id_hash, &entry) || entry.state != HG_LINE_RUNNING)
    return hg_fail(why, HG_ERR_INVALID, "\"%s\" is not running, so it can't finish",
                   hg_show(result->custom_id ? result->custom_id : "?").text);
  struct hg_result whole = *result;
  whole.request_hash = entry.request_hash;
  whole.ledger = batch->options.ledger;
  const hg_err err = hg_results_file_append(file, &whole, why);
  if (err) return err;
  entry.state = state;
  hg_line_index_set(batch->index, id_hash, entry);
  return HG_OK;
}

hg_err hg_batch_finish_ok(struct hg_batch *batch, uint64_t id_hash, const struct hg_result *result, hg_error *why) {
  assert(result->custom_id && result->status >= 200 && result->status <= 299 && !result->error_code);
  const hg_err err = finish(batch, batch->results, id_hash, result, HG_LINE_DONE, why);
  if (!err) batch->counts.done_now++;
  return err;
}

hg_err hg_batch_finish_failed(struct hg_batch *batch, uint64_t id_hash, const struct hg_result *result, hg_error *why) {
  return finish(batch, batch->errors, id_hash, result, HG_LINE_FAILED, why);
}

bool hg_batch_leave(struct hg_batch *batch, uint64_t id_hash) {
  struct hg_line_entry entry;
  if (!hg_line_index_find(batch->index, id_hash, &entry) || entry.state != HG_LINE_RUNNING) return false;
  entry.state = HG_LINE_LEFT;
  return hg_line_index_set(batch->index, id_hash, entry);
}

bool hg_batch_group_full(const struct hg_batch *batch) {
  return hg_results_file_group_full(batch->results) || hg_results_file_group_full(batch->errors);
}

hg_err hg_batch_sync(struct hg_batch *batch, hg_error *why) {
  const hg_err err = hg_results_file_sync(batch->results, why);
  return err ? err : hg_results_file_sync(batch->errors, why);
}

void hg_batch_count(const struct hg_batch *batch, struct hg_batch_counts *out) {
  *out = batch->counts;
  out->failed = hg_line_index_count(batch->index, HG_LINE_FAILED);
  out->left = hg_line_index_count(batch->index, HG_LINE_LEFT);
  out->running = hg_line_index_count(batch->index, HG_LINE_RUNNING);
}

const char *hg_batch_errors_path(const struct hg_batch *batch) {
  return batch->errors_path;
}
