// labels: budget
// What actors are built from: the outbox, held answers, the id map, the heap, usage ids.
#include "actors/actor.h"
#include "actors/heap.h"
#include "actors/usage_ids.h"
#include "base/id_map.h"
#include "bus/frames.h"
#include "support/test.h"

#include <stddef.h>

static uint64_t seed = 7;

static uint64_t roll(uint64_t sides) {
  seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (seed >> 33) % sides;
}

static struct hg_message room_in(uint32_t budget) {
  struct hg_message message;
  hg_message_init(&message, HG_ROOM);
  message.as.room.budget = budget;
  return message;
}

TEST(actor_parts, an_outbox_gives_back_what_was_put_in_order) {
  struct hg_outbox out = {0};
  for (uint32_t round = 0; round < 3; round++) {
    for (uint32_t i = 0; i < 2000; i++) {
      const struct hg_message message = room_in(i);
      hg_outbox_put(&out, HG_PORT_DECISIONS, i + 5, &message);
    }
    hg_outbox_put_frame(&out, HG_PORT_EVENTS, 0, (struct hg_bytes){(const uint8_t *)"TOPIC", 5},
                        (struct hg_bytes){(const uint8_t *)"frame", 5});
    CHECK(!out.failed);
    CHECK_EQ(out.count, 2001);
    struct hg_outgoing next;
    size_t at = 0;
    for (uint32_t i = 0; i < 2000; i++) {
      struct hg_message message;
      CHECK(hg_outbox_next(&out, &at, &next));
      CHECK_EQ(next.port, HG_PORT_DECISIONS);
      CHECK_EQ(next.peer, i + 5);
      CHECK(!next.topic);
      CHECK_EQ(hg_frame_decode(next.frame, next.frame_size, &message), HG_OK);
      CHECK_EQ(message.as.room.budget, i);
    }
    CHECK(hg_outbox_next(&out, &at, &next));
    CHECK_EQ(next.topic_size, 5);
    CHECK(memcmp(next.topic, "TOPIC", 5) == 0);
    CHECK_EQ(next.frame_size, 5);
    CHECK(memcmp(next.frame, "frame", 5) == 0);
    CHECK(!hg_outbox_next(&out, &at, &next));
    hg_outbox_clear(&out);
    CHECK_EQ(out.count, 0);
  }
  hg_outbox_destroy(&out);
}

TEST(actor_parts, an_outbox_is_bounded) {
  struct hg_outbox out = {0};
  static uint8_t large[16 * 1024 * 1024];
  uint32_t put = 0;
  for (; !out.failed; put++) {
    CHECK(put < 1000);
    hg_outbox_put_frame(&out, HG_PORT_EVENTS, 0, (struct hg_bytes){0}, (struct hg_bytes){large, sizeof large});
  }
  CHECK(put > 8);
  hg_outbox_destroy(&out);
}

TEST(actor_parts, held_answers_leave_with_their_commit) {
  struct hg_held held = {0};
  struct hg_outbox out = {0};
  char text[300];
  memset(text, 't', sizeof text);
  text[sizeof text - 1] = '\0';
  uint64_t put = 0, left = 0;
  for (uint64_t round = 0; round < 300; round++) {
    for (uint64_t more = roll(20); more; more--) {
      struct hg_message message;
      hg_message_init(&message, HG_STOPPED);
      message.as.stopped.error = (uint32_t)put;
      if (put % 3 == 0) message.as.stopped.reason = hg_text_of(text); // too long to be kept in the ring
      CHECK(hg_held_put(&held, put / 2, HG_PORT_CLIENTS, put + 1, &message));
      put++;
    }
    const uint64_t durable = put ? roll(put) / 2 : 0;
    hg_held_release(&held, durable, &out);
    struct hg_outgoing next;
    for (size_t at = 0; hg_outbox_next(&out, &at, &next); left++) {
      struct hg_message message;
      CHECK(left / 2 <= durable);
      CHECK_EQ(next.peer, left + 1);
      CHECK_EQ(hg_frame_decode(next.frame, next.frame_size, &message), HG_OK);
      CHECK_EQ(message.as.stopped.error, left);
      CHECK_EQ(message.as.stopped.reason.size, left % 3 == 0 ? sizeof text - 1 : 0);
    }
    CHECK(left == put || left / 2 > durable);
    hg_outbox_clear(&out);
  }
  CHECK(left > 1000);
  hg_held_destroy(&held);
  hg_outbox_destroy(&out);
}

#define IDS 3000

