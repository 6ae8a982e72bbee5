// Who may open a ledger, which files are refused, what a changed configuration may do, and reading without a runtime.
// labels: budget
#include "ledger_story.h"

#include <sys/file.h>
#include <sys/wait.h>

static hg_err try_open(const struct bed *bed, hg_error *why) {
  struct hg_ledger *ledger = NULL;
  struct hg_ledger_state state;
  *why = (hg_error)HG_ERROR_INIT;
  const hg_err err = hg_ledger_open(&bed->config, &bed->places, &ledger, &state, why);
  CHECK(err == HG_OK || ledger == NULL);
  if (err == HG_OK) {
    hg_ledger_state_clear(&state);
    CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  } else CHECK_EQ(why->code, err);
  return err;
}

static void put_file(const char *path, const char *text, size_t size) {
  FILE *file = fopen(path, "w");
  CHECK(file != NULL && fwrite(text, 1, size, file) == size);
  CHECK(fclose(file) == 0);
}

static bool file_is(const char *path, const char *text, size_t size) {
  char found[4096];
  FILE *file = fopen(path, "r");
  CHECK(file != NULL);
  const size_t got = fread(found, 1, sizeof found, file);
  fclose(file);
  return got == size && memcmp(found, text, size) == 0;
}

static void sql_do(const char *path, const char *sql) {
  sqlite3 *db = sql_open(path);
  CHECK_EQ(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

TEST(ledger_opening, second_runtime_is_refused_and_told_who_holds_it) {
  struct bed bed;
  struct hg_ledger_state state;
  struct hg_ledger_figures figures;
  struct hg_holder holder;
  char pid[32];
  hg_error why;
  bed_make(&bed);
  CHECK_EQ(hg_ledger_holder(&bed.places, &holder), HG_ERR_NO_RUNTIME);
  struct hg_ledger *ledger = bed_open(&bed, &state);
  CHECK_EQ(hg_ledger_holder(&bed.places, &holder), HG_OK);
  CHECK_EQ(holder.pid, getpid());
  CHECK_STR(holder.control, bed.places.control_endpoint);
  CHECK_STR(holder.events, bed.places.events_endpoint);
  CHECK(strlen(holder.started) > 0 && !holder.momentary);
  CHECK_EQ(try_open(&bed, &why), HG_ERR_LEDGER_IN_USE);
  snprintf(pid, sizeof pid, "(pid %ld,", (long)getpid());
  CHECK(strstr(why.text, pid) != NULL);
  CHECK(strstr(why.text, bed.places.control_endpoint) != NULL && strstr(why.text, bed.path) != NULL);
  CHECK_EQ(hg_ledger_read_figures(&bed.config, &bed.places, "default", &figures, &why), HG_ERR_LEDGER_IN_USE);
  hg_ledger_state_clear(&state);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  CHECK_EQ(hg_ledger_holder(&bed.places, &holder), HG_ERR_NO_RUNTIME);
  CHECK_EQ(try_open(&bed, &why), HG_OK);
  bed_remove(&bed);
}

TEST(ledger_opening, starter_waits_for_a_short_holder) {
  struct bed bed;
  struct hg_holder holder;
  hg_error why;
  int ready[2];
  char byte;
  bed_make(&bed);
  CHECK_EQ(try_open(&bed, &why), HG_OK);
  CHECK(pipe(ready) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    struct hg_lock lock;
    if (hg_lock_take(&lock, &bed.places, bed.path, 0, NULL) != HG_OK || write(ready[1], "x", 1) != 1) _exit(1);
    usleep(200000);
    _exit(0); // the kernel gives the lock back
  }
  CHECK_EQ(read(ready[0], &byte, 1), 1);
  CHECK_EQ(hg_ledger_holder(&bed.places, &holder), HG_ERR_BUSY);
  CHECK_EQ(try_open(&bed, &why), HG_OK);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  close(ready[0]);
  close(ready[1]);
  bed_remove(&bed);
}

TEST(ledger_opening, other_files_are_refused_and_left_alone) {
  static const char letter[] =
      "Dear reader, this is a letter and not a database. It is long enough to have a header of "
      "one hundred bytes, which is what SQLite looks at first.";
  struct bed bed;
  hg_error why;
  bed_make(&bed);
  put_file(bed.path, letter, sizeof letter);
  CHECK_EQ(try_open(&bed, &why), HG_ERR_LEDGER_FOREIGN);
  CHECK(strstr(why.text, bed.path) != NULL && strstr(why.text, "ledger.path") != NULL);
  CHECK(file_is(bed.path, letter, sizeof letter));
  unlink(bed.path);
  sql_do(bed.path, "CREATE TABLE token_budget(name)"); // tables, and no application
  CHECK_EQ(try_open(&bed, &why), HG_ERR_LEDGER_FOREIGN);
  CHECK_EQ(sql_number(bed.path, "SELECT count(*) FROM sqlite_schema"), 1);
  CHECK_EQ(sql_number(bed.path, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'delete'"), 1);
  unlink(bed.path);
  sql_do(bed.path, "PRAGMA application_id = 77; PRAGMA user_version = 1; CREATE TABLE meta(key, value)");
  CHECK_EQ(try_open(&bed, &why), HG_ERR_LEDGER_FOREIGN);
  unlink(bed.path);
  CHECK_EQ(try_open(&bed, &why), HG_OK);
  char sql[128];
  snprintf(sql, sizeof sql, "PRAGMA user_version = %d", HG_LEDGER_VERSION + 1);
  sql_do(bed.path, sql);
  CHECK_EQ(try_open(&bed, &why), HG_ERR_LEDGER_FOREIGN);
  CHECK(strstr(why.text, "newer Headgate") != NULL);
  sql_do(bed.path, "PRAGMA user_version = 1");
  CHECK_EQ(try_open(&bed, &why), HG_ERR_LEDGER_FOREIGN);
  CHECK(strstr(why.text, "older Headgate") != NULL);
  snprintf(sql, sizeof sql, "PRAGMA user_version = %d; ALTER TABLE journal_detail DROP COLUMN policy",
           HG_LEDGER_VERSION);
  sql_do(bed.path, sql);
  CHECK_EQ(try_open(&bed, &why), HG_ERR_STORE);
  CHECK(strstr(why.text, "has no column for policy of RESERVATION_ORPHANED") != NULL);
  bed_remove(&bed);
}

// Opens what is at the ledger's path; it must be refused with words that name it and say this.
static void refuse(const struct bed *bed, hg_err err, const char *saying) {
  hg_error why;
  CHECK_EQ(try_open(bed, &why), err);
  if (!strstr(why.text, saying) || !strstr(why.text, bed->path)) fprintf(stderr, "%s\n", why.text);
  CHECK(strstr(why.text, saying) != NULL && strstr(why.text, bed->path) != NULL);
}

TEST(ledger_opening, what_is_no_file_is_refused) {
  struct bed bed;
  bed_make(&bed);
  CHECK(mkdir(bed.path, 0700) == 0);
  refuse(&bed, HG_ERR_LEDGER_FOREIGN, "is a directory");
  CHECK(rmdir(bed.path) == 0 && mkfifo(bed.path, 0600) == 0);
  refuse(&bed, HG_ERR_LEDGER_FOREIGN, "is a pipe");
  CHECK(unlink(bed.path) == 0 && symlink("/dev/null", bed.path) == 0);
  refuse(&bed, HG_ERR_LEDGER_FOREIGN, "is a device");
  CHECK(unlink(bed.path) == 0 && symlink(bed.path, bed.path) == 0);
  refuse(&bed, HG_ERR_STORE, "symbolic link");
  CHECK(unlink(bed.path) == 0 && symlink("nowhere.db", bed.path) == 0);
  refuse(&bed, HG_ERR_STORE, "symbolic link");
  CHECK(unlink(bed.path) == 0);
  bed_remove(&bed);
}

// A ledger of some pages, closed, and its bytes.
static char *make_bytes(struct bed *bed, size_t *size) {
  struct story story;
  bed_make(bed);
  struct hg_ledger *ledger = story_open(bed, &story);
  for (unsigned i = 0; i < 3000; i++)
    story_usage(&story, PAPERS, 1, "a task with a name", false);
  story_write(&story, ledger);
  story_end(&story);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  char *bytes = malloc(1 << 20);
  FILE *file = fopen(bed->path, "r");
  CHECK(bytes && file);
  *size = fread(bytes, 1, 1 << 20, file);
  CHECK(*size > 100000 && *size < 1 << 20);
  fclose(file);
  return bytes;
}

TEST(ledger_opening, damaged_files_are_refused_with_what_to_do_and_left_alone) {
  struct bed bed;
  size_t size;
  char *bytes = make_bytes(&bed, &size);
  const size_t cuts[] = {50, 1000, 4096, 40960, size / 2, size - 4096, size - 1};
  for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
    put_file(bed.path, bytes, cuts[i]);
    refuse(&bed, HG_ERR_STORE, "ledger");
    struct stat found;
    CHECK(stat(bed.path, &found) == 0 && found.st_size == (off_t)cuts[i]);
  }
  put_file(bed.path, bytes, size / 2);
  refuse(&bed, HG_ERR_STORE, ".recover");
  memset(bytes + 100, 0, 4096 - 100); // the page of the tables
  put_file(bed.path, bytes, size);
  refuse(&bed, HG_ERR_STORE, ".recover");
  free(bytes);
  bed_remove(&bed);
}

TEST(ledger_opening, an_empty_file_becomes_a_ledger) {
  struct bed bed;
  hg_error why;
  bed_make(&bed);
  put_file(bed.path, "", 0);
  CHECK_EQ(try_open(&bed, &why), HG_OK);
  CHECK_EQ(sql_number(bed.path, "SELECT value FROM meta WHERE key = 'opening'"), 1);
  bed_remove(&bed);
}

TEST(ledger_opening, directories_that_do_not_fit_are_refused) {
  struct bed bed, lost;
  hg_error why;
  bed_make(&bed);
  lost = bed;
  snprintf(lost.path, sizeof lost.path, "%s/no/ledger.db", bed.directory);
  snprintf(lost.places.lock_file, sizeof lost.places.lock_file, "%s.lock", lost.path);
  lost.config.ledger_path = lost.path;
  CHECK_EQ(try_open(&lost, &why), HG_ERR_STORE);
  CHECK(strstr(why.text, "does not exist") != NULL && strstr(why.text, lost.path) != NULL);
  CHECK(mkdir(bed.places.directory, 0700) == 0 && chmod(bed.places.directory, 0770) == 0);
  CHECK_EQ(try_open(&bed, &why), HG_ERR_SYSTEM);
  CHECK(strstr(why.text, bed.places.directory) != NULL && strstr(why.text, "chmod 700") != NULL);
  CHECK(rmdir(bed.places.directory) == 0);
  CHECK(symlink("/tmp", bed.places.directory) == 0);
  CHECK_EQ(try_open(&bed, &why), HG_ERR_SYSTEM);
  CHECK(unlink(bed.places.directory) == 0);
  CHECK_EQ(try_open(&bed, &why), HG_OK);
  bed_remove(&bed);
}

// As a user who may not write: root may write everywhere.
static bool is_refused_without_rights(const struct bed *bed) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    struct hg_ledger *ledger = NULL;
    struct hg_ledger_state state;
    hg_error why = HG_ERROR_INIT;
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(2);
    const hg_err err = hg_ledger_open(&bed->config, &bed->places, &ledger, &state, &why);
    _exit(err == HG_ERR_STORE && strstr(why.text, bed->path) != NULL ? 0 : 1);
  }
  int status = 1;
  CHECK(waitpid(child, &status, 0) == child);
  return status == 0;
}

TEST(ledger_opening, files_that_cannot_be_written_are_named) {
  struct bed bed;
  hg_error why;
  bed_make(&bed);
  CHECK_EQ(try_open(&bed, &why), HG_OK);
  CHECK(chmod(bed.path, 0444) == 0 && chmod(bed.places.lock_file, 0666) == 0 && chmod(bed.directory, 0777) == 0);
  CHECK(is_refused_without_rights(&bed)); // the file
  CHECK(unlink(bed.places.lock_file) == 0 && chmod(bed.directory, 0555) == 0);
  CHECK(is_refused_without_rights(&bed)); // the directory
  CHECK(chmod(bed.directory, 0700) == 0 && chmod(bed.path, 0600) == 0);
  CHECK_EQ(try_open(&bed, &why), HG_OK);
  bed_remove(&bed);
}

TEST(ledger_opening, configuration_may_add_budgets_but_not_lose_or_move_used_ones) {
  struct bed bed;
  struct hg_ledger_state state;
  struct story story;
  hg_error why;
  bed_make(&bed);
  struct hg_ledger *ledger = bed_open(&bed, &state);
  story_begin(&story, &state);
  story_usage(&story, RESEARCH, 5, "task", false);
  story_write(&story, ledger);
  hg_ledger_state_clear(&state);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);

  bed.budgets[PAPERS].parent = DEFAULT;
  CHECK_EQ(try_open(&bed, &why), HG_ERR_CONFIG);
  CHECK(strstr(why.text, "papers") != NULL && strstr(why.text, "research") != NULL);
  bed.budgets[PAPERS].parent = RESEARCH;
  bed.config.budget_count = 1;
  CHECK_EQ(try_open(&bed, &why), HG_ERR_CONFIG);
  CHECK(strstr(why.text, "research") != NULL);
  bed.config.budget_count = 2; // papers has no usage and may go
  CHECK_EQ(try_open(&bed, &why), HG_OK);
  CHECK_EQ(sql_number(bed.path, "SELECT count(*) FROM token_budget"), 2);
  // Refused openings are not counted.
  CHECK_EQ(sql_number(bed.path, "SELECT value FROM meta WHERE key = 'opening'"), 2);

  bed.config.budget_count = 3;
  bed.budgets[RESEARCH].hard_limit = 123; // the tracker will tell it; the ledger says what was
  bed.budgets[PAPERS] = (struct hg_budget_config){"books", DEFAULT, 77};
  ledger = bed_open(&bed, &state);
  CHECK_EQ(state.opening, 3);
  CHECK(state.budgets[PAPERS].is_new && !state.budgets[RESEARCH].is_new);
  CHECK_EQ(state.budgets[PAPERS].configured_limit, 77);
  CHECK_EQ(state.budgets[RESEARCH].configured_limit, 50000000);
  hg_ledger_state_clear(&state);
  story_close(&bed, &story, ledger);
}

