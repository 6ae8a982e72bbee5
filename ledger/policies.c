// The policies that a ledger was last opened under: kept in it, so that whoever opens it by its name alone (headgate
// limit --ledger) follows them too.
#include "ledger/internal.h"

#include <stdio.h>
#include <string.h>

// In the words of the configuration, so that its reader reads them back.
static void describe(const struct hg_config *config, char *out, size_t room) {
  snprintf(out, room,
           "{\"tokenBudget\":{\"throttlePercent\":%u,\"throttleBasis\":\"%s\",\"restoreBelowPercent\":%u,"
           "\"orphanedReservations\":\"%s\"},\"ledger\":{\"keepDays\":%u,\"sharedReaders\":%s},"
           "\"scheduler\":{\"maxConcurrency\":%u,\"throttledConcurrency\":%u}}",
           config->throttle_percent, hg_throttle_basis_name(config->throttle_basis), config->restore_below_percent,
           hg_orphan_policy_name(config->orphan_policy), config->keep_days, config->shared_readers ? "true" : "false",
           config->max_concurrency, config->throttled_concurrency);
}

hg_err hg_policies_enter(sqlite3 *db, const struct hg_config *config, hg_error *why) {
  char text[512];
  sqlite3_stmt *insert = NULL;
  describe(config, text, sizeof text);
  hg_err err = hg_sql_prepare(db, "INSERT OR REPLACE INTO meta VALUES ('policies', ?)", &insert, why);
  if (err == HG_OK) {
    sqlite3_bind_text(insert, 1, text, -1, SQLITE_STATIC);
    err = hg_sql_finish(db, insert, "enter the policies", why);
  }
  sqlite3_finalize(insert);
  return err;
}

// A ledger from before they were kept has none: then those of a configuration that says nothing of them.
hg_err hg_policies_read(sqlite3 *db, char **out, hg_error *why) {
  // Dollars go as text, which no reader of JSON rounds.
#define LIMIT                                                                                                          \
  "iif(money, printf('%d.%09d', configured_limit / 1000000000, configured_limit % 1000000000), configured_limit)"
  static const char sql[] =
      "WITH unit(money, name) AS (SELECT value = 'nanodollars', iif(value = 'nanodollars', 'hardLimitUsd', "
      "'hardLimitTokens') FROM meta WHERE key = 'unit') "
      "SELECT json_set(coalesce((SELECT value FROM meta WHERE key = 'policies'), '{\"tokenBudget\":{}}'), "
      "'$.tokenBudget.' || unit.name, (SELECT " LIMIT " FROM token_budget WHERE parent IS NULL), "
      "'$.tokenBudget.budgets', (SELECT json_group_object(b.name, json_object(unit.name, " LIMIT
      ", 'parent', parent)) FROM token_budget AS b WHERE parent IS NOT NULL)) FROM unit";
#undef LIMIT
  sqlite3_stmt *statement = NULL;
  *out = NULL;
  hg_err err = hg_sql_prepare(db, sql, &statement, why);
  if (err == HG_OK && sqlite3_step(statement) != SQLITE_ROW) err = hg_sql_fail(db, why, "read the policies");
  const char *text = err == HG_OK ? (const char *)sqlite3_column_text(statement, 0) : NULL;
  if (text) *out = strdup(text);
  if (err == HG_OK && !*out) err = hg_fail(why, HG_ERR_NO_MEMORY, "not enough memory for the policies");
  sqlite3_finalize(statement);
  return err;
}
