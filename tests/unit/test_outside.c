// The outside codec, outward: events and answers as maps that msgpack-c and jansson read, with the right names and
// types.
#include "config/config.h"
#include "unit/codec.h"

#include <jansson.h>

#define LEDGER "6f1c9b1e-0000-4000-8000-00000000c0de"

static uint8_t frame[HG_OUTSIDE_FRAME_MAX];

// Every index that a message may carry has a name here.
static const struct hg_names *names_of_all(void) {
  static struct hg_budget_config budgets[HG_BUDGETS_MAX];
  static struct hg_names names;
  for (uint32_t i = 0; i < HG_BUDGETS_MAX && !names.budgets; i++)
    snprintf(budgets[i].name, sizeof budgets[i].name, i ? "team-%u" : "default", (unsigned)i);
  names = (struct hg_names){LEDGER, budgets, HG_BUDGETS_MAX};
  return &names;
}

static size_t encode(const struct hg_message *message) {
  const struct hg_names *names = names_of_all();
  const size_t size = hg_kind_info(message->kind)->is_event
                          ? hg_outside_encode_event(message, names, frame, sizeof frame)
                          : hg_outside_encode(message, frame, sizeof frame);
  CHECK(size > 0);
  return size;
}

// ------------------------------------------------------------------------------------------------ as msgpack-c reads
// it

static void unpack(msgpack_unpacked *unpacked, size_t size) {
  size_t taken = 0;
  msgpack_unpacked_init(unpacked);
  CHECK_EQ(msgpack_unpack_next(unpacked, (const char *)frame, size, &taken), MSGPACK_UNPACK_SUCCESS);
  CHECK_EQ(taken, size);
  CHECK_EQ(unpacked->data.type, MSGPACK_OBJECT_MAP);
}

// The value of the n-th pair, whose key must be `key`.
static const msgpack_object *at(const msgpack_object *map, uint32_t n, const char *key) {
  CHECK_EQ(map->type, MSGPACK_OBJECT_MAP);
  CHECK(n < map->via.map.size);
  CHECK(codec_object_is(&map->via.map.ptr[n].key, key));
  return &map->via.map.ptr[n].val;
}

static bool is_topics(const msgpack_object *object, struct hg_bytes topics) {
  if (topics.size == 0) return object->type == MSGPACK_OBJECT_MAP && object->via.map.size == 0;
  msgpack_unpacked flat;
  msgpack_unpacked_init(&flat);
  bool same = msgpack_unpack_next(&flat, (const char *)topics.data, topics.size, NULL) == MSGPACK_UNPACK_SUCCESS;
  same = same && object->type == MSGPACK_OBJECT_MAP && flat.data.via.array.size == 2 * object->via.map.size;
  for (uint32_t i = 0; same && i < object->via.map.size; i++) {
    const msgpack_object *pair = &flat.data.via.array.ptr[(size_t)2 * i];
    same = codec_object_is(&object->via.map.ptr[i].key, hg_kind_info((unsigned)pair[0].via.u64)->name) &&
           oracle_is_number(&object->via.map.ptr[i].val, pair[1].via.u64);
  }
  msgpack_unpacked_destroy(&flat);
  return same;
}

static bool shows(const msgpack_object *object, const struct hg_field *field, const struct hg_message *message) {
  const void *value = (const char *)message + field->offset;
  char text[32];
  switch (field->type) {
  case HG_FIELD_flag: return object->type == MSGPACK_OBJECT_BOOLEAN && object->via.boolean == *(const bool *)value;
  case HG_FIELD_u32: return oracle_is_number(object, *(const uint32_t *)value);
  case HG_FIELD_u64: return oracle_is_number(object, *(const uint64_t *)value);
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_time: return oracle_is_int(object, *(const int64_t *)value);
  case HG_FIELD_opt:
  case HG_FIELD_amount:
    if (*(const int64_t *)value == HG_UNKNOWN) return object->type == MSGPACK_OBJECT_NIL;
    return oracle_is_int(object, *(const int64_t *)value);
  case HG_FIELD_percent:
    snprintf(text, sizeof text, "%u.%02u", *(const uint32_t *)value / 100, *(const uint32_t *)value % 100);
    return object->type == MSGPACK_OBJECT_FLOAT64 && object->via.f64 == strtod(text, NULL);
  case HG_FIELD_id:
    snprintf(text, sizeof text, "%016llx", (unsigned long long)*(const uint64_t *)value);
    return codec_object_is(object, text);
  case HG_FIELD_budget: return false; // no outside message has an index
  case HG_FIELD_source: return codec_object_is(object, hg_source_name(*(const uint32_t *)value));
  case HG_FIELD_text:
    return oracle_is_bytes(object, MSGPACK_OBJECT_STR, ((const struct hg_text *)value)->data,
                           ((const struct hg_text *)value)->size);
  case HG_FIELD_body: {
    const struct hg_bytes *body = value;
    return oracle_is_bytes(object, MSGPACK_OBJECT_STR, body->data, body->size);
  }
  case HG_FIELD_bytes: return is_topics(object, *(const struct hg_bytes *)value);
  }
  return false;
}

