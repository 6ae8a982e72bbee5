// The newest seqs of topics, written and walked over.
#include "bus/topics.h"

#include "bus/frame_writer.h"

struct hg_bytes hg_topics_write(const uint64_t newest[HG_EVENT_KINDS], uint8_t to[HG_TOPICS_BYTES]) {
  struct hg_writer writer = hg_writer_begin(to, HG_TOPICS_BYTES);
  size_t pairs = 0;
  for (uint32_t i = 0; i < HG_EVENT_KINDS; i++)
    pairs += newest[i] != 0;
  hg_pack_array(&writer, 2 * pairs);
  for (uint32_t i = 0; i < HG_EVENT_KINDS; i++) {
    if (newest[i] == 0) continue;
    hg_pack_uint32(&writer, HG_EVENT_FIRST + i);
    hg_pack_uint64(&writer, newest[i]);
  }
  assert(!writer.refused);
  return (struct hg_bytes){to, (uint32_t)hg_writer_end(&writer)};
}

bool hg_topics_open(struct hg_topics *topics, struct hg_bytes from) {
  *topics = (struct hg_topics){.reader = hg_reader_of(from.data, from.size)};
  if (from.size == 0) return true;
  uint32_t elements;
  if (!hg_read_array(&topics->reader, &elements) || elements % 2) return false;
  topics->left = elements / 2;
  return topics->left > 0 || topics->reader.at == topics->reader.end;
}

bool hg_topics_next(struct hg_topics *topics, const struct hg_kind_info **info, uint64_t *seq) {
  uint64_t code;
  if (!hg_read_unsigned(&topics->reader, HG_EVENT_LAST, &code) || !hg_read_unsigned(&topics->reader, UINT64_MAX, seq))
    return false;
  *info = hg_kind_info((unsigned)code);
  topics->left--;
  return *info && (*info)->is_event && (topics->left > 0 || topics->reader.at == topics->reader.end);
}