TEST(ledger_opening, figures_are_read_without_a_runtime) {
  struct bed bed;
  struct hg_ledger_figures figures;
  struct story story;
  hg_error why = HG_ERROR_INIT;
  bed_make(&bed);
  CHECK_EQ(hg_ledger_read_figures(&bed.config, &bed.places, "default", &figures, &why), HG_ERR_EMPTY);
  CHECK(access(bed.path, F_OK) != 0 && access(bed.places.lock_file, F_OK) != 0);
  bed.config.shared_readers = true;
  struct hg_ledger *ledger = story_open(&bed, &story);
  story_usage(&story, RESEARCH, 1000, "task", false);
  for (uint64_t id = 1; id <= 4; id++)
    story_reserve(&story, id, id % 2 ? PAPERS : RESEARCH, 30, "task");
  story_orphan(&story, 2, RESEARCH, 30, "charge");
  story_orphan(&story, 3, PAPERS, 30, "keep");
  story_throttle(&story, RESEARCH, true);
  story_write(&story, ledger);
  CHECK_EQ(sql_number(bed.path, "SELECT total_used FROM token_budget WHERE name = 'research'"), 1030); // read along
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);

  bed.config.shared_readers = false;
  CHECK_EQ(hg_ledger_read_figures(&bed.config, &bed.places, "research", &figures, &why), HG_OK);
  CHECK_STR(figures.name, "research");
  CHECK_EQ(figures.used, 1030);
  CHECK_EQ(figures.reserved, 90);
  CHECK_EQ(figures.hard_limit, 50000000);
  CHECK(figures.throttled);
  CHECK_EQ(figures.open_permits, 3);
  CHECK_EQ(figures.seq, 8);
  CHECK_EQ(hg_ledger_read_figures(&bed.config, &bed.places, "papers", &figures, &why), HG_OK);
  CHECK_EQ(figures.open_permits, 2);
  CHECK(!figures.throttled);
  CHECK_EQ(hg_ledger_read_figures(&bed.config, &bed.places, "rent", &figures, &why), HG_ERR_UNKNOWN_BUDGET);
  CHECK(strstr(why.text, "rent") != NULL);
  CHECK_EQ(sql_number(bed.path, "SELECT value FROM meta WHERE key = 'opening'"), 1); // a glance is no opening
  story_end(&story);
  bed_remove(&bed);
}

