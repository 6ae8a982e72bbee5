// From counts to the one normal form. What a count is a part of is a matter of the shape: OpenAI's cached tokens are
// inside the prompt's, Anthropic's are beside the input's, Gemini's thoughts are beside the candidates'.
#include "usage/counts.h"
#include "usage/report.h"

struct settling {
  const struct hg_token_counts *counts;
  hg_usage_report *report;
  const char *reason; // why it is missing, the first one found
  const char *remark;
};

// A count that the total rests on. One that is hostile spoils it.
static int64_t need(struct settling *s, enum hg_count_name name) {
  const struct hg_token_count *count = &s->counts->of[name];
  if (count->fault && !s->reason) s->reason = count->fault;
  return count->count;
}

// A part that only informs: whatever is wrong with it, the total stays good.
static int64_t part(struct settling *s, enum hg_count_name name) {
  return s->counts->of[name].count;
}

static int64_t known(int64_t count) {
  return count == HG_UNKNOWN ? 0 : count;
}

// The explicit total wins unless it is less than its parts.
static void settle_total(struct settling *s, int64_t stated) {
  hg_usage_report *report = s->report;
  const bool whole = report->input_tokens != HG_UNKNOWN && report->output_tokens != HG_UNKNOWN;
  const int64_t sum = known(report->input_tokens) + known(report->output_tokens);
  if (s->reason) return;
  report->tokens = stated != HG_UNKNOWN && stated >= sum ? stated : sum;
  if (sum > HG_TOKENS_MAX) s->reason = "the usage adds up to more than 2^53 - 1";
  else if (whole || report->tokens == stated) return;
  else if (stated != HG_UNKNOWN) s->reason = "the total of the usage is less than its parts";
  else if (s->counts->duration)
    s->reason = "the usage is a duration; it has neither a total of tokens nor both of its parts";
  else s->reason = "the usage has neither a total nor both of its parts";
}

// A count, or the sum of those by how long the cache lives.
static int64_t cache_writes(struct settling *s, int64_t (*take)(struct settling *s, enum hg_count_name name)) {
  const int64_t all = take(s, HG_COUNT_CACHE_WRITE);
  if (all != HG_UNKNOWN) return all;
  const int64_t short_lived = take(s, HG_COUNT_CACHE_WRITE_5M), long_lived = take(s, HG_COUNT_CACHE_WRITE_1H);
  return short_lived == HG_UNKNOWN && long_lived == HG_UNKNOWN ? HG_UNKNOWN : known(short_lived) + known(long_lived);
}

// Anthropic: the input excludes what was written to and read from the cache.
static void settle_anthropic(struct settling *s) {
  hg_usage_report *report = s->report;
  const int64_t input = need(s, HG_COUNT_INPUT), stated = need(s, HG_COUNT_TOTAL);
  report->output_tokens = need(s, HG_COUNT_OUTPUT);
  report->cached_tokens = need(s, HG_COUNT_CACHE_READ);
  report->cache_write_tokens = cache_writes(s, need);
  if (input != HG_UNKNOWN)
    report->input_tokens = input + known(report->cached_tokens) + known(report->cache_write_tokens);
  report->reasoning_tokens = part(s, HG_COUNT_REASONING);
  settle_total(s, stated);
}

static int64_t first_known(struct settling *s, const enum hg_count_name *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (part(s, names[i]) != HG_UNKNOWN) return part(s, names[i]);
  return HG_UNKNOWN;
}

// Where the details are silent, proxies of Claude say it in Anthropic's words. Most of them mean parts of the prompt;
// some leave the writes out of it, or both: these are told by numbers that could not be inside.
static void settle_cache(struct settling *s, bool chat) {
  static const enum hg_count_name reads[] = {HG_COUNT_CACHED_DETAIL, HG_COUNT_CACHE_HIT, HG_COUNT_CACHED,
                                             HG_COUNT_CACHE_READ};
  hg_usage_report *report = s->report;
  report->cached_tokens = first_known(s, reads, sizeof reads / sizeof *reads);
  report->cache_write_tokens = part(s, HG_COUNT_WRITTEN_DETAIL);
  if (report->cache_write_tokens == HG_UNKNOWN) report->cache_write_tokens = cache_writes(s, part);
  const int64_t read = known(part(s, HG_COUNT_CACHE_READ)), written = known(cache_writes(s, part));
  if (!chat || report->input_tokens == HG_UNKNOWN || s->reason) return;
  const int64_t prompt = report->input_tokens;
  if (read + written > prompt) report->input_tokens += written;
  if (read + written > report->input_tokens) report->input_tokens += read;
}

