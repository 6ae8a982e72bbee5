// Writes the command that goes on where a run ended, as a shell takes it.
#include "cli/run_flags.h"

#include "batch/text_buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static hg_err add_word(struct hg_text_buffer *out, const char *word) {
  static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";
  hg_err err = out->len > 0 ? hg_text_buffer_add_text(out, " ") : HG_OK;
  if (err) return err;
  if (word[0] && strspn(word, safe) == strlen(word)) return hg_text_buffer_add_text(out, word);
  err = hg_text_buffer_add_text(out, "'");
  for (const char *at = word; *at && !err; at++)
    err = *at == '\'' ? hg_text_buffer_add_text(out, "'\\''") : hg_text_buffer_add(out, at, 1);
  return err ? err : hg_text_buffer_add_text(out, "'");
}

static hg_err add_words(struct hg_text_buffer *out, const char *const *words) {
  hg_err err = HG_OK;
  for (; *words && !err; words++)
    err = add_word(out, *words);
  return err;
}

// --limit 2M, --limit=2M, --fresh. *value: the next argument belongs to it. Any unambiguous beginning is a flag too.
static bool is_replaced(const char *argument, bool new_limit, bool *value) {
  const size_t len = strcspn(argument, "=");
  const bool limit = new_limit && len >= 3 && len <= 7 && strncmp(argument, "--limit", len) == 0;
  *value = limit && argument[len] == '\0';
  return limit || (len >= 3 && len <= 7 && argument[len] == '\0' && strncmp(argument, "--fresh", len) == 0);
}

static hg_err add_run(struct hg_text_buffer *out, const struct hg_run_flags *flags, int64_t limit) {
  const char *const start[] = {"headgate", "run", NULL};
  char number[24];
  snprintf(number, sizeof number, "%lld", (long long)limit);
  const char *const new_limit[] = {"--limit", number, NULL};
  bool added = limit <= 0;
  hg_err err = add_words(out, start);
  for (int i = 1; i < flags->argc && !err; i++) {
    bool value;
    const bool last = strcmp(flags->argv[i], "--") == 0; // of the flags
    if (last && !added) err = add_words(out, new_limit);
    added = added || last;
    if (err) break;
    if (!is_replaced(flags->argv[i], limit > 0, &value)) err = add_word(out, flags->argv[i]);
    else if (value) i++;
  }
  return err || added ? err : add_words(out, new_limit);
}

// Only the limit of "default" has a flag of its own.
static hg_err add_limit(struct hg_text_buffer *out, const struct hg_run_flags *flags, const char *ledger,
                        const char *budget, int64_t limit) {
  char number[24];
  snprintf(number, sizeof number, "%lld", (long long)limit);
  const bool file = flags->config_file != NULL;
  const char *const words[] = {
      "headgate", "limit", file ? "--config" : "--ledger", file ? flags->config_file : ledger, budget, number, NULL};
  const hg_err err = add_words(out, words);
  return err ? err : hg_text_buffer_add_text(out, " &&");
}

char *hg_go_on_command(const struct hg_run_flags *flags, const char *ledger, const char *budget, int64_t limit) {
  struct hg_text_buffer out = {NULL, 0, 0};
  hg_err err = HG_OK;
  if (limit > 0 && strcmp(budget, "default") != 0) {
    err = add_limit(&out, flags, ledger, budget, limit);
    limit = 0;
  }
  if (!err) err = add_run(&out, flags, limit);
  if (!err) err = hg_text_buffer_add(&out, "", 1);
  if (!err) return out.data;
  hg_text_buffer_clear(&out);
  return NULL;
}
