// The inside codec: what is written is read back, nothing else is, and msgpack-c sees the same values.
#include "unit/codec.h"

static uint8_t frame[HG_FRAME_MAX + 64];

static size_t encode(const struct hg_message *message) {
  const size_t size = hg_frame_encode(message, frame, sizeof frame);
  CHECK(size > 0);
  return size;
}

// ------------------------------------------------------------------------------------------------ round trips

static void check_oracle(const struct hg_message *message, size_t size) {
  msgpack_unpacked unpacked;
  CHECK(oracle_unpack(frame, size, &unpacked));
  CHECK(oracle_agrees(&unpacked.data, message));
  CHECK(unpacked.data.via.array.size <= hg_kind_info(message->kind)->frame_field_count + 1);
  msgpack_unpacked_destroy(&unpacked);
}

static void check_round_trip(const struct hg_message *message) {
  const size_t size = encode(message);
  struct hg_message back;
  size_t taken = 0;
  CHECK_EQ(hg_frame_decode(frame, size, &back), HG_OK);
  CHECK(hg_message_equal(message, &back));
  CHECK_EQ(hg_frame_decode_next(frame, sizeof frame, &back, &taken), HG_OK);
  CHECK_EQ(taken, size);
  CHECK(hg_message_equal(message, &back));
  check_oracle(message, size);
}

TEST(frames, every_kind_round_trips) {
  uint64_t seed = hg_test_seed("every_kind_round_trips");
  char scratch[CODEC_SCRATCH];
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++)
    for (unsigned round = 0; round < CODEC_ROUNDS; round++) {
      struct hg_message message;
      hg_message_random(&message, info->kind, &seed, scratch, sizeof scratch);
      check_round_trip(&message);
    }
}

TEST(frames, no_frame_is_over_its_bound) {
  uint64_t seed = hg_test_seed("no_frame_is_over_its_bound");
  char scratch[CODEC_SCRATCH];
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++)
    for (unsigned round = 0; round < CODEC_ROUNDS; round++) {
      struct hg_message message;
      hg_message_random(&message, info->kind, &seed, scratch, sizeof scratch);
      size_t bytes = 0; // fields of bytes have no bound of their own
      for (uint32_t f = 0; f < info->field_count; f++)
        if (info->fields[f].type == HG_FIELD_body || info->fields[f].type == HG_FIELD_bytes)
          bytes += 5 + ((const struct hg_bytes *)(const void *)((const char *)&message + info->fields[f].offset))->size;
      CHECK(encode(&message) <= hg_message_bound(info->kind) + bytes);
    }
}

TEST(frames, defaults_at_the_end_are_left_out) {
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    struct hg_message message, back;
    hg_message_init(&message, info->kind);
    const size_t size = encode(&message);
    CHECK_EQ(size, info->kind < 0x80 ? 2 : info->kind < 0x100 ? 3 : 4);
    CHECK_EQ(frame[0], 0x91);
    CHECK_EQ(hg_frame_decode(frame, size, &back), HG_OK);
    CHECK(hg_message_equal(&message, &back));
  }
  struct hg_message record;
  hg_message_init(&record, HG_RECORD_USAGE);
  record.as.record_usage.attempt = 1; // the last field: nothing before it may be left out
  encode(&record);
  CHECK_EQ(frame[0], 0x9e);
}

// libzmq keeps frames of at most 33 bytes without an allocation.
TEST(frames, hot_frames_are_kept_inline) {
  struct hg_message message;
  hg_message_init(&message, HG_RECORD_USAGE);
  message.as.record_usage.number = UINT32_MAX;
  message.as.record_usage.budget = HG_BUDGETS_MAX - 1;
  message.as.record_usage.tokens = UINT32_MAX;
  message.as.record_usage.task_id = hg_text_of("0123456789abcdef");
  CHECK(encode(&message) <= HG_INLINE_FRAME);
  static const enum hg_kind always[] = {HG_GRANTED, HG_SETTLED, HG_RECORDED, HG_CANCEL,
                                        HG_ROOM,    HG_CROSSED, HG_DONE,     HG_GET_USAGE};
  for (size_t i = 0; i < sizeof always / sizeof *always; i++)
    CHECK(hg_message_bound(always[i]) <= HG_INLINE_FRAME);
  hg_message_init(&message, HG_PERMIT_CLOSED); // of one that ran
  message.as.permit_closed.permit = UINT64_MAX;
  message.as.permit_closed.error = UINT32_MAX;
  message.as.permit_closed.seq = UINT64_MAX;
  CHECK(encode(&message) <= HG_INLINE_FRAME);
  hg_message_init(&message, HG_COMMITTED); // of a store that is well
  message.as.committed.seq = UINT64_MAX;
  CHECK(encode(&message) <= HG_INLINE_FRAME);
  hg_message_init(&message, HG_RELEASE);
  message.as.release.permit = UINT64_MAX;
  message.as.release.outcome = UINT32_MAX;
  CHECK(encode(&message) <= HG_INLINE_FRAME);
}

TEST(frames, a_frame_that_does_not_fit_is_not_begun) {
  uint64_t seed = hg_test_seed("a_frame_that_does_not_fit");
  char scratch[CODEC_SCRATCH];
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    struct hg_message message;
    hg_message_random(&message, info->kind, &seed, scratch, sizeof scratch);
    const size_t size = encode(&message);
    for (size_t room = 0; room <= size; room++) {
      uint8_t *exact = codec_exact(frame, room);
      CHECK_EQ(hg_frame_encode(&message, exact, room), room == size ? size : 0);
      free(exact);
    }
  }
}

TEST(frames, texts_that_no_reader_takes_are_not_written) {
  static char long_text[HG_TEXT_MAX + 2];
  memset(long_text, 'x', sizeof long_text - 1);
  struct hg_message message;
  hg_message_init(&message, HG_STOPPED);
  const struct hg_text bad[] = {hg_text_of(long_text), hg_text_of("\xff"), {"a\0b", 3}, {"\xE2\x82\xAC", 2}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    message.as.stopped.reason = bad[i];
    CHECK_EQ(hg_frame_encode(&message, frame, sizeof frame), 0);
  }
  message.as.stopped.reason = (struct hg_text){long_text, HG_TEXT_MAX};
  check_round_trip(&message);
}

TEST(frames, events_follow_one_another_in_facts) {
  uint64_t seed = hg_test_seed("events_follow_one_another");
  char scratch[CODEC_SCRATCH];
  static uint8_t events[64 * HG_EVENT_FRAME_MAX];
  size_t used = 0, at = 0;
  const uint64_t start = seed;
  for (unsigned i = 0; i < 64; i++) {
    struct hg_message event;
    hg_message_random(&event, (enum hg_kind)(HG_EVENT_FIRST + i % HG_EVENT_KINDS), &seed, scratch, sizeof scratch);
    used += hg_frame_encode(&event, events + used, sizeof events - used);
  }
  seed = start;
  for (unsigned i = 0; i < 64; i++) {
    struct hg_message event, back;
    size_t taken = 0;
    hg_message_random(&event, (enum hg_kind)(HG_EVENT_FIRST + i % HG_EVENT_KINDS), &seed, scratch, sizeof scratch);
    CHECK_EQ(hg_frame_decode_next(events + at, used - at, &back, &taken), HG_OK);
    CHECK(hg_message_equal(&event, &back));
    at += taken;
  }
  CHECK_EQ(at, used);
}
