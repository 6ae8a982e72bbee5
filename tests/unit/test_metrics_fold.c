// links: program
// The histograms that events are folded into: what is counted, what is not, and that memory stays bounded.
#include "metrics/fold.h"
#include "schemas/message.h"
#include "support/test.h"

#include <inttypes.h>
#include <stdarg.h>

static struct hg_fold fold; // large

static void begin(void) {
  hg_fold_clear(&fold);
}

__attribute__((format(printf, 3, 4))) static void take(const char *type, int64_t at, const char *payload, ...) {
  char inner[1024], json[2048];
  va_list arguments;
  va_start(arguments, payload);
  vsnprintf(inner, sizeof inner, payload, arguments);
  va_end(arguments);
  snprintf(json, sizeof json, "{\"v\":1,\"type\":\"%s\",\"at\":%" PRId64 ",\"payload\":%s}", type, at, inner);
  hg_event event = HG_EVENT_INIT;
  event.type = type;
  event.at = at;
  event.json = json;
  hg_fold_take(&fold, &event);
}

static void settle(uint64_t permit, int64_t at, const char *model, int64_t input, int64_t output) {
  take("TOKENS_SETTLED", at,
       "{\"permit\":\"%016" PRIx64 "\",\"model\":\"%s\",\"inputTokens\":%" PRId64 ",\"outputTokens\":%" PRId64
       ",\"source\":\"exact\"}",
       permit, model, input, output);
}

#define PERMIT "{\"permit\":\"%016" PRIx64 "\"}"

static const struct hg_fold_model *model(const char *name) {
  for (size_t i = 0; i < fold.model_count; i++)
    if (strcmp(fold.models[i].name, name) == 0) return &fold.models[i];
  return NULL;
}

TEST(metrics_fold, tokens_go_into_the_bucket_whose_end_covers_them) {
  begin();
  const int64_t values[] = {0, 1, 2, 4, 5, 67108864, 67108865};
  const size_t buckets[] = {0, 0, 1, 1, 2, 13, 14};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    hg_fold_clear(&fold);
    settle(i + 1, 10, "m", values[i], 3);
    const struct hg_histogram *input = &model("m")->tokens[HG_TOKENS_INPUT];
    CHECK_EQ(input->counts[buckets[i]], 1);
    CHECK_EQ(input->count, 1);
    CHECK_EQ(input->sum, values[i]);
    CHECK_EQ(model("m")->tokens[HG_TOKENS_OUTPUT].sum, 3);
  }
}

TEST(metrics_fold, what_the_provider_did_not_say_is_no_sample) {
  begin();
  take("TOKENS_SETTLED", 10,
       "{\"permit\":\"1\",\"model\":\"m\",\"inputTokens\":5,\"outputTokens\":5,\"source\":\"estimated\"}");
  take("TOKENS_SETTLED", 10,
       "{\"permit\":\"2\",\"model\":\"m\",\"inputTokens\":null,\"outputTokens\":5,\"source\":\"exact\"}");
  take("USAGE_RECORDED", 10, "{\"model\":\"m\",\"source\":\"exact\"}");
  take("USAGE_RECORDED", 10, "{\"model\":\"m\",\"inputTokens\":-4,\"outputTokens\":\"5\",\"source\":\"exact\"}");
  take("TOKENS_SETTLED", 10, "{}");
  take("TOKENS_SETTLED", 10, "[");
  take("NO_SUCH_EVENT", 10, "{}");
  CHECK_EQ(model("m")->tokens[HG_TOKENS_INPUT].count, 0);
  CHECK_EQ(model("m")->tokens[HG_TOKENS_OUTPUT].count, 1);
  take("USAGE_RECORDED", 10, "{\"model\":\"m\",\"inputTokens\":7,\"outputTokens\":8,\"source\":\"exact\"}");
  CHECK_EQ(model("m")->tokens[HG_TOKENS_INPUT].sum, 7);
  CHECK_EQ(model("m")->tokens[HG_TOKENS_OUTPUT].sum, 13);
}

TEST(metrics_fold, a_task_lasts_from_its_start_to_its_end) {
  begin();
  take("TASK_STARTED", 1000000, PERMIT, UINT64_C(0xa1));
  take("TASK_STARTED", 1500000, PERMIT, UINT64_C(0xa2));
  settle(0xa1, 1030000, "m", 1, 1);
  take("TASK_FINISHED", 1030000, PERMIT, UINT64_C(0xa1));
  take("TOKENS_RELEASED", 3500000, PERMIT, UINT64_C(0xa2));
  take("TASK_FAILED", 3500000, PERMIT, UINT64_C(0xa2));
  CHECK_EQ(model("m")->finished.count, 1);
  CHECK_EQ(model("m")->finished.sum, 30000);
  CHECK_EQ(model("m")->finished.counts[2], 1); // up to 0.04 s
  CHECK_EQ(model("m")->failed.count, 0);
  CHECK_EQ(model("")->failed.sum, 2000000);
  CHECK_EQ(model("")->failed.counts[8], 1); // up to 2.56 s
  CHECK_EQ(fold.starts.count, 0);
}

