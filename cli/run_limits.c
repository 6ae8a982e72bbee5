// What a run says of limits: flag or file say one figure, by hand another was set, and only one of them can hold.
#include "cli/run_flags.h"

#include <stdio.h>
#include <stdlib.h>

#define TOLD_MAX 8 // budgets

// What was set by hand holds: flag or file say what they said before.
static void tell_by_hand(const struct hg_run_flags *flags, const struct hg_config *config,
                         const struct hg_ledger_budget *stored, int64_t said, const char *who) {
  char text[2 * HG_ERROR_TEXT_MAX];
  char *command = hg_limit_command(flags, config, stored->name, said);
  snprintf(text, sizeof text,
           "budget \"%s\": its limit of %s was set by hand and holds; %s says %s, as before. To change it: %s",
           stored->name, hg_figure_tokens(config->unit, stored->hard_limit).text, who,
           hg_figure_amount(config->unit, said).text, command ? command : "headgate limit");
  free(command);
  hg_run_say(text);
}

static void tell_news(hg_unit unit, const struct hg_ledger_budget *stored, int64_t said, const char *who) {
  char text[HG_ERROR_TEXT_MAX];
  snprintf(text, sizeof text, "budget \"%s\": its limit of %s was set by hand; %s says %s now, which holds",
           stored->name, hg_figure_tokens(unit, stored->hard_limit).text, who, hg_figure_amount(unit, said).text);
  hg_run_say(text);
}

void hg_run_tell_limits(const struct hg_run_flags *flags, const struct hg_config *config,
                        const struct hg_ledger_state *found) {
  unsigned differ = 0;
  for (uint32_t i = 0; i < found->budget_count; i++) {
    const struct hg_ledger_budget *stored = &found->budgets[i];
    const int64_t said = config->budgets[i].hard_limit;
    const bool by_hand = !stored->is_new && stored->hard_limit != stored->configured_limit;
    if (!by_hand || stored->hard_limit == said || ++differ > TOLD_MAX) continue;
    const char *who = i == 0 && flags->limit > 0 ? "--limit" : config->source;
    if (hg_ledger_limit_is_news(stored, said)) tell_news(config->unit, stored, said, who);
    else tell_by_hand(flags, config, stored, said, who);
  }
  char text[80];
  snprintf(text, sizeof text, "so it is with %u budgets more", differ - TOLD_MAX);
  if (differ > TOLD_MAX) hg_run_say(text);
}

void hg_run_tell_host(const struct hg_run_flags *flags, const struct hg_config *config, int64_t said) {
  char text[2 * HG_ERROR_TEXT_MAX];
  const int64_t holds = config->budgets[0].hard_limit;
  snprintf(text, sizeof text, "permits come from the runtime that lives on %s", config->ledger_path);
  hg_run_say(text);
  if (holds == said) return;
  char *command = hg_limit_command(flags, config, config->budgets[0].name, said);
  snprintf(text, sizeof text, "its limit of %s holds; %s says %s. To change it: %s",
           hg_figure_tokens(config->unit, holds).text, flags->limit > 0 ? "--limit" : config->source,
           hg_figure_amount(config->unit, said).text, command ? command : "headgate limit");
  free(command);
  hg_run_say(text);
}
