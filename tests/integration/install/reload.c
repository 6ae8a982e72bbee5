// Loads the library, opens a runtime, closes both, and goes on with SQLite, whose list of VFSs the library is in.
#include <headgate.h>

#include <dlfcn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static int fail(const char *what) {
  printf("%s\n", what);
  return 1;
}

static int open_once(const char *library) {
  const char config[] = "{\"tokenBudget\": {\"hardLimitTokens\": 1000}, \"ledger\": {\"path\": \"reload.db\"}}";
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return fail(dlerror());
  hg_err (*open_json)(const char *, size_t, const char *, hg_runtime **, hg_error *);
  hg_err (*close_runtime)(hg_runtime **, int);
  *(void **)&open_json = dlsym(handle, "hg_open_json");
  *(void **)&close_runtime = dlsym(handle, "hg_close");
  if (!open_json || !close_runtime) return fail(dlerror());
  hg_runtime *runtime;
  hg_error why = HG_ERROR_INIT;
  if (open_json(config, strlen(config), NULL, &runtime, &why) != HG_OK) return fail(why.text);
  if (close_runtime(&runtime, 1000) != HG_OK) return fail("hg_close");
  return dlclose(handle) == 0 ? 0 : fail("dlclose");
}

int main(int argc, char **argv) {
  if (argc != 2) return fail("usage: reload LIBRARY");
  sqlite3 *database;
  for (int i = 0; i < 3; i++) {
    if (open_once(argv[1]) != 0) return 1;
    if (sqlite3_vfs_find("no such") != NULL) return fail("found"); // walks the list
    if (sqlite3_open("other.db", &database) != SQLITE_OK) return fail(sqlite3_errmsg(database));
    sqlite3_close(database);
  }
  printf("reloaded\n");
  return 0;
}
