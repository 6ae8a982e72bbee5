// A growing text buffer that never loses what it holds when memory is short.
#ifndef HG_TEXT_BUFFER_H
#define HG_TEXT_BUFFER_H

#include "headgate.h"

struct hg_text_buffer {
  char *data; // not ended by a NUL
  size_t len, capacity;
};

// Makes room for `more` bytes. HG_ERR_NO_MEMORY leaves the buffer as it was.
hg_err hg_text_buffer_reserve(struct hg_text_buffer *buffer, size_t more);
hg_err hg_text_buffer_add(struct hg_text_buffer *buffer, const char *data, size_t len);
hg_err hg_text_buffer_add_text(struct hg_text_buffer *buffer, const char *text);
void hg_text_buffer_clear(struct hg_text_buffer *buffer);

#endif