TEST(metrics_fold, what_is_tried_again_was_orphaned_or_began_unseen_lasts_nobody_knows_how_long) {
  begin();
  take("TASK_STARTED", 10, PERMIT, UINT64_C(1));
  settle(1, 20, "m", 1, 1); // will be tried again: its task's end does not come
  take("TASK_STARTED", 30, PERMIT, UINT64_C(2));
  take("RESERVATION_ORPHANED", 40, PERMIT, UINT64_C(2));
  take("TASK_FAILED", 40, PERMIT, UINT64_C(2));
  settle(3, 50, "m", 1, 1); // its start was before ours
  take("TASK_FINISHED", 50, PERMIT, UINT64_C(3));
  take("TASK_FINISHED", 50, PERMIT, UINT64_C(1));
  take("TASK_STARTED", 90, PERMIT, UINT64_C(4)); // the clock was set back meanwhile
  settle(4, 60, "m", 1, 1);
  take("TASK_FINISHED", 60, PERMIT, UINT64_C(4));
  CHECK_EQ(model("m")->finished.count, 0);
  CHECK_EQ(model("m")->failed.count, 0);
  CHECK_EQ(model("m")->tokens[HG_TOKENS_INPUT].count, 3);
  CHECK_EQ(fold.starts.count, 0);
}

TEST(metrics_fold, more_models_than_are_told_apart_are_other) {
  begin();
  char name[32];
  for (unsigned i = 0; i < 3 * HG_FOLD_MODELS_MAX; i++) {
    snprintf(name, sizeof name, "model-%u", i);
    settle(i + 1, 10, name, 1, 1);
  }
  CHECK_EQ(fold.model_count, HG_FOLD_MODELS_MAX + 1);
  CHECK_EQ(model("other")->tokens[HG_TOKENS_INPUT].count, 2 * HG_FOLD_MODELS_MAX);
  CHECK_EQ(model("model-0")->tokens[HG_TOKENS_INPUT].count, 1);
  settle(1000, 10, "other", 1, 1); // of that very name
  CHECK_EQ(fold.model_count, HG_FOLD_MODELS_MAX + 1);
  begin(); // one of that name among the first is the others' too
  settle(1, 10, "other", 1, 1);
  for (unsigned i = 0; i < 2 * HG_FOLD_MODELS_MAX; i++) {
    snprintf(name, sizeof name, "model-%u", i);
    settle(i + 2, 10, name, 1, 1);
  }
  CHECK_EQ(fold.model_count, HG_FOLD_MODELS_MAX);
  CHECK_EQ(model("other")->tokens[HG_TOKENS_INPUT].count, 2 + HG_FOLD_MODELS_MAX);
}

TEST(metrics_fold, a_model_may_be_called_anything) {
  begin();
  settle(1, 10, "a\\\"b\\\\c\\nd\\u00e9", 1, 1);
  CHECK(model("a\"b\\c\nd\u00e9") != NULL);
  char longest[6 * HG_LABEL_MAX + 1] = "";
  for (int i = 0; i < HG_LABEL_MAX; i++)
    strcat(longest, "\\u0001");
  settle(2, 10, longest, 1, 1);
  CHECK_EQ(strlen(fold.models[fold.model_count - 1].name), HG_LABEL_MAX);
  take("TOKENS_SETTLED", 10, "{\"model\":5,\"inputTokens\":1,\"source\":\"exact\"}");
  CHECK_EQ(model("")->tokens[HG_TOKENS_INPUT].count, 1);
}

TEST(metrics_fold, starts_are_bounded) {
  begin();
  for (uint64_t permit = 1; permit <= HG_FOLD_STARTS_MAX + 10; permit++)
    take("TASK_STARTED", 10, PERMIT, permit);
  CHECK_EQ(fold.starts.count, HG_FOLD_STARTS_MAX);
  settle(1, 20, "m", 1, 1);
  take("TASK_FINISHED", 20, PERMIT, UINT64_C(1));
  settle(HG_FOLD_STARTS_MAX + 1, 20, "m", 1, 1);
  take("TASK_FINISHED", 20, PERMIT, (uint64_t)HG_FOLD_STARTS_MAX + 1);
  CHECK_EQ(model("m")->finished.count, 1);
  begin();
}

TEST(metrics_fold, a_heartbeat_tells_of_the_store_and_rows_that_are_gone_are_counted) {
  begin();
  take("HEARTBEAT", 10, "{\"newest\":1,\"storeDegraded\":true}");
  CHECK(fold.degraded);
  take("HEARTBEAT", 10, "{\"newest\":1,\"storeDegraded\":false}");
  CHECK(!fold.degraded);
  hg_event event = HG_EVENT_INIT;
  event.type = "TASK_STARTED";
  event.json = "{}";
  event.oldest = 7;
  hg_fold_take(&fold, &event);
  CHECK_EQ(fold.missed, 1);
}

TEST(metrics_fold, every_topic_is_an_event) {
  for (size_t i = 0; i < hg_fold_topic_count; i++) {
    const struct hg_kind_info *info = hg_kind_by_name(hg_text_of(hg_fold_topics[i]));
    CHECK(info && info->is_event);
  }
}
