// An event as one readable line: the time, the type, the budget, and the fields that matter.
#ifndef HG_EVENT_LINE_H
#define HG_EVENT_LINE_H

#include "headgate.h"

#include <stdbool.h>
#include <stddef.h>

#define HG_EVENT_LINE_MAX 4096

// `json` is an event as hg_outside_to_json prints it. False: it is not one. A longer line is cut. *unit is what amounts
// count; a RUNTIME_STARTED, which says it, sets it.
bool hg_event_line(const char *json, hg_unit *unit, char *out, size_t room);

#endif