TEST(ledger_opening, all_budgets_are_read_without_a_runtime) {
  struct bed bed;
  struct hg_ledger_budget budgets[BUDGETS];
  struct story story;
  hg_error why = HG_ERROR_INIT;
  bed_make(&bed);
  CHECK_EQ(hg_ledger_read_budgets(&bed.config, &bed.places, 0, budgets, &why), HG_ERR_EMPTY);
  CHECK(access(bed.path, F_OK) != 0 && access(bed.places.lock_file, F_OK) != 0);
  bed.config.budget_count = PAPERS; // which is not there yet
  struct hg_ledger *ledger = story_open(&bed, &story);
  story_usage(&story, RESEARCH, 1000, "task", false);
  story_limit(&story, RESEARCH, 777, "command");
  story_write(&story, ledger);
  CHECK_EQ(hg_ledger_read_budgets(&bed.config, &bed.places, 0, budgets, &why), HG_ERR_LEDGER_IN_USE);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);

  bed.config.budget_count = BUDGETS;
  CHECK_EQ(hg_ledger_read_budgets(&bed.config, &bed.places, 0, budgets, &why), HG_OK);
  CHECK_STR(budgets[RESEARCH].name, "research");
  CHECK_EQ(budgets[DEFAULT].used, 1000);
  CHECK_EQ(budgets[RESEARCH].hard_limit, 777);
  CHECK_EQ(budgets[RESEARCH].configured_limit, 50000000);
  CHECK(!hg_ledger_limit_is_news(&budgets[RESEARCH], 50000000)); // 777 stays
  CHECK(hg_ledger_limit_is_news(&budgets[RESEARCH], 777));
  CHECK(budgets[PAPERS].is_new && !budgets[RESEARCH].is_new);
  CHECK(hg_ledger_limit_is_news(&budgets[PAPERS], 9000000));
  story_end(&story);
  bed_remove(&bed);
}