// OpenAI and compatible: prompt and completion (chat, completions, embeddings) or input and output (responses).
static void settle_openai(struct settling *s, bool chat) {
  hg_usage_report *report = s->report;
  const int64_t stated = need(s, HG_COUNT_TOTAL);
  report->input_tokens = need(s, chat ? HG_COUNT_PROMPT : HG_COUNT_INPUT);
  report->output_tokens = need(s, chat ? HG_COUNT_COMPLETION : HG_COUNT_OUTPUT);
  if (chat && report->input_tokens == HG_UNKNOWN && !s->reason) {
    const int64_t hit = part(s, HG_COUNT_CACHE_HIT), miss = part(s, HG_COUNT_CACHE_MISS);
    if (hit != HG_UNKNOWN && miss != HG_UNKNOWN) report->input_tokens = hit + miss;
  }
  if (s->counts->embeds && report->input_tokens == HG_UNKNOWN && report->output_tokens == HG_UNKNOWN)
    report->input_tokens = stated; // Voyage and Jina count no more than that
  settle_cache(s, chat);
  report->reasoning_tokens = part(s, HG_COUNT_REASONING);
  const bool whole = report->input_tokens != HG_UNKNOWN && report->output_tokens != HG_UNKNOWN;
  const int64_t rest = stated - known(report->input_tokens) - known(report->output_tokens);
  const int64_t connector = stated == HG_UNKNOWN ? need(s, HG_COUNT_CONNECTOR) : part(s, HG_COUNT_CONNECTOR);
  if (whole && connector > 0 && (stated == HG_UNKNOWN || rest == connector)) report->input_tokens += connector;
  // Some servers keep reasoning outside the output: their total shows it or, where no total holds, that there is more
  // of it than of the output.
  else if (whole && report->reasoning_tokens > 0 &&
           (rest == report->reasoning_tokens || (rest < 0 && report->reasoning_tokens > report->output_tokens)))
    report->output_tokens += report->reasoning_tokens;
  settle_total(s, stated);
}

static void settle_tokens(struct settling *s) {
  const struct hg_token_counts *f = s->counts;
  const bool prompt = hg_counts_say(f, HG_COUNT_PROMPT, HG_COUNT_PROMPT);
  // Proxies add Anthropic's cache members to a chat usage whose prompt already has them: so the prompt decides first.
  if (!prompt && (f->anthropic || hg_counts_say(f, HG_COUNT_CACHE_WRITE, HG_COUNT_CACHE_WRITE_1H))) settle_anthropic(s);
  else settle_openai(s, prompt || !hg_counts_say(f, HG_COUNT_INPUT, HG_COUNT_INPUT));
}

// Bedrock's total includes the cache. For some models it has the cache twice, which is known by the rest that it
// leaves.
static void settle_bedrock(struct settling *s) {
  hg_usage_report *report = s->report;
  const int64_t input = need(s, HG_COUNT_BEDROCK_INPUT);
  int64_t stated = need(s, HG_COUNT_BEDROCK_TOTAL);
  report->output_tokens = need(s, HG_COUNT_BEDROCK_OUTPUT);
  report->cached_tokens = need(s, HG_COUNT_BEDROCK_CACHE_READ);
  report->cache_write_tokens = need(s, HG_COUNT_BEDROCK_CACHE_WRITE);
  const int64_t read = known(report->cached_tokens), written = known(report->cache_write_tokens);
  if (input != HG_UNKNOWN) report->input_tokens = input + read + written;
  if (report->input_tokens != HG_UNKNOWN && report->output_tokens != HG_UNKNOWN) {
    const int64_t rest = stated - report->input_tokens - report->output_tokens;
    if (rest > 0 && (rest == read + written || rest == read || rest == written)) {
      s->remark = "suspicious: the total of the usage has its cached tokens twice; the sum of its parts is taken";
      stated -= rest;
    }
  }
  settle_total(s, stated);
}

// Gemini: total = prompt + tools' prompt + candidates + thoughts. Candidates without a token are left out. Where the
// total is the prompt and the candidates alone, the thoughts are among these.
static void settle_gemini(struct settling *s) {
  hg_usage_report *report = s->report;
  const int64_t stated = need(s, HG_COUNT_GEMINI_TOTAL);
  const int64_t prompt = need(s, HG_COUNT_GEMINI_PROMPT), tools = known(need(s, HG_COUNT_GEMINI_TOOL_PROMPT));
  const int64_t candidates = need(s, HG_COUNT_GEMINI_CANDIDATES), thoughts = need(s, HG_COUNT_GEMINI_THOUGHTS);
  report->cached_tokens = part(s, HG_COUNT_GEMINI_CACHED);
  report->reasoning_tokens = thoughts;
  if (prompt != HG_UNKNOWN) report->input_tokens = prompt + tools;
  report->output_tokens = candidates;
  const bool inside = prompt != HG_UNKNOWN && thoughts <= candidates && stated == prompt + tools + candidates;
  if (thoughts > 0 && !inside && (candidates != HG_UNKNOWN || stated != HG_UNKNOWN))
    report->output_tokens = known(candidates) + thoughts;
  const bool no_output = s->counts->embeds && report->output_tokens == HG_UNKNOWN;
  settle_total(s, no_output && stated == HG_UNKNOWN ? report->input_tokens : stated);
}

