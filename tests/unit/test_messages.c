// The message table, the error table, the counters, texts.
#include "bus/frames.h"
#include "schemas/counters.h"
#include "support/test.h"
#include "unit/codec.h"

TEST(messages, each_code_has_one_kind) {
  unsigned kinds = 0, found = 0;
  const struct hg_kind_info *info;
  for (; (info = hg_kind_at(kinds)) != NULL; kinds++) {
    CHECK(hg_kind_info(info->kind) == info);
    CHECK(hg_kind_by_name(hg_text_of(info->name)) == info);
    CHECK(info->is_event == (info->kind >= HG_EVENT_FIRST));
    CHECK(info->kind <= HG_EVENT_LAST);
    CHECK(info->since >= 1 && info->doc[0] != '\0' && info->field_count >= 1);
  }
  for (unsigned code = 0; code < 0x10000; code++)
    if (hg_kind_info(code)) found++;
  CHECK_EQ(found, kinds);
  CHECK(kinds > 50);
  CHECK(hg_kind_info(HG_NONE) == NULL);
  CHECK(hg_kind_info(UINT32_MAX) == NULL);
  CHECK(hg_kind_at(UINT32_MAX) == NULL);
  CHECK(hg_kind_by_name(hg_text_of("tokens_reserved")) == NULL);
  CHECK(hg_kind_by_name(hg_text_of(NULL)) == NULL);
  CHECK(hg_kind_by_name((struct hg_text){"STATUS_", 6}) == hg_kind_info(HG_STATUS));
}

// A subscription of ZeroMQ is a prefix.
TEST(messages, no_topic_begins_another) {
  const struct hg_kind_info *a, *b;
  for (unsigned i = 0; (a = hg_kind_at(i)) != NULL; i++)
    for (unsigned j = 0; (b = hg_kind_at(j)) != NULL; j++)
      if (i != j && a->is_event && b->is_event) CHECK(strncmp(a->name, b->name, strlen(a->name)) != 0);
}

// One column of the journal, one name outside, one type.
TEST(messages, an_event_field_has_one_type_and_one_column) {
  const struct hg_kind_info *a, *b;
  for (unsigned i = 0; (a = hg_kind_at(i)) != NULL; i++)
    for (unsigned j = i; (b = hg_kind_at(j)) != NULL; j++) {
      if (!a->is_event || !b->is_event) continue;
      for (uint32_t m = 0; m < a->frame_field_count; m++)
        for (uint32_t n = 0; n < b->frame_field_count; n++) {
          const struct hg_field *f = &a->frame_fields[m], *g = &b->frame_fields[n];
          if (strcmp(f->name, g->name) == 0) CHECK_EQ(f->type, g->type);
          if (strcmp(f->outside_name, g->outside_name) == 0) CHECK_EQ(f->type, g->type);
          if (i == j && m != n) CHECK(strcmp(f->name, g->name) != 0 && strcmp(f->outside_name, g->outside_name) != 0);
        }
    }
}

// What the outside codec takes for granted.
TEST(messages, outside_messages_have_outside_fields) {
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    CHECK(info->field_count <= 64);
    for (uint32_t n = 0; n < info->field_count; n++) {
      const struct hg_field *field = &info->fields[n];
      if (info->is_event)
        CHECK(field->type != HG_FIELD_body && (field->type != HG_FIELD_bytes || info->kind == HG_HEARTBEAT));
      if (info->is_event || hg_is_control(info->kind)) CHECK(field->type != HG_FIELD_budget);
      if (!hg_is_control(info->kind)) continue;
      CHECK(field->type != HG_FIELD_bytes);
      CHECK(strcmp(field->outside_name, "v") != 0 && strcmp(field->outside_name, "type") != 0);
    }
  }
}

TEST(messages, the_head_of_events_is_their_first_four_fields) {
  uint32_t count = 0;
  const struct hg_field *head = hg_event_head_fields(&count);
  const struct hg_kind_info *info;
  CHECK_EQ(count, 4);
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    CHECK_EQ(info->frame_field_count, info->field_count + (info->is_event ? count : 0));
    CHECK(info->fields == info->frame_fields + (info->is_event ? count : 0));
    for (uint32_t n = 0; info->is_event && n < count; n++) {
      CHECK_STR(info->frame_fields[n].name, head[n].name);
      CHECK_EQ(info->frame_fields[n].offset, head[n].offset);
    }
  }
}

