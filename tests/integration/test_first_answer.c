// wraps: hg_get_usage
// A runtime of which the first answer does not come: it is not opened, says why, and leaves the ledger to the next.
#include "support/runtime_fixture.h"

#include <stdatomic.h>
#include <string.h>

static atomic_int refuses_with;

hg_err __real_hg_get_usage(hg_client *client, const char *budget, hg_usage *out, int timeout_ms);
hg_err __wrap_hg_get_usage(hg_client *client, const char *budget, hg_usage *out, int timeout_ms);
hg_err __wrap_hg_get_usage(hg_client *client, const char *budget, hg_usage *out, int timeout_ms) {
  const hg_err err = (hg_err)atomic_load(&refuses_with);
  return err == HG_OK ? __real_hg_get_usage(client, budget, out, timeout_ms) : err;
}

static void refuse(const struct fixture *f, hg_err with, const char *words) {
  hg_runtime *runtime = NULL;
  hg_error why = HG_ERROR_INIT;
  atomic_store(&refuses_with, with);
  const hg_err err = hg_open_json(f->config, strlen(f->config), f->folder, &runtime, &why);
  atomic_store(&refuses_with, HG_OK);
  CHECK_EQ(err, with == HG_ERR_TIMEOUT ? HG_ERR_STORE : with);
  CHECK(runtime == NULL);
  CHECK(strstr(why.text, words) != NULL);
}

TEST(first_answer, a_ledger_that_takes_no_write_is_not_opened) {
  struct fixture f = {0};
  fixture_open(&f, "\"tokenBudget\":{\"hardLimitTokens\":1000}");
  fixture_record(&f, 30);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, 0) == HG_OK);
  refuse(&f, HG_ERR_TIMEOUT, "the ledger took no write within");
  refuse(&f, HG_ERR_NO_MEMORY, "the runtime did not start");
  CHECK(hg_open_json(f.config, strlen(f.config), f.folder, &f.runtime, NULL) == HG_OK);
  CHECK(hg_client_new(f.runtime, &f.client) == HG_OK);
  CHECK_EQ(fixture_usage(&f).used, 30);
  fixture_close(&f);
}