static void check_row(const msgpack_object *object, const struct hg_message *event, uint64_t row) {
  if (HG_IS_NEVER_A_ROW(event->kind) || event->as.head.seq == 0) CHECK_EQ(object->type, MSGPACK_OBJECT_NIL);
  else CHECK(oracle_is_number(object, row));
}

static void check_event(const struct hg_message *event, size_t size) {
  const struct hg_kind_info *info = hg_kind_info(event->kind);
  msgpack_unpacked unpacked;
  unpack(&unpacked, size);
  const msgpack_object *map = &unpacked.data;
  CHECK_EQ(map->via.map.size, 8);
  CHECK(oracle_is_number(at(map, 0, "v"), 1));
  CHECK(codec_object_is(at(map, 1, "type"), info->name));
  CHECK(codec_object_is(at(map, 2, "ledgerId"), LEDGER));
  check_row(at(map, 3, "seq"), event, event->as.head.seq);
  check_row(at(map, 4, "prev"), event, event->as.head.prev);
  CHECK(oracle_is_int(at(map, 5, "at"), event->as.head.at));
  CHECK(codec_object_is(at(map, 6, "budget"), names_of_all()->budgets[event->as.head.budget].name));
  const msgpack_object *payload = at(map, 7, "payload");
  CHECK_EQ(payload->via.map.size, info->field_count);
  for (uint32_t i = 0; i < info->field_count; i++)
    CHECK(shows(at(payload, i, info->fields[i].outside_name), &info->fields[i], event));
  msgpack_unpacked_destroy(&unpacked);
}

TEST(outside, every_event_is_a_map_with_names) {
  uint64_t seed = hg_test_seed("every_event_is_a_map");
  char scratch[CODEC_SCRATCH];
  for (unsigned code = HG_EVENT_FIRST; code <= HG_EVENT_LAST; code++)
    for (unsigned round = 0; round < CODEC_ROUNDS; round++) {
      struct hg_message event;
      hg_message_random(&event, (enum hg_kind)code, &seed, scratch, sizeof scratch);
      check_event(&event, encode(&event));
    }
}

TEST(outside, every_answer_is_a_flat_map) {
  uint64_t seed = hg_test_seed("every_answer_is_a_flat_map");
  char scratch[CODEC_SCRATCH];
  for (unsigned code = 0; (code = codec_next_control(code));)
    for (unsigned round = 0; round < CODEC_ROUNDS; round++) {
      const struct hg_kind_info *info = hg_kind_info(code);
      struct hg_message message;
      hg_message_random(&message, info->kind, &seed, scratch, sizeof scratch);
      msgpack_unpacked unpacked;
      unpack(&unpacked, encode(&message));
      CHECK_EQ(unpacked.data.via.map.size, info->field_count + 2);
      CHECK(oracle_is_number(at(&unpacked.data, 0, "v"), 1));
      CHECK(codec_object_is(at(&unpacked.data, 1, "type"), info->name));
      for (uint32_t i = 0; i < info->field_count; i++)
        CHECK(shows(at(&unpacked.data, i + 2, info->fields[i].outside_name), &info->fields[i], &message));
      msgpack_unpacked_destroy(&unpacked);
    }
}

// The longest that an event can be: every text at its greatest, every number at its widest.
TEST(outside, the_longest_event_fits_into_its_frame) {
  static char text[HG_TEXT_MAX];
  memset(text, 'x', sizeof text);
  for (unsigned code = HG_EVENT_FIRST; code <= HG_EVENT_LAST; code++) {
    const struct hg_kind_info *info = hg_kind_info(code);
    struct hg_message event;
    hg_message_init(&event, info->kind);
    for (uint32_t i = 0; i < info->frame_field_count; i++) {
      void *value = (char *)&event + info->frame_fields[i].offset;
      if (info->frame_fields[i].type == HG_FIELD_text) *(struct hg_text *)value = (struct hg_text){text, sizeof text};
      if (info->frame_fields[i].type == HG_FIELD_tokens) *(int64_t *)value = HG_TOKENS_MAX;
      if (info->frame_fields[i].type == HG_FIELD_opt) *(int64_t *)value = HG_TOKENS_MAX;
      if (info->frame_fields[i].type == HG_FIELD_num) *(int64_t *)value = INT64_MIN;
      if (info->frame_fields[i].type == HG_FIELD_u32) *(uint32_t *)value = UINT32_MAX;
    }
    CHECK(encode(&event) <= HG_OUTSIDE_FRAME_MAX - 256); // room for a longer name of the budget
  }
}

TEST(outside, what_is_not_journalled_has_no_seq) {
  struct hg_message event;
  struct hg_event_envelope envelope;
  hg_message_init(&event, HG_STORE_DEGRADED);
  event.as.head.at = 5;
  check_event(&event, encode(&event));
  CHECK_EQ(hg_outside_read_envelope(frame, encode(&event), &envelope), HG_OK);
  CHECK(envelope.seq == 0 && envelope.prev == 0 && envelope.at == 5);
  event.as.head.seq = 812;
  event.as.head.prev = 640;
  check_event(&event, encode(&event));
  CHECK_EQ(hg_outside_read_envelope(frame, encode(&event), &envelope), HG_OK);
  CHECK(envelope.seq == 812 && envelope.prev == 640);
}

