// Characters of UTF-8.
#include "batch/json_text.h"

size_t hg_utf8_length(const char *at, size_t left) {
  const unsigned char *b = (const unsigned char *)at;
  if (left == 0) return 0;
  if (b[0] < 0x80) return 1;
  const size_t len = b[0] >= 0xC2 && b[0] <= 0xDF   ? 2
                     : (b[0] & 0xF0) == 0xE0        ? 3
                     : b[0] >= 0xF0 && b[0] <= 0xF4 ? 4
                                                    : 0;
  if (len == 0 || left < len) return 0;
  for (size_t i = 1; i < len; i++) {
    if ((b[i] & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (b[0] == 0xE0 && b[1] < 0xA0) || (b[0] == 0xF0 && b[1] < 0x90);
  const bool surrogate = b[0] == 0xED && b[1] >= 0xA0;
  const bool beyond = b[0] == 0xF4 && b[1] >= 0x90;
  return overlong || surrogate || beyond ? 0 : len;
}
