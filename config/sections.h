// What the files of the configuration's reader share: one function a part, each filling in its fields of hg_config.
// Errors stick to the reader (config/reader.h).
#ifndef HG_SECTIONS_H
#define HG_SECTIONS_H

#include "config/config.h"
#include "config/reader.h"

#define HG_CONFIG_BYTES_MAX (4 * 1024 * 1024) // a configuration file; 10,000 budgets take about 2 MiB at most
#define HG_LEDGER_PATH_MAX 504                // bytes; SQLite opens no longer path
#define HG_IPC_PATH_MAX 107                   // bytes of a socket's path that the kernel takes
#define HG_BINDS_MAX 16                       // endpoints of eventBus.bind, and of serve.bind
#define HG_HEADERS_MAX 32                     // llm.headers
#define HG_PRICES_MAX 1000                    // llm.prices

// Every section of the root object. Top-level names of others are left alone.
void hg_read_sections(struct hg_config_reader *reader, json_t *root, struct hg_config *config);
// tokenBudget.budgets, and config->budgets with "default" (of `hard_limit` tokens) as its first.
void hg_read_budgets(struct hg_object *token_budget, int64_t hard_limit, struct hg_config *config);
// Refuses a text without tokenBudget.
void hg_read_limit_is_there(struct hg_object *root);
// hardLimitTokens or hardLimitUsd of tokenBudget, one of which must be there: it decides the unit of the configuration.
// 0: refused, the error is set.
int64_t hg_read_hard_limit(struct hg_object *object, hg_unit *unit);
// The same of another budget, which has no choice.
int64_t hg_read_hard_limit_in(struct hg_object *object, hg_unit unit);
// `bind` of a section. `has_curve`: the section has keys, and may be open to the network.
struct hg_binds {
  char **endpoints;
  size_t count;
};
struct hg_binds hg_read_binds(struct hg_object *section, const struct hg_config *config, bool has_curve);
#define HG_HOST_MAX 64
enum hg_reach { HG_REACH_LOOPBACK, HG_REACH_NETWORK, HG_REACH_NOWHERE }; // nowhere: it is no address, nor *
struct hg_address {
  char host[HG_HOST_MAX];
  uint16_t port;
  enum hg_reach reach;
};
// Takes HOST:PORT apart, a port from 1 to 65535. localhost is 127.0.0.1; brackets stay. False: it is none.
bool hg_read_address(const char *text, struct hg_address *out);
// `curve` of a section.
void hg_read_curve(struct hg_object *section, const struct hg_config *config, struct hg_curve_config *out);
// serve.metrics
void hg_read_metrics(struct hg_object *serve, struct hg_metrics_config *out);
// llm.prices
void hg_read_prices(struct hg_object *llm, struct hg_prices *prices);
// llm
void hg_read_llm(struct hg_object *llm, struct hg_llm_config *config);

// `path`, or base/path when it is relative, without empty and "." segments. base is absolute. The caller frees it;
// NULL: no memory.
char *hg_path_absolute(const char *base, const char *path);

#endif