TEST(outside, a_heartbeat_names_the_newest_row_of_each_topic) {
  static const uint8_t topics[] = {0x94, 0xcd, 0x01, 0x04, 0x2a, 0xcd, 0x01, 0x0b, 0x07}; // [0x104, 42, 0x10b, 7]
  struct hg_message beat;
  char json[HG_OUTSIDE_FRAME_MAX];
  hg_message_init(&beat, HG_HEARTBEAT);
  beat.as.heartbeat.newest = 42;
  beat.as.heartbeat.topics = (struct hg_bytes){topics, sizeof topics};
  CHECK(hg_outside_to_json(frame, encode(&beat), json, sizeof json) > 0);
  CHECK_STR(json, "{\"v\":1,\"type\":\"HEARTBEAT\",\"ledgerId\":\"" LEDGER "\",\"seq\":null,\"prev\":null,\"at\":0,"
                  "\"budget\":\"default\",\"payload\":{\"newest\":42,\"storeDegraded\":false,"
                  "\"topics\":{\"TOKENS_SETTLED\":42,\"CONCURRENCY_THROTTLED\":7},\"unheard\":0}}");
}

TEST(outside, topics_of_another_shape_are_not_written) {
  static const uint8_t bad[][8] = {{0x91, 0x01}, {0x92, 0x01, 0x01}, {0x92, 0xcd, 0x01},   {0x92, 0xcd, 0x02, 0x00, 1},
                                   {0x80},       {0xdd, 0x10},       {0x92, 0xa1, 'a', 1}, {0x90, 0x90}};
  static const uint32_t sizes[] = {2, 3, 3, 5, 1, 2, 4, 2};
  struct hg_message beat;
  hg_message_init(&beat, HG_HEARTBEAT);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    beat.as.heartbeat.topics = (struct hg_bytes){bad[i], sizes[i]};
    CHECK_EQ(hg_outside_encode_event(&beat, names_of_all(), frame, sizeof frame), 0);
  }
}

TEST(outside, a_frame_that_does_not_fit_is_not_begun) {
  uint64_t seed = hg_test_seed("a_frame_that_does_not_fit");
  char scratch[600];
  for (unsigned code = HG_EVENT_FIRST; code <= HG_EVENT_LAST; code++) {
    struct hg_message event;
    hg_message_random(&event, (enum hg_kind)code, &seed, scratch, sizeof scratch);
    const size_t size = encode(&event);
    for (size_t room = 0; room <= size; room++) {
      uint8_t *exact = codec_exact(frame, room);
      CHECK_EQ(hg_outside_encode_event(&event, names_of_all(), exact, room), room == size ? size : 0);
      free(exact);
    }
  }
}

// ------------------------------------------------------------------------------------------------ the envelope, JSON

TEST(outside, the_envelope_and_the_json_say_what_the_event_says) {
  uint64_t seed = hg_test_seed("the_envelope_and_the_json");
  static char json[8 * HG_OUTSIDE_FRAME_MAX];
  char scratch[CODEC_SCRATCH];
  for (unsigned code = HG_EVENT_FIRST; code <= HG_EVENT_LAST; code++)
    for (unsigned round = 0; round < CODEC_ROUNDS / 4; round++) {
      const struct hg_kind_info *info = hg_kind_info(code);
      struct hg_message event;
      struct hg_event_envelope envelope;
      hg_message_random(&event, info->kind, &seed, scratch, sizeof scratch);
      const size_t size = encode(&event);
      const bool journalled = !HG_IS_NEVER_A_ROW(info->kind) && event.as.head.seq;
      CHECK_EQ(hg_outside_read_envelope(frame, size, &envelope), HG_OK);
      CHECK(hg_text_equal(envelope.type, hg_text_of(info->name)));
      CHECK(hg_text_equal(envelope.budget, hg_text_of(names_of_all()->budgets[event.as.head.budget].name)));
      CHECK(envelope.seq == (journalled ? event.as.head.seq : 0));
      CHECK(envelope.prev == (journalled ? event.as.head.prev : 0));
      CHECK_EQ(envelope.at, event.as.head.at);
      const size_t length = hg_outside_to_json(frame, size, json, sizeof json);
      CHECK(length > 0 && length == strlen(json) && !strchr(json, '\n'));
      // jansson keeps integers up to INT64_MAX; larger ones as reals
      json_t *root = json_loads(json, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
      CHECK(root != NULL);
      CHECK(strcmp(json_string_value(json_object_get(root, "type")), info->name) == 0);
      CHECK(json_number_value(json_object_get(root, "at")) == (double)event.as.head.at);
      CHECK_EQ(json_object_size(json_object_get(root, "payload")), info->field_count);
      json_decref(root);
    }
}