TEST(messages, a_new_message_has_its_defaults) {
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    struct hg_message message, zero;
    memset(&message, 0x5a, sizeof message);
    memset(&zero, 0, sizeof zero);
    hg_message_init(&message, info->kind);
    zero.kind = info->kind;
    for (uint32_t n = 0; n < info->field_count; n++) {
      const int64_t unknown = HG_UNKNOWN;
      if (info->fields[n].type == HG_FIELD_opt)
        memcpy((char *)&zero + info->fields[n].offset, &unknown, sizeof unknown);
    }
    CHECK(hg_message_equal(&message, &zero));
  }
}

// Turns one bit of the value over; of a text or bytes the size.
static void change(struct hg_message *message, const struct hg_field *field) {
  char *value = (char *)message + field->offset;
  if (field->type == HG_FIELD_text)
    ((struct hg_text *)(void *)value)->data = "!", ((struct hg_text *)(void *)value)->size = 1;
  else if (field->type == HG_FIELD_body || field->type == HG_FIELD_bytes)
    *(struct hg_bytes *)(void *)value = (struct hg_bytes){(const uint8_t *)"!", 1};
  else *value = (char)(*value ^ 1);
}

TEST(messages, equality_sees_every_field) {
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++)
    for (uint32_t n = 0; n < info->frame_field_count; n++) {
      struct hg_message a, b;
      hg_message_init(&a, info->kind);
      hg_message_init(&b, info->kind);
      CHECK(hg_message_equal(&a, &b));
      change(&b, &info->frame_fields[n]);
      CHECK(!hg_message_equal(&a, &b) && !hg_message_equal(&b, &a));
    }
  struct hg_message a, b;
  hg_message_init(&a, HG_CANCEL);
  hg_message_init(&b, HG_GET_QUEUE);
  CHECK(!hg_message_equal(&a, &b));
}

TEST(messages, every_kind_keeps_its_bounds) {
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    CHECK(hg_message_bound(info->kind) > info->frame_field_count);
    CHECK(hg_message_bound(info->kind) <= HG_EVENT_FRAME_MAX);
  }
  CHECK_EQ(hg_message_bound(HG_NONE), 0);
  CHECK_EQ(hg_message_bound(HG_CANCEL), 1 + 1 + 9 + 1);
  CHECK_EQ(hg_message_bound(HG_STORE_DEGRADED), 1 + 3 + 9 + 9 + 9 + 3 + 3 + HG_TEXT_MAX);
}

TEST(messages, random_messages_repeat_by_seed_and_stay_in_their_scratch) {
  const uint64_t start = hg_test_seed("random_messages");
  const struct hg_kind_info *info;
  char first[CODEC_SCRATCH], second[CODEC_SCRATCH];
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    uint64_t a_seed = start + i, b_seed = start + i;
    for (unsigned round = 0; round < 200; round++) {
      const size_t room = codec_random(&a_seed) % 700;
      codec_random(&b_seed);
      memset(first + room, '#', sizeof first - room);
      struct hg_message a, b;
      hg_message_random(&a, info->kind, &a_seed, first, room);
      hg_message_random(&b, info->kind, &b_seed, second, room);
      CHECK(a_seed == b_seed && hg_message_equal(&a, &b));
      for (size_t n = room; n < sizeof first; n++)
        CHECK(first[n] == '#');
    }
  }
}

// ------------------------------------------------------------------------------------------------ texts

