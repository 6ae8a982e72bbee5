// Every socket of a runtime in one table: who owns it, on which port, what it is and where it is bound or connected.
// All binds are made before any connect, because a connect to an inproc name that is never bound loses its messages.
#ifndef HG_ENDPOINTS_H
#define HG_ENDPOINTS_H

#include "bus/links.h"

enum hg_owner {
  HG_TRACKER_ACTOR,
  HG_SCHEDULER_ACTOR,
  HG_PERSISTER_ACTOR,
  HG_EVENT_BUS_ACTOR,
  HG_GATEWAY_ACTOR,
  HG_REMOTE_ACTOR,
  HG_WORKER_POOL_ACTOR,
  HG_OWNER_COUNT
};
enum hg_side { HG_BIND, HG_CONNECT };

#define HG_EVENTS_INSIDE "inproc://events"
#define HG_CONTROL_INSIDE "inproc://control" // subscribers in the process ask for what they missed
#define HG_WORKERS_INSIDE "inproc://workers" // each worker thread connects a DEALER
#define HG_COMMANDS_HWM 8192                 // commands of one client that the actor has not read

// Answers to clients: each outstanding command has its place. Commands: past the mark the client hears HG_ERR_BUSY.
#define HG_CLIENT_SIDE                                                                                                 \
  { HG_COMMANDS_HWM, HG_LINK_HWM, 0 }
#define HG_ACTOR_SIDE                                                                                                  \
  { HG_LINK_HWM, HG_COMMANDS_HWM, 0 }
#define HG_PEER_SIDE                                                                                                   \
  { HG_LINK_HWM, HG_LINK_HWM, 0 }
#define HG_BUS_SIDE                                                                                                    \
  { HG_COMMITTED_HWM, HG_COMMITTED_HWM, 0 }
#define HG_INSIDE_EVENTS                                                                                               \
  { HG_EVENTS_HWM, HG_COMMANDS_HWM, 0 }
// ZeroMQ takes in what a subscriber sends for as long as there is more of it: so there is never much.
#define HG_OUTSIDE_EVENTS                                                                                              \
  { HG_SUBSCRIBER_HWM, 8, HG_SUBSCRIPTION_FRAME_MAX }
// Answers: all that one connection may have unanswered, a snapshot, and some portions of replays.
#define HG_ANSWERS_HWM                                                                                                 \
  (HG_OUTSIDER_ACQUIRES_MAX + HG_OUTSIDER_ENDS_MAX + HG_OUTSIDER_SHORT_MAX + HG_BUDGETS_MAX + 8 * HG_REPLAY_EVENTS)
#define HG_OUTSIDE_COMMANDS                                                                                            \
  { HG_ANSWERS_HWM, 1024, HG_COMMAND_FRAME_MAX }
#define HG_OUTSIDE_ANSWERS                                                                                             \
  { HG_COMMANDS_HWM, HG_ANSWERS_HWM, HG_COMMAND_FRAME_MAX }
#define HG_COMMITTED_HWM 4096 // FACTS frames that the event bus has not read

//      owner         port       type    side     address                 limits
#define HG_ENDPOINTS(ROW)                                                                                              \
  ROW(TRACKER, CLIENTS, ROUTER, BIND, "inproc://tracker", HG_ACTOR_SIDE)                                               \
  ROW(TRACKER, DECISIONS, DEALER, BIND, "inproc://decisions", HG_PEER_SIDE)                                            \
  ROW(SCHEDULER, CLIENTS, ROUTER, BIND, "inproc://scheduler", HG_ACTOR_SIDE)                                           \
  ROW(PERSISTER, FACTS, DEALER, BIND, "inproc://facts", HG_PEER_SIDE)                                                  \
  ROW(PERSISTER, LEDGER, DEALER, BIND, "inproc://ledger", HG_PEER_SIDE)                                                \
  ROW(EVENT_BUS, COMMITTED, PULL, BIND, "inproc://committed", HG_BUS_SIDE)                                             \
  ROW(EVENT_BUS, EVENTS, XPUB, BIND, HG_EVENTS_INSIDE, HG_INSIDE_EVENTS)                                               \
  ROW(EVENT_BUS, OUTSIDE_EVENTS, XPUB, BIND, NULL, HG_OUTSIDE_EVENTS)                                                  \
  ROW(GATEWAY, CONTROL, ROUTER, BIND, NULL, HG_OUTSIDE_COMMANDS)                                                       \
  ROW(SCHEDULER, DECISIONS, DEALER, CONNECT, "inproc://decisions", HG_PEER_SIDE)                                       \
  ROW(TRACKER, FACTS, DEALER, CONNECT, "inproc://facts", HG_PEER_SIDE)                                                 \
  ROW(PERSISTER, COMMITTED, PUSH, CONNECT, "inproc://committed", HG_BUS_SIDE)                                          \
  ROW(GATEWAY, TRACKER, DEALER, CONNECT, "inproc://tracker", HG_CLIENT_SIDE)                                           \
  ROW(GATEWAY, SCHEDULER, DEALER, CONNECT, "inproc://scheduler", HG_CLIENT_SIDE)                                       \
  ROW(GATEWAY, LEDGER, DEALER, CONNECT, "inproc://ledger", HG_PEER_SIDE)

// Of a guest: what clients reach under the names of tracker and scheduler is the remote.
#define HG_GUEST_ENDPOINTS(ROW)                                                                                        \
  ROW(REMOTE, TRACKER, ROUTER, BIND, "inproc://tracker", HG_ACTOR_SIDE)                                                \
  ROW(REMOTE, SCHEDULER, ROUTER, BIND, "inproc://scheduler", HG_ACTOR_SIDE)                                            \
  ROW(REMOTE, CONTROL, DEALER, CONNECT, NULL, HG_OUTSIDE_ANSWERS)

// The worker pool comes later than the others, at the first hg_run.
#define HG_WORKER_POOL_ENDPOINTS(ROW)                                                                                  \
  ROW(WORKER_POOL, RUNS, ROUTER, BIND, "inproc://runs", HG_ACTOR_SIDE)                                                 \
  ROW(WORKER_POOL, WORKERS, ROUTER, BIND, HG_WORKERS_INSIDE, HG_PEER_SIDE)                                             \
  ROW(WORKER_POOL, SCHEDULER, DEALER, CONNECT, "inproc://scheduler", HG_CLIENT_SIDE)

struct hg_endpoint {
  enum hg_owner owner;
  enum hg_port port;
  enum hg_link_type type;
  enum hg_side side;
  const char *address; // NULL: named by the ledger's place
  struct hg_link_limits limits;
};

#define HG_ENDPOINT_ROW(owner, port, type, side, address, ...)                                                         \
  {HG_##owner##_ACTOR, HG_PORT_##port, HG_##type, HG_##side, address, __VA_ARGS__},

#endif
