// Figures over HTTP, for Prometheus and for headgate status --metrics: a thread that follows the events of the runtime
// in this process and answers GET /metrics, on a socket in the directory beside the ledger and, with
// serve.metrics.listen, at an address. It is a client of the runtime as any other, and never in its way.
#ifndef HG_METRICS_SERVER_H
#define HG_METRICS_SERVER_H

#include "headgate.h"

struct hg_metrics_server;
// The runtime is no guest. HG_ERR_SYSTEM: it can't listen there, as `why` says.
hg_err hg_metrics_server_start(hg_runtime *runtime, struct hg_metrics_server **out, hg_error *why);
// Answers under way are given. Before hg_close. A NULL is fine.
void hg_metrics_server_stop(struct hg_metrics_server **server);

#endif
