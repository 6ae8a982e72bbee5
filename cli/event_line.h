// An event as one readable line: the time, the type, the budget, and the fields that matter.
#ifndef HG_EVENT_LINE_H
#define HG_EVENT_LINE_H

#include <stdbool.h>
#include <stddef.h>

#define HG_EVENT_LINE_MAX 4096

// `json` is an event as hg_outside_to_json prints it. False: it is not one. A longer line is cut.
bool hg_event_line(const char *json, char *out, size_t room);

#endif