// Cohere: what is billed counts; what is not among the billed units is not billed. Only embeddings have no output.
static void settle_cohere(struct settling *s) {
  hg_usage_report *report = s->report;
  const bool billed = hg_counts_say(s->counts, HG_COUNT_BILLED_INPUT, HG_COUNT_BILLED_IMAGE_TOKENS);
  report->input_tokens = need(s, billed ? HG_COUNT_BILLED_INPUT : HG_COUNT_WORKED_INPUT);
  report->output_tokens = need(s, billed ? HG_COUNT_BILLED_OUTPUT : HG_COUNT_WORKED_OUTPUT);
  report->cached_tokens = part(s, HG_COUNT_CACHED);
  const int64_t of_images = need(s, HG_COUNT_BILLED_IMAGE_TOKENS);
  if (of_images != HG_UNKNOWN) report->input_tokens = known(report->input_tokens) + of_images;
  else if (need(s, HG_COUNT_BILLED_IMAGES) > 0) s->reason = "images were billed by their number, not in tokens";
  const bool tokens = billed || hg_counts_say(s->counts, HG_COUNT_WORKED_INPUT, HG_COUNT_WORKED_OUTPUT);
  if (!tokens && !s->reason) s->reason = "what was billed is counted in searches or classifications, not in tokens";
  const bool no_output = s->counts->embeds && report->output_tokens == HG_UNKNOWN;
  settle_total(s, no_output ? report->input_tokens : HG_UNKNOWN);
}

// Ollama leaves out a count that is 0, and counts only when it is done.
static void settle_ollama(struct settling *s) {
  hg_usage_report *report = s->report;
  const struct hg_token_counts *f = s->counts;
  const int64_t input = need(s, HG_COUNT_OLLAMA_PROMPT), output = need(s, HG_COUNT_OLLAMA_OUTPUT);
  report->input_tokens = input;
  report->output_tokens = output;
  if (!s->reason && f->unended && !f->embeds) s->reason = "the answer is not done, its counts are not the last ones";
  if (!s->reason && (f->of[HG_COUNT_OLLAMA_PROMPT].null || f->of[HG_COUNT_OLLAMA_OUTPUT].null))
    s->reason = "a token count of the answer is null";
  if (!s->reason) settle_total(s, known(input) + known(output));
}

// OpenTelemetry: the input includes what was read from and written to the cache.
static void settle_otel(struct settling *s) {
  s->report->input_tokens = need(s, HG_COUNT_OTEL_INPUT);
  s->report->output_tokens = need(s, HG_COUNT_OTEL_OUTPUT);
  s->report->cached_tokens = part(s, HG_COUNT_OTEL_CACHE_READ);
  s->report->cache_write_tokens = part(s, HG_COUNT_OTEL_CACHE_WRITE);
  settle_total(s, HG_UNKNOWN);
}

// Figures of the cache that are none may stand for the dearest input of all.
static bool cache_is_spoilt(const struct hg_token_counts *counts) {
  static const enum hg_count_name writes[] = {HG_COUNT_WRITTEN_DETAIL, HG_COUNT_CACHE_WRITE, HG_COUNT_CACHE_WRITE_5M,
                                              HG_COUNT_CACHE_WRITE_1H, HG_COUNT_OTEL_CACHE_WRITE};
  for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
    if (counts->of[writes[i]].fault) return true;
  return false;
}

static const char *why_nothing(const struct hg_token_counts *counts) {
  if (counts->duration) return "the usage is a duration; it has neither a total of tokens nor both of its parts";
  if (counts->usage == HG_JSON_OBJECT) return "the usage has neither a total nor both of its parts";
  if (counts->usage == HG_JSON_NULL) return "the usage is null";
  if (counts->usage != HG_JSON_NONE) return "the usage is not an object";
  return counts->error ? "the answer is an error and has no usage" : "the answer has no usage";
}

const char *hg_counts_settle(const struct hg_token_counts *counts, hg_usage_report *report, const char **remark) {
  static const struct {
    enum hg_count_name first, last;
    void (*settle)(struct settling *s);
  } families[] = {
      {HG_COUNT_PROMPT, HG_COUNT_CONNECTOR, settle_tokens},
      {HG_COUNT_BEDROCK_INPUT, HG_COUNT_BEDROCK_CACHE_WRITE, settle_bedrock},
      {HG_COUNT_GEMINI_PROMPT, HG_COUNT_GEMINI_TOTAL, settle_gemini},
      {HG_COUNT_BILLED_INPUT, HG_COUNT_WORKED_OUTPUT, settle_cohere},
      {HG_COUNT_OLLAMA_PROMPT, HG_COUNT_OLLAMA_OUTPUT, settle_ollama},
      {HG_COUNT_OTEL_INPUT, HG_COUNT_OTEL_CACHE_WRITE, settle_otel},
  };
  const hg_usage_report unknown = HG_USAGE_REPORT_INIT;
  struct settling s = {.counts = counts, .report = report};
  *report = unknown;
  s.reason = why_nothing(counts);
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    if (!hg_counts_say(counts, families[i].first, families[i].last)) continue;
    s.reason = NULL;
    families[i].settle(&s);
    break;
  }
  report->cache_doubtful = cache_is_spoilt(counts);
  hg_report_drop_impossible(report);
  *remark = s.remark;
  return s.reason;
}
