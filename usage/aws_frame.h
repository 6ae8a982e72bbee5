// AWS's binary event stream (application/vnd.amazon.eventstream): frames of a prelude, headers and a payload, each with
// a CRC-32. A whole frame becomes the event as JSON, {"NAME": PAYLOAD}, as SDKs show it; a chunk becomes what is in it.
// Pure.
#ifndef HG_AWS_FRAME_H
#define HG_AWS_FRAME_H

#include "base/text_buffer.h"

#include <stdint.h>

#define HG_AWS_PRELUDE_BYTES 12

// HG_OK: the prelude is good, and *len is how long the whole frame is. HG_ERR_RANGE: over HG_BODY_MAX; HG_ERR_PROTOCOL:
// it is no frame; *fault is what is wrong with it, a static text.
hg_err hg_aws_frame_len(const char prelude[static HG_AWS_PRELUDE_BYTES], size_t *len, const char **fault);

// Puts the event of a whole frame, whose prelude is good, behind what `out` has; nothing for a frame without a name.
// *error: the provider says that something went wrong. HG_ERR_PROTOCOL with *fault, a static text; HG_ERR_NO_MEMORY.
hg_err hg_aws_frame_read(const char *frame, size_t len, struct hg_text_buffer *out, bool *error, const char **fault);

uint32_t hg_crc32(const char *bytes, size_t len);

#endif
