// Says what to do about the end of a run.
#include "cli/run_flags.h"

#include <stdio.h>
#include <string.h>

static void access_hint(const struct hg_target *target, const struct hg_runner_counts *counts, char *out, size_t room) {
  const bool anthropic = counts->refused_endpoint == HG_ENDPOINT_MESSAGES;
  char base[HG_PATH_MAX + 1]; // without its query, which may have a key in it
  snprintf(base, sizeof base, "%s", anthropic ? target->anthropic_base : target->openai_base);
  base[strcspn(base, "?")] = '\0';
  const char *variable = anthropic ? target->anthropic_key_env : target->openai_key_env;
  const bool has_key = anthropic ? target->anthropic_has_key : target->openai_has_key;
  const long status = counts->refused_status;
  const bool key = status == 401 || status == 403;
  if (counts->out_of_quota)
    snprintf(out, room, "the account at %s has no quota left; nothing was marked as failed", base);
  else if (key && has_key) snprintf(out, room, "check the key in %s, and that it is one for %s", variable, base);
  else if (key)
    snprintf(out, room, "no key was sent: put it into the variable %s, or name another in llm.apiKeyEnv", variable);
  else if (status == 404)
    snprintf(out, room, "check the model of the requests and the base URL %s (--model, --base-url)", base);
  else if (status == 407)
    snprintf(out, room, "the proxy on the way to %s wants a login (the variables http_proxy, https_proxy)", base);
  else if (status == 429 || status == 503 || status == 529)
    snprintf(out, room, "%s wants to be called later: run the command below then", base);
  else if (counts->served_before)
    snprintf(out, room, "%s served requests before; run the command below when it does again", base);
  else if (status == HG_REFUSED_UNREADABLE)
    snprintf(out, room, "what comes from %s can't be read; is that the base URL (--base-url)?", base);
  else if (status == 0) snprintf(out, room, "nobody answers at %s; is that the base URL (--base-url)?", base);
  else snprintf(out, room, "is %s the base URL (--base-url)?", base);
}

void hg_run_hint(const struct hg_target *target, const struct hg_summary *summary, char *out, size_t room) {
  static const char lost[] = "mend that and run the command below: what was answered is kept and not called again";
  static const char unsettled[] = "compare the rows of these calls in the journal with what the provider billed; "
                                  "headgate correct adds or gives back";
  out[0] = '\0';
  switch (summary->stop) {
  case HG_STOP_ACCESS: access_hint(target, &summary->figures.run, out, room); break;
  case HG_STOP_CAP: snprintf(out, room, "set llm.outputCapField to the field that this provider obeys"); break;
  case HG_STOP_LEDGER: snprintf(out, room, "%s", summary->go_on[0] ? lost : ""); break;
  case HG_STOP_RESULTS: // its text says so
  case HG_STOP_NONE:
  case HG_STOP_INTERRUPT:
  case HG_STOP_CHANGED:
  case HG_STOP_INPUT: break;
  }
  if (!out[0] && summary->figures.run.unsettled > 0) snprintf(out, room, "%s", unsettled);
}