// A ledger may be opened under a configuration that names less, such as the one that `headgate limit --ledger` makes.
TEST(ledger_opening, a_limit_set_by_hand_outlives_a_configuration_that_does_not_name_its_budget) {
  struct bed bed;
  struct hg_ledger_state state;
  struct story story;
  hg_error why;
  bed_make(&bed);
  struct hg_ledger *ledger = story_open(&bed, &story);
  story_limit(&story, RESEARCH, 777, "command");
  story_write(&story, ledger);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  bed.config.budget_count = 1;
  CHECK_EQ(try_open(&bed, &why), HG_OK);
  CHECK_EQ(sql_number(bed.path, "SELECT count(*) FROM token_budget WHERE name = 'papers'"), 0); // never held anything
  bed.config.budget_count = BUDGETS;
  ledger = bed_open(&bed, &state);
  CHECK_EQ(state.budgets[RESEARCH].hard_limit, 777);
  CHECK_EQ(state.budgets[RESEARCH].configured_limit, 50000000);
  CHECK(!state.budgets[RESEARCH].is_new && state.budgets[PAPERS].is_new);
  hg_ledger_state_clear(&state);
  story_close(&bed, &story, ledger);
}

static int pages_read(const struct bed *bed) {
  struct hg_ledger_state state;
  int read = 0, highest = 0;
  struct hg_ledger *ledger = bed_open(bed, &state);
  CHECK_EQ(sqlite3_db_status(ledger->db, SQLITE_DBSTATUS_CACHE_MISS, &read, &highest, 0), SQLITE_OK);
  hg_ledger_state_clear(&state);
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  return read;
}

// An opening reads a path through each tree and the permits that have not ended, however long the journal is.
TEST(ledger_opening, does_not_depend_on_the_length_of_the_journal) {
  struct bed bed;
  struct hg_ledger_state state;
  struct story story;
  int before = 0;
  bed_make(&bed);
  struct hg_ledger *ledger = story_open(&bed, &story);
  for (uint64_t id = 1; id <= 40000; id++) {
    story_reserve(&story, id, PAPERS, 10, "a task");
    if (id > 20) story_settle(&story, id, PAPERS, 10, 10, false);
    if (id % 1000) continue;
    story_write(&story, ledger);
    if (id != 1000) continue;
    CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
    before = pages_read(&bed);
    ledger = bed_open(&bed, &state);
    hg_ledger_state_clear(&state);
  }
  CHECK_EQ(hg_ledger_close(&ledger), HG_OK);
  const int after = pages_read(&bed);
  CHECK(before > 0 && after <= before + 4); // two trees are a level deeper each, with some to spare
  story_end(&story);
  bed_remove(&bed);
}
