// A batch run over files in a directory of its own, with a stand-in for the calls: ids that begin with '-' fail.
#ifndef BATCH_RUN_H
#define BATCH_RUN_H

#include "batch/batch.h"
#include "unit/batch_files.h"

#include <jansson.h>

struct run {
  struct scratch scratch;
  char input[PATH_MAX], output[PATH_MAX], errors[PATH_MAX];
  struct hg_batch *batch;
  unsigned notes, orphans, asked, others;
  char orphan_text[256];
  hg_err orphan_error; // what the hearer of orphans answers
};

static inline void run_new(struct run *run) {
  *run = (struct run){0};
  scratch_open(&run->scratch);
  strcpy(run->input, scratch_file(&run->scratch, "in.jsonl"));
  strcpy(run->output, scratch_file(&run->scratch, "out.jsonl"));
  strcpy(run->errors, scratch_file(&run->scratch, "out.errors.jsonl"));
}

static inline void hear_note(void *context, const char *text) {
  struct run *run = context;
  run->notes += text[0] != '\0';
}

static inline hg_err hear_orphan(void *context, const struct hg_result_line *line) {
  struct run *run = context;
  const size_t used = strlen(run->orphan_text);
  snprintf(run->orphan_text + used, sizeof run->orphan_text - used, "%llu=%ld%.*s ", (unsigned long long)line->permit,
           line->status, (int)line->body_len, line->body ? line->body : "");
  run->orphans++;
  return run->orphan_error;
}

static inline void hear_other_ledger(void *context, const struct hg_result_line *line) {
  struct run *run = context;
  run->others += line->permit != 0;
}

static inline struct hg_batch_options options_of(struct run *run) {
  return (struct hg_batch_options){.input = run->input,
                                   .output = run->output,
                                   .on_note = hear_note,
                                   .on_orphan = hear_orphan,
                                   .on_other_ledger = hear_other_ledger,
                                   .context = run};
}

static inline void run_open(struct run *run, enum hg_changed_policy changed, const char *model) {
  struct hg_batch_options options = options_of(run);
  hg_error why = HG_ERROR_INIT;
  options.changed = changed;
  options.model = model;
  const hg_err err = hg_batch_open(&options, &run->batch, &why);
  if (err) fprintf(stderr, "%s\n", why.text);
  CHECK_EQ(err, HG_OK);
}

static inline void run_end(struct run *run) {
  hg_batch_close(&run->batch);
  CHECK(run->batch == NULL);
  scratch_close(&run->scratch);
}

#define LINE(id, body) "{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"/v1/x\",\"body\":" body "}\n"

static inline void finish(struct run *run, const struct hg_batch_line *line, bool ok) {
  struct hg_result result = {
      .custom_id = line->custom_id, .permit = 100 + line->line_number, .body = "{\"t\": 1}", .body_len = 8};
  result.status = ok ? 200 : 400;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ((ok ? hg_batch_finish_ok : hg_batch_finish_failed)(run->batch, line->id_hash, &result, &why), HG_OK);
}

// Runs all that is left to run and says which: "a b ". Ids that begin with '-' fail.
static inline const char *run_all(struct run *run) {
  static char ran[4096];
  const struct hg_batch_line *line;
  hg_err err;
  ran[0] = '\0';
  while ((err = hg_batch_next(run->batch, &line, NULL)) == HG_OK) {
    strcat(strcat(ran, line->custom_id), " ");
    finish(run, line, line->custom_id[0] != '-');
  }
  CHECK_EQ(err, HG_ERR_EMPTY);
  CHECK_EQ(hg_batch_sync(run->batch, NULL), HG_OK);
  return ran;
}

static inline struct hg_batch_counts counts_of(const struct run *run) {
  struct hg_batch_counts counts;
  hg_batch_count(run->batch, &counts);
  return counts;
}

// The n-th line (from 0) of a file as a tree.
static inline json_t *line_at(const char *path, unsigned n) {
  char *text = read_text(path);
  CHECK(text != NULL);
  char *line = text;
  for (; n > 0; n--) {
    line = strchr(line, '\n');
    CHECK(line != NULL);
    line++;
  }
  json_t *tree = json_loadb(line, strcspn(line, "\n"), 0, NULL);
  CHECK(tree != NULL);
  free(text);
  return tree;
}

#endif
