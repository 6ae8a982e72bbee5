// Every bound of Headgate in one place, with the asserts that tie them together.
#ifndef HG_LIMITS_H
#define HG_LIMITS_H

#include "headgate.h"

#include <assert.h>

// Names and texts, bytes.
#define HG_TEXT_MAX 512  // any other text in a message (a reason, an error)
#define HG_LABEL_MAX 128 // model, response id
#define HG_PATH_MAX 1024
#define HG_REPORTER_NAME_MAX HG_BUDGET_NAME_MAX // the lasting name of a client

// Budgets.
#define HG_BUDGETS_MAX 10001  // "default" and 10,000 others
#define HG_BUDGET_DEPTH_MAX 8 // budgets on a path, the root included
#define HG_TOKEN_SUM_MAX HG_TOKENS_MAX
#define HG_LINE_BUDGETS_MAX 16 // that a run tells its lines of apart

// Queues and windows, messages.
#define HG_CONCURRENCY_MAX 65536
#define HG_QUEUE_MAX (1 << 20)     // acquires that wait in the scheduler
#define HG_CLIENT_WINDOW (1 << 20) // unanswered commands of one client
#define HG_CLIENTS_MAX 4096
#define HG_PEERS_MAX (2 * HG_CLIENTS_MAX) // that the tracker knows: clients, and those whose LEAVE is on its way
#define HG_REPORTERS_MAX 65536            // lasting names that a ledger knows
#define HG_FINDS_WINDOW 1024              // questions for usage ids that the persister has not answered
#define HG_END_FINDS_WINDOW 1024          // questions for how permits ended that it has not answered
#define HG_DEFERRED_MAX 8192              // commands of clients that wait for such an answer
#define HG_BURST 256                      // messages that an actor drains from one link before it flushes
#define HG_FACTS_BYTES (64 * 1024)        // events in one FACTS frame
#define HG_FACTS_WINDOW 16                // FACTS frames that the persister has not acknowledged
#define HG_FACTS_BACKLOG_BYTES                                                                                         \
  (4 * 1024 * 1024) // events waiting for a place in the window before the tracker stops listening
// Commands from outside that are unanswered, by what they are: acquires that wait, what ends or renews a permit, and
// the short ones; and how many of each one connection may have (actors/outsiders.c).
#define HG_OUTSIDE_ACQUIRES_MAX 32768
#define HG_OUTSIDE_ENDS_MAX 65536
#define HG_OUTSIDE_SHORT_MAX 32768
#define HG_OUTSIDER_ACQUIRES_MAX 8192
#define HG_OUTSIDER_ENDS_MAX 8192
#define HG_OUTSIDER_SHORT_MAX 8192
#define HG_OUTSIDER_LEAST 16                  // that it may have whatever others do
#define HG_REPLAYS_MAX 64                     // portions that the persister is asked for at once
#define HG_REPLAY_ROWS 1024                   // that one portion of a replay looks at
#define HG_REPLAY_EVENTS 256                  // that it tells at most
#define HG_LINK_HWM (HG_CLIENT_WINDOW + 1024) // high-water mark of links whose sender keeps a window
#define HG_EVENTS_HWM 100000 // events that wait for one slow subscriber in the process before it loses some

// Bytes of answers that are sent and not read (bus/unread.h). Above the second three a connection gets no portion of a
// replay, no snapshot and no audit until it has read; above the first it loses its answers.
#define HG_UNREAD_MAX (256 << 20)    // of all together, and the least of each
#define HG_UNREAD_ONE_MAX (16 << 20) // of one connection
#define HG_UNREAD_LEAST (1 << 20)    // of one whatever others do;
#define HG_UNREAD_LEAST_A_BUDGET 512 // with room for a snapshot
#define HG_UNREAD_LONG_MAX (128 << 20)
#define HG_UNREAD_ONE_LONG_MAX (4 << 20)
#define HG_UNREAD_LONG_LEAST (64 << 10)

// Connections from outside.
#define HG_CONNECTIONS_MAX 4096        // that eventBus.maxSubscribers and serve.maxClients can allow
#define HG_SUBSCRIBERS_DEFAULT 64      // eventBus.maxSubscribers
#define HG_OUTSIDE_CLIENTS_DEFAULT 256 // serve.maxClients
#define HG_SUBSCRIBER_HWM 32768        // events that wait for one slow subscriber outside before it loses some
#define HG_SUBSCRIBER_FRAMES_MAX 512   // subscriptions of one connection that no other has, and ends, in its life
#define HG_SUBSCRIBERS_KNOWN 16384     // connections whose frames are counted, those that have ended among them
#define HG_TOPIC_MAX 64                // bytes of one; longer than any topic
#define HG_SUBSCRIPTION_FRAME_MAX 1024 // bytes of what a subscriber sends, its handshake included

// Ids, unique over the ledger's life: the opening in the upper bits, a count in these. Clients in the process count
// from 1, the gateway for outsiders from the middle.
#define HG_IDS_AN_OPENING_BITS 40
#define HG_IDS_OF_OUTSIDERS (UINT64_C(1) << (HG_IDS_AN_OPENING_BITS - 1))

// Leases of permits, milliseconds.
#define HG_LEASE_MS_MIN 100
#define HG_LEASE_MS_MAX (7 * 24 * 3600 * 1000)
#define HG_LEASE_MS_OUTSIDE 30000 // of a permit from outside for which none is named

// Frames, bytes.
#define HG_INLINE_FRAME 33               // libzmq keeps these without an allocation
#define HG_EVENT_FRAME_MAX 4096          // one event inside
#define HG_OUTSIDE_FRAME_MAX 8192        // one event outside
#define HG_FRAME_MAX (128 * 1024)        // any inside frame but those of the batch runner
#define HG_BODY_MAX (16 * 1024 * 1024)   // a request or an answer of a provider; a line of a batch file
#define HG_COMMAND_FRAME_MAX (64 * 1024) // an outside command

static_assert(HG_FACTS_BYTES + HG_EVENT_FRAME_MAX < HG_FRAME_MAX, "a FACTS frame fits into a frame");
static_assert(HG_LINK_HWM > HG_CLIENT_WINDOW, "each command of a client has a place for its answer");
static_assert(HG_FACTS_WINDOW < HG_LINK_HWM, "FACTS frames never find a full pipe");
static_assert(HG_QUEUE_MAX <= HG_CLIENT_WINDOW, "one client may fill the queue");

#endif
