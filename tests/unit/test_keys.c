// Key files: who may have written them, and how much there is in them. labels: bus
#include "bus/keys.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scene {
  char folder[32], file[48];
  hg_error why;
};

static void begin(struct scene *scene) {
  *scene = (struct scene){.folder = "/tmp/hg-keys-XXXXXX", .why = HG_ERROR_INIT};
  CHECK(mkdtemp(scene->folder) != NULL);
  snprintf(scene->file, sizeof scene->file, "%s/keys", scene->folder);
}

static void end(struct scene *scene) {
  unlink(scene->file);
  rmdir(scene->folder);
}

static void write_keys(struct scene *scene, const char *line, unsigned times) {
  FILE *file = fopen(scene->file, "w");
  CHECK(file);
  for (unsigned i = 0; i < times; i++)
    fputs(line, file);
  CHECK(fclose(file) == 0 && chmod(scene->file, 0600) == 0);
}

TEST(keys, a_pair_belongs_together_and_is_found_again) {
  struct scene scene;
  char public_key[HG_KEY_TEXT], secret_key[HG_KEY_TEXT], line[HG_KEY_TEXT + 1], read[HG_KEY_TEXT];
  begin(&scene);
  if (hg_keys_make(public_key, secret_key, &scene.why) == HG_OK) { // libzmq has CURVE
    snprintf(line, sizeof line, "%s\n", secret_key);
    write_keys(&scene, line, 1);
    CHECK_EQ(hg_keys_read_secret(scene.file, read, &scene.why), HG_OK);
    CHECK(strcmp(read, secret_key) == 0);
    CHECK_EQ(hg_keys_public(secret_key, read, &scene.why), HG_OK);
    CHECK(strcmp(read, public_key) == 0);
    CHECK_EQ(hg_keys_public("no key", read, &scene.why), HG_ERR_CONFIG);
  }
  end(&scene);
}

TEST(keys, a_list_has_so_many_keys_and_no_more) {
  static const char line[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7\n";
  struct hg_allowed_keys allowed;
  struct scene scene;
  begin(&scene);
  write_keys(&scene, line, HG_KEYS_ALLOWED_MAX);
  CHECK_EQ(hg_keys_read_allowed(scene.file, &allowed, &scene.why), HG_OK);
  CHECK_EQ(allowed.count, HG_KEYS_ALLOWED_MAX);
  CHECK(hg_keys_allow(&allowed, allowed.keys[0], HG_KEY_BYTES) && !hg_keys_allow(&allowed, allowed.keys[0], 31));
  hg_keys_clear(&allowed);
  write_keys(&scene, line, HG_KEYS_ALLOWED_MAX + 1);
  CHECK_EQ(hg_keys_read_allowed(scene.file, &allowed, &scene.why), HG_ERR_CONFIG);
  CHECK(strstr(scene.why.text, "has more than 10000 keys") != NULL);
  CHECK(allowed.keys == NULL && allowed.count == 0);
  end(&scene);
}

TEST(keys, a_file_too_long_for_keys_is_not_read) {
  struct scene scene;
  struct hg_allowed_keys allowed;
  char read[HG_KEY_TEXT];
  begin(&scene);
  write_keys(&scene, "# nothing but remarks\n", 10000);
  CHECK_EQ(hg_keys_read_allowed(scene.file, &allowed, &scene.why), HG_OK);
  CHECK_EQ(allowed.count, 0);
  CHECK_EQ(hg_keys_read_secret(scene.file, read, &scene.why), HG_ERR_CONFIG);
  CHECK(strstr(scene.why.text, "too many for keys") != NULL);
  write_keys(&scene, "# nothing but remarks\n", 1000000);
  CHECK_EQ(hg_keys_read_allowed(scene.file, &allowed, &scene.why), HG_ERR_CONFIG);
  CHECK(strstr(scene.why.text, "too many for keys") != NULL);
  end(&scene);
}
