// A growing text buffer: doubles, so that n bytes cost O(n).
#include "base/text_buffer.h"

#include <stdlib.h>
#include <string.h>

hg_err hg_text_buffer_reserve(struct hg_text_buffer *buffer, size_t more) {
  if (more <= buffer->capacity - buffer->len) return HG_OK;
  if (more > SIZE_MAX / 4 - buffer->len) return HG_ERR_NO_MEMORY;
  size_t capacity = buffer->capacity ? buffer->capacity : 256;
  while (capacity - buffer->len < more)
    capacity *= 2;
  char *data = realloc(buffer->data, capacity);
  if (!data) return HG_ERR_NO_MEMORY;
  buffer->data = data;
  buffer->capacity = capacity;
  return HG_OK;
}

hg_err hg_text_buffer_add(struct hg_text_buffer *buffer, const char *data, size_t len) {
  if (len == 0) return HG_OK;
  const hg_err err = hg_text_buffer_reserve(buffer, len);
  if (err) return err;
  memcpy(buffer->data + buffer->len, data, len);
  buffer->len += len;
  return HG_OK;
}

hg_err hg_text_buffer_add_text(struct hg_text_buffer *buffer, const char *text) {
  return hg_text_buffer_add(buffer, text, strlen(text));
}

void hg_text_buffer_clear(struct hg_text_buffer *buffer) {
  free(buffer->data);
  *buffer = (struct hg_text_buffer){0};
}
