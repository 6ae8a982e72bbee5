// The figures that are exported, asked of a runtime or read from a ledger on which none lives.
#ifndef HG_METRICS_ASK_H
#define HG_METRICS_ASK_H

#include "cli/control.h"
#include "metrics/figures.h"

// Over a link that is connected. `out` starts from {0}; on failure it has no state.
hg_err hg_metrics_ask(struct hg_control *control, int64_t deadline_us, struct hg_metrics_figures *out);
hg_err hg_metrics_read(struct hg_site *site, struct hg_metrics_figures *out, hg_error *why);

// Where a runtime exports them beside its control endpoint: a socket of the same directory. False: it is no such
// endpoint.
#define HG_METRICS_PATH "/metrics"
bool hg_metrics_socket(const char *control_endpoint, char *out, size_t room);
// All that it exports there, into `text`, which the caller clears. HG_ERR_NO_RUNTIME: nobody does.
hg_err hg_metrics_fetch(const char *socket_path, struct hg_text_buffer *text);

// headgate status --metrics: prints them to stdout.
hg_err hg_status_metrics(struct hg_site *site, hg_error *why);

#endif
