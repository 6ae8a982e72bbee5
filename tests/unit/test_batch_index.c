// links: program
// The index of lines: what it answers, and that it keeps to 32 bytes a line while it grows.
#include "batch/line_index.h"
#include "base/siphash.h"
#include "unit/batch_files.h"

#include <malloc.h>

static uint64_t id_of(uint64_t number) {
  const uint64_t hash = hg_siphash((struct hg_hash_key){3, 4}, &number, sizeof number);
  return hash ? hash : 1;
}

TEST(batch_index, put_find_set_count) {
  struct hg_line_index *index;
  struct hg_line_entry entry;
  CHECK_EQ(hg_line_index_new(&index), HG_OK);
  CHECK(!hg_line_index_find(index, 5, &entry));
  CHECK(!hg_line_index_set(index, 5, (struct hg_line_entry){1, HG_LINE_DONE}));
  CHECK_EQ(hg_line_index_put(index, 5, (struct hg_line_entry){50, HG_LINE_RUNNING}), HG_OK);
  CHECK_EQ(hg_line_index_put(index, 5, (struct hg_line_entry){51, HG_LINE_DONE}), HG_ERR_CONFLICT);
  CHECK(hg_line_index_find(index, 5, &entry));
  CHECK_EQ(entry.request_hash, 50);
  CHECK_EQ(entry.state, HG_LINE_RUNNING);
  CHECK(!hg_line_index_find(index, 6, &entry));
  CHECK(!hg_line_index_find(index, 0, &entry));
  CHECK(!hg_line_index_set(index, 6, entry));
  CHECK_EQ(hg_line_index_count(index, HG_LINE_RUNNING), 1);
  CHECK(hg_line_index_set(index, 5, (struct hg_line_entry){52, HG_LINE_FAILED}));
  CHECK_EQ(hg_line_index_count(index, HG_LINE_RUNNING), 0);
  CHECK_EQ(hg_line_index_count(index, HG_LINE_FAILED), 1);
  CHECK(hg_line_index_find(index, 5, &entry) && entry.request_hash == 52);
  hg_line_index_destroy(&index);
  CHECK(index == NULL);
  hg_line_index_destroy(&index);
}

// The figures of the index itself at each step, and what the allocator says now and then.
TEST(batch_index, a_million_lines_in_32_bytes_each) {
  enum { LINES = 1000000, CONSTANT = 1024 * 1024 };
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  struct hg_line_index *index;
  struct hg_line_entry entry;
  CHECK_EQ(hg_line_index_new(&index), HG_OK);
  for (uint64_t i = 0; i < LINES; i++) {
    CHECK(hg_line_index_put(index, id_of(i), (struct hg_line_entry){i, (enum hg_line_state)(i % HG_LINE_STATES)}) ==
          HG_OK);
    CHECK(hg_line_index_peak_bytes(index) <= 32 * (i + 1) + CONSTANT);
    CHECK(hg_line_index_bytes(index) >= 17 * (i + 1));
    if (i % 5000 == 0) CHECK(mallinfo2().uordblks + mallinfo2().hblkhd <= before + 32 * (i + 1) + CONSTANT);
  }
  fprintf(stderr, "%.1f bytes a line, %.1f at most\n", (double)hg_line_index_bytes(index) / LINES,
          (double)hg_line_index_peak_bytes(index) / LINES);
  for (uint64_t i = 0; i < LINES; i++) {
    CHECK(hg_line_index_find(index, id_of(i), &entry));
    CHECK(entry.request_hash == i && entry.state == (enum hg_line_state)(i % HG_LINE_STATES));
  }
  for (uint64_t i = LINES; i < LINES + 1000; i++)
    CHECK(!hg_line_index_find(index, id_of(i), &entry));
  for (unsigned state = 0; state < HG_LINE_STATES; state++)
    CHECK_EQ(hg_line_index_count(index, (enum hg_line_state)state), LINES / HG_LINE_STATES);
  hg_line_index_destroy(&index);
}

// Ids that all want the same slot of the same part: slow, but right.
TEST(batch_index, ids_that_collide) {
  struct hg_line_index *index;
  struct hg_line_entry entry;
  CHECK_EQ(hg_line_index_new(&index), HG_OK);
  for (uint64_t i = 1; i <= 500; i++)
    CHECK_EQ(hg_line_index_put(index, i << 32 | UINT32_MAX, (struct hg_line_entry){i, HG_LINE_DONE}), HG_OK);
  for (uint64_t i = 1; i <= 500; i++)
    CHECK(hg_line_index_find(index, i << 32 | UINT32_MAX, &entry) && entry.request_hash == i);
  CHECK_EQ(hg_line_index_count(index, HG_LINE_DONE), 500);
  hg_line_index_destroy(&index);
}
