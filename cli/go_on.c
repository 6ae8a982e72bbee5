// Writes the command that goes on where a run ended, as a shell takes it.
#include "cli/run_flags.h"

#include "base/money.h"
#include "base/text_buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 10000

// ---------------------------------------------------------------------------------------------- words

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

// As it is read back, exactly.
static void print_amount(hg_unit unit, int64_t amount, char out[HG_MONEY_TEXT_MAX]) {
  if (unit == HG_UNIT_NANODOLLARS) hg_money_print(amount, out);
  else snprintf(out, HG_MONEY_TEXT_MAX, "%lld", (long long)amount);
}

static hg_err add_run(struct hg_text_buffer *out, const struct hg_run_flags *flags, hg_unit unit, int64_t limit) {
  const char *const start[] = {"headgate", "run", NULL};
  char number[HG_MONEY_TEXT_MAX];
  print_amount(unit, limit, number);
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

// "headgate SUBCOMMAND" of the ledger that a run has.
static hg_err add_subcommand(struct hg_text_buffer *out, const struct hg_run_flags *flags,
                             const struct hg_config *config, const char *name) {
  const bool file = flags->config_file != NULL;
  const char *const words[] = {"headgate", name, file ? "--config" : "--ledger",
                               file ? flags->config_file : config->ledger_path, NULL};
  return add_words(out, words);
}

static hg_err add_limit(struct hg_text_buffer *out, const struct hg_run_flags *flags, const struct hg_config *config,
                        const char *budget, int64_t limit) {
  char number[HG_MONEY_TEXT_MAX];
  print_amount(config->unit, limit, number);
  const char *const words[] = {budget, number, NULL};
  const hg_err err = add_subcommand(out, flags, config, "limit");
  return err ? err : add_words(out, words);
}

static char *end_text(struct hg_text_buffer *out, hg_err err) {
  if (!err) err = hg_text_buffer_add(out, "", 1);
  if (!err) return out->data;
  hg_text_buffer_clear(out);
  return NULL;
}

char *hg_limit_command(const struct hg_run_flags *flags, const struct hg_config *config, const char *budget,
                       int64_t tokens) {
  struct hg_text_buffer out = {NULL, 0, 0};
  const hg_err err = add_limit(&out, flags, config, budget, tokens);
  return end_text(&out, err);
}

char *hg_orphans_command(const struct hg_run_flags *flags, const struct hg_config *config) {
  struct hg_text_buffer out = {NULL, 0, 0};
  const hg_err err = add_subcommand(&out, flags, config, "orphans");
  return end_text(&out, err);
}

// ---------------------------------------------------------------------------------------------- the limits

// What the lines that are left would reserve in each budget of their paths. NULL: no memory.
static int64_t *needs_of(const struct hg_config *config, const struct hg_runner_counts *counts) {
  int64_t *needs = calloc(config->budget_count, sizeof *needs);
  for (unsigned i = 0; needs && i < HG_LEFT_BUDGETS_MAX && counts->left_budgets[i].need > 0; i++) {
    const struct hg_left_budget *left = &counts->left_budgets[i];
    uint32_t at = 0;
    while (at < config->budget_count && strcmp(config->budgets[at].name, left->budget) != 0)
      at++;
    if (at == config->budget_count) continue;
    for (;; at = config->budgets[at].parent) {
      needs[at] = left->need <= HG_TOKENS_MAX - needs[at] ? needs[at] + left->need : HG_TOKENS_MAX;
      if (at == 0) break;
    }
  }
  return needs;
}

// 0: it is not short; -1: nobody answers.
static int64_t enough(hg_client *client, const char *budget, int64_t need) {
  hg_usage usage = HG_USAGE_INIT;
  if (hg_get_usage(client, budget, &usage, ANSWER_MS) != HG_OK) return -1;
  if (need <= usage.available) return 0;
  const int64_t taken = usage.used + usage.reserved;
  return need <= HG_TOKENS_MAX - taken ? taken + need : HG_TOKENS_MAX;
}

// A flag that was given is given anew: *flag. One that would say what it said before would change nothing.
static hg_err add_limits(struct hg_text_buffer *out, const struct hg_run_flags *flags, const struct hg_config *config,
                         hg_client *client, const int64_t *needs, int64_t *flag) {
  hg_err err = HG_OK;
  for (uint32_t i = 0; i < config->budget_count && !err; i++) {
    const int64_t limit = needs[i] > 0 ? enough(client, config->budgets[i].name, needs[i]) : 0;
    if (limit < 0) break;
    if (limit == 0) continue;
    if (i == 0 && flags->limit > 0 && flags->limit != limit) *flag = limit;
    else if (!(err = add_limit(out, flags, config, config->budgets[i].name, limit)))
      err = hg_text_buffer_add_text(out, " &&");
  }
  return err;
}

char *hg_go_on_command(const struct hg_run_flags *flags, const struct hg_config *config, hg_client *client,
                       const struct hg_runner_counts *counts) {
  struct hg_text_buffer out = {NULL, 0, 0};
  int64_t flag = 0, *needs = needs_of(config, counts);
  hg_err err = needs ? add_limits(&out, flags, config, client, needs, &flag) : HG_ERR_NO_MEMORY;
  free(needs);
  if (!err) err = add_run(&out, flags, config->unit, flag);
  return end_text(&out, err);
}
