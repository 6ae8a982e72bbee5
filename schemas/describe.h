// The message table for readers: as JSON Schemas (schemas/*.schema.json) and as documentation (docs/protocol.md,
// docs/messages.md). tests/unit/test_contract.c compares those files with what is printed here.
#ifndef HG_DESCRIBE_H
#define HG_DESCRIBE_H

#include <stdio.h>

// Draft 2020-12, for what is decoded from msgpack: the events of the event bus, and what the control socket takes and
// answers.
void hg_describe_events_schema(FILE *to);
void hg_describe_commands_schema(FILE *to);
// The same for people, with the code of each message and the protocol version that brought it.
void hg_describe_outside(FILE *to);
// What actors and clients of one process say to each other.
void hg_describe_inside(FILE *to);

#endif
