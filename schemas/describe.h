// The message table for readers outside: as a JSON Schema (schemas/events.schema.json) and as a page
// (docs/messages.md). Both files are compared with what is printed by the tests of messages.
#ifndef HG_DESCRIBE_H
#define HG_DESCRIBE_H

#include <stdio.h>

// One document, draft 2020-12: the events of the event bus and the messages of the control socket, as JSON or msgpack.
void hg_describe_json_schema(FILE *to);
// Every message with its code, the protocol version that brought it, what it says and its fields.
void hg_describe_markdown(FILE *to);

#endif
