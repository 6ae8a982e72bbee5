// links: program
// Keys that a provider repeats are covered, and nothing else is.
#include "providers/secrets.h"
#include "support/test.h"

// `text` with the key of "Authorization: Bearer sk-a/b+c" and of "api-key: q\"w\\e" covered.
static const char *covered(const char *text) {
  static char shown[256];
  char *openai[] = {(char[]){"X-Other: sk-other"}, (char[]){"Authorization: Bearer sk-a/b+c"}, NULL};
  char *anthropic[] = {(char[]){"api-key: q\"w\\e"}, (char[]){"x-api-key: abc"}, NULL};
  const struct hg_target target = {.openai_headers = openai, .anthropic_headers = anthropic};
  char *out = NULL;
  CHECK_EQ(hg_target_hide_keys(&target, text, strlen(text), &out), HG_OK);
  snprintf(shown, sizeof shown, "%.*s", (int)strlen(text), out ? out : text);
  CHECK(!out == (strcmp(shown, text) == 0)); // a copy only where one is needed
  free(out);
  return shown;
}

TEST(secrets, keys_are_covered_as_they_are_and_as_json_escapes_them) {
  CHECK_STR(covered("wrong key sk-a/b+c!"), "wrong key ********!");
  CHECK_STR(covered("sk-a/b+csk-a/b+c"), "****************");
  CHECK_STR(covered("{\"m\":\"sk-a\\/b+c\"}"), "{\"m\":\"*********\"}");
  CHECK_STR(covered("{\"m\":\"sk-a\\u002fb\\u002Bc\"}"), "{\"m\":\"******************\"}");
  CHECK_STR(covered("{\"m\":\"q\\\"w\\\\e\"}"), "{\"m\":\"*******\"}");
  CHECK_STR(covered("q\"w\\e and sk-a/b+c"), "***** and ********");
}

TEST(secrets, everything_else_is_left) {
  static const char *const texts[] = {
      "", "sk-a/b+", "sk-other Bearer X-Other", "sk-a\\u002", "sk-a\\", "sk-a\\u012fb+c", "abc abc", "k-a/b+c"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    CHECK_STR(covered(texts[i]), texts[i]); // "abc" is too short to be a secret
}

TEST(secrets, credentials_are_known_by_their_names) {
  static const char *const yes[] = {"Authorization: Bearer k",
                                    "AUTHORIZATION:k",
                                    "x-api-key: k",
                                    "Api-Key: k",
                                    "cookie: a=b",
                                    "X-Goog-Api-Key: k",
                                    "proxy-authorization: Basic k"};
  static const char *const no[] = {"X-Authorization: k", "Authorization: ", "api-key:", "X-Api-Keys: k", "Accept: k"};
  for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
    CHECK(hg_is_credential(yes[i]));
  for (size_t i = 0; i < sizeof no / sizeof *no; i++)
    CHECK(!hg_is_credential(no[i]));
}