TEST(actor_parts, an_id_map_agrees_with_an_array) {
  printf("seed %llu\n", (unsigned long long)seed);
  static int values[IDS + 1];
  bool there[IDS + 1] = {false};
  size_t count = 0;
  struct hg_id_map map = {0};
  CHECK(!hg_id_map_get(&map, 1));
  CHECK(!hg_id_map_remove(&map, 1));
  for (int step = 0; step < 200000; step++) {
    const uint64_t index = 1 + roll(IDS), id = index << (index % 3 * 20); // near ones and far ones
    if (roll(2)) {
      count += !there[index];
      there[index] = true;
      CHECK(hg_id_map_put(&map, id, &values[index]));
    } else {
      CHECK(hg_id_map_remove(&map, id) == (there[index] ? &values[index] : NULL));
      count -= there[index];
      there[index] = false;
    }
    const uint64_t other = 1 + roll(IDS);
    CHECK(hg_id_map_get(&map, other << (other % 3 * 20)) == (there[other] ? &values[other] : NULL));
    CHECK_EQ(map.count, count);
  }
  size_t walked = 0;
  int *value;
  for (size_t at = 0; (value = hg_id_map_next(&map, &at)); walked++)
    CHECK(there[value - values]);
  CHECK_EQ(walked, count);
  hg_id_map_destroy(&map);
}

struct item {
  int64_t key;
  struct hg_heap_node node;
};

TEST(actor_parts, a_heap_always_knows_its_first) {
  static struct item items[200];
  struct hg_heap heap = {0};
  CHECK(hg_heap_reserve(&heap, 200));
  for (int step = 0; step < 50000; step++) {
    struct item *item = &items[roll(200)];
    if (roll(3)) {
      item->key = (int64_t)roll(1000) - 500;
      hg_heap_put(&heap, &item->node, item->key);
    } else {
      hg_heap_remove(&heap, &item->node);
    }
    int64_t least = INT64_MAX, key;
    uint32_t count = 0;
    for (size_t i = 0; i < 200; i++) {
      count += items[i].node.place != 0;
      if (items[i].node.place && items[i].key < least) least = items[i].key;
    }
    const struct hg_heap_node *first = hg_heap_first(&heap, &key);
    CHECK_EQ(heap.count, count);
    CHECK_EQ(key, least);
    CHECK_EQ(first != NULL, count > 0);
    if (first) CHECK_EQ(HG_HOLDER(first, const struct item, node)->key, least);
  }
  hg_heap_destroy(&heap);
}

static struct hg_text usage_id(char text[16], int number) {
  snprintf(text, 16, "u-%d", number);
  return hg_text_of(text);
}

static bool knows(const struct hg_usage_ids *ids, int number) {
  char text[16];
  return hg_usage_ids_find(ids, usage_id(text, number)) != NULL;
}

// Down to what is kept, the oldest first, and none that the ledger may not have yet.
TEST(actor_parts, the_oldest_usage_ids_are_forgotten_when_they_are_durable) {
  enum { MORE = 100 };
  struct hg_usage_ids ids = {0};
  char text[16];
  for (int i = 1; i <= HG_USAGE_IDS_KEPT + MORE; i++) {
    struct hg_usage_id *id = hg_usage_ids_add(&ids, usage_id(text, i));
    CHECK(id);
    id->seq = (uint64_t)i;
  }
  hg_usage_ids_forget(&ids, 0);
  CHECK(knows(&ids, 1));
  hg_usage_ids_forget(&ids, 10);
  CHECK(!knows(&ids, 10) && knows(&ids, 11));
  hg_usage_ids_forget(&ids, UINT64_MAX);
  CHECK(!knows(&ids, MORE) && knows(&ids, MORE + 1) && knows(&ids, HG_USAGE_IDS_KEPT + MORE));
  CHECK_EQ(ids.count, HG_USAGE_IDS_KEPT);
  CHECK(hg_usage_ids_add(&ids, usage_id(text, 1))); // it may come again
  CHECK(knows(&ids, 1));
  hg_usage_ids_destroy(&ids);
}

// No texts are known whose hash is really the same.
TEST(actor_parts, usage_ids_of_one_hash_are_told_apart) {
  struct hg_usage_ids ids = {0};
  struct hg_usage_id *same[3];
  char text[16];
  for (int i = 0; i < 3; i++) {
    same[i] = hg_usage_ids_add(&ids, usage_id(text, i));
    CHECK(same[i]);
  }
  for (int i = 0; i < 2; i++) {
    hg_id_map_remove(&ids.map, same[i]->hash);
    same[i]->hash = same[2]->hash;
    same[i + 1]->same_hash = same[i];
  }
  for (int i = 2; i >= 0; i--) { // whichever of them has the text
    same[i]->key[2] = '2';
    CHECK_EQ(hg_usage_ids_find(&ids, usage_id(text, 2)), same[i]);
    same[i]->key[2] = 'x';
  }
  CHECK(!knows(&ids, 2));
  for (int i = 3; ids.count <= HG_USAGE_IDS_KEPT; i++)
    CHECK(hg_usage_ids_add(&ids, usage_id(text, i)));
  hg_usage_ids_forget(&ids, 0);
  CHECK_EQ(ids.oldest, same[1]);
  CHECK(same[2]->same_hash == same[1] && same[1]->same_hash == NULL);
  hg_usage_ids_destroy(&ids);
}
