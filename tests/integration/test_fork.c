// A child that the embedding program forked has every socket of the runtime open too; it must not keep their names when
// its parent has closed the runtime.
#include "support/runtime_fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONFIG "\"tokenBudget\":{\"hardLimitTokens\":1000},\"eventBus\":{\"bind\":[\"ipc://run/events.ipc\"]}"

static pid_t fork_idle_child(void) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
      pause();
  }
  return child;
}

TEST(fork, a_child_that_lives_on_does_not_keep_the_endpoints_of_a_closed_runtime) {
  struct fixture f = {0};
  char path[128];
  fixture_open(&f, CONFIG);
  const pid_t child = fork_idle_child();
  fixture_reopen(&f);
  fixture_record(&f, 5);
  CHECK_EQ(fixture_usage(&f).used, 5);
  hg_client_destroy(&f.client);
  CHECK(hg_close(&f.runtime, 0) == HG_OK);
  snprintf(path, sizeof path, "%s/run/events.ipc", f.folder);
  CHECK(access(path, F_OK) != 0);
  CHECK(kill(child, SIGKILL) == 0);
  CHECK_EQ(waitpid(child, NULL, 0), child);
  fixture_close(&f);
}

TEST(fork, another_runtime_s_endpoint_is_refused_and_left_alone) {
  struct fixture f = {0}, other = {0};
  char sections[512];
  fixture_open(&f, CONFIG);
  snprintf(sections, sizeof sections,
           "\"tokenBudget\":{\"hardLimitTokens\":1000},\"eventBus\":{\"bind\":[\"ipc://%s/run/events.ipc\"]}",
           f.folder);
  snprintf(other.folder, sizeof other.folder, "/tmp/headgate-test.XXXXXX");
  CHECK(mkdtemp(other.folder) != NULL);
  snprintf(other.config, sizeof other.config, "{%s}", sections);
  hg_error why = HG_ERROR_INIT;
  CHECK(hg_open_json(other.config, strlen(other.config), other.folder, &other.runtime, &why) == HG_ERR_SYSTEM);
  CHECK(strstr(why.text, "another process is listening there") != NULL);
  char path[128];
  snprintf(path, sizeof path, "%s/run/events.ipc", f.folder);
  CHECK(access(path, F_OK) == 0);
  fixture_close(&other);
  fixture_close(&f);
}