TEST(messages, texts_compare_and_copy) {
  char to[5];
  CHECK(hg_text_equal(hg_text_of(NULL), hg_text_of("")));
  CHECK(hg_text_equal(hg_text_of("ab"), (struct hg_text){"abc", 2}));
  CHECK(!hg_text_equal(hg_text_of("ab"), hg_text_of("ac")));
  hg_text_copy(to, sizeof to, hg_text_of("abcd"));
  CHECK_STR(to, "abcd");
  hg_text_copy(to, sizeof to, hg_text_of("abcdef"));
  CHECK_STR(to, "abcd");
  hg_text_copy(to, sizeof to, hg_text_of("abc\xC3\xA9"));
  CHECK_STR(to, "abc"); // no half characters
  hg_text_copy(to, sizeof to, hg_text_of("\xF0\x9F\x99\x82!"));
  CHECK_STR(to, "\xF0\x9F\x99\x82");
  hg_text_copy(to, 1, hg_text_of("a"));
  CHECK_STR(to, "");
}

TEST(messages, texts_are_utf8_without_nul) {
  static const char *const good[] = {"",
                                     "plain",
                                     "\x01\x7f",
                                     "\xC2\x80 \xDF\xBF",
                                     "\xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF",
                                     "\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF",
                                     "12345678\xC3\xA9!1234567"};
  static const char *const bad[] = {"\x80",
                                    "\xC3",
                                    "\xC0\x80",
                                    "\xC1\xBF",
                                    "\xE0\x9F\xBF",
                                    "\xED\xA0\x80",
                                    "\xE2\x82",
                                    "\xF0\x8F\xBF\xBF",
                                    "\xF4\x90\x80\x80",
                                    "\xF5\x80\x80\x80",
                                    "\xFF",
                                    "1234567\xC3",
                                    "12345678\x80",
                                    "\xC3(",
                                    "\xF0\x9F\x99"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    CHECK(hg_text_valid(hg_text_of(good[i])));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CHECK(!hg_text_valid(hg_text_of(bad[i])));
  for (uint32_t at = 0; at < 16; at++) {
    char text[17] = "0123456789abcdef";
    text[at] = '\0';
    CHECK(!hg_text_valid((struct hg_text){text, 16}));
  }
}

// ------------------------------------------------------------------------------------------------ errors, counters

TEST(messages, every_error_has_a_name_and_a_sentence) {
  static const struct {
    const char *name;
    int number;
    const char *text;
  } errors[] = {
#define ERROR(name, number, text) {"HG_" #name, number, text},
#include "schemas/errors.def"
#undef ERROR
  };
  const int count = (int)(sizeof errors / sizeof *errors);
  for (int i = 0; i < count; i++) {
    CHECK_EQ(errors[i].number, i); // no gaps so far
    CHECK_STR(hg_err_name((hg_err)i), errors[i].name);
    CHECK_STR(hg_err_text((hg_err)i), errors[i].text);
    CHECK(strlen(errors[i].text) <= HG_TEXT_MAX);
  }
  CHECK_STR(hg_err_name((hg_err)count), "HG_ERR_?");
  CHECK_STR(hg_err_text((hg_err)count), "unknown error");
  int major = -1, minor = -1, patch = -1;
  CHECK_EQ(sscanf(hg_version(), "%d.%d.%d", &major, &minor, &patch), 3);
}

TEST(messages, counters_add_up) {
  struct hg_counters sum = {.commits = 1}, more = {.commits = 2, .rows_written = 300};
  hg_counters_add(&sum, &more);
  CHECK_EQ(hg_counter_value(&sum, HG_COUNTER_COMMITS), 3);
  CHECK_EQ(hg_counter_value(&sum, HG_COUNTER_ROWS_WRITTEN), 300);
  CHECK_EQ(hg_counter_value(&sum, HG_COUNTER_BUSY_REFUSALS), 0);
  CHECK_STR(hg_counter_info(HG_COUNTER_COMMIT_FAILURES)->name, "commit_failures");
  for (unsigned i = 0; i < HG_COUNTER_COUNT; i++) {
    const struct hg_counter_info *info = hg_counter_info((enum hg_counter_id)i);
    CHECK(info->name[0] && info->unit[0] && info->doc[0]);
  }
}

TEST(messages, sources_have_names) {
  CHECK_STR(hg_source_name(HG_SOURCE_EXACT), "exact");
  CHECK_STR(hg_source_name(HG_SOURCE_ESTIMATED), "estimated");
  CHECK_STR(hg_source_name(HG_SOURCE_MISSING), "missing");
  CHECK_STR(hg_source_name(3), "?");
}
