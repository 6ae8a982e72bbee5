// Where calls go and with which headers: tables of bases, lines, variables and refusals.
// links: program
#include "support/test.h"

#include "providers/endpoint.h"

#define CHAT "/v1/chat/completions"

static const struct {
  const char *base, *path, *joined;
} joins[] = {
    {"http://h:8000", CHAT, "http://h:8000/v1/chat/completions"},
    {"http://h:8000/", CHAT, "http://h:8000/v1/chat/completions"},
    {"http://h:8000/v1", CHAT, "http://h:8000/v1/chat/completions"},
    {"http://h:8000/v1/", CHAT, "http://h:8000/v1/chat/completions"},
    {"https://host/openai/v1", CHAT, "https://host/openai/v1/chat/completions"},
    {"https://g.com/v1beta/openai/", CHAT, "https://g.com/v1beta/openai/chat/completions"},
    {"https://b.cn/api/paas/v4/", CHAT, "https://b.cn/api/paas/v4/chat/completions"},
    {"https://x.openai.azure.com/openai/deployments/d?api-version=2024-06-01", CHAT,
     "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-06-01"},
    {"https://h?k=1", CHAT, "https://h/v1/chat/completions?k=1"},
    {"https://h/v1?k=1", "/v1/embeddings?m=2", "https://h/v1/embeddings?m=2&k=1"},
    {"https://h/v1?", "/v1/embeddings", "https://h/v1/embeddings"},
    {"https://h/llm", CHAT, "https://h/llm/chat/completions"},
    {"https://h", "/chat/completions", "https://h/chat/completions"},
    {"https://h/v1", "/chat/completions", "https://h/v1/chat/completions"},
    {"https://h/v1", "/score", "https://h/v1/score"},
    {"https://h/v1", "/v1", "https://h/v1"},
    {"https://h/v1", "/vision/x", "https://h/v1/vision/x"},
    {"HTTPS://[::1]:8000/v1", CHAT, "HTTPS://[::1]:8000/v1/chat/completions"},
    // an Anthropic client keeps its /v1 unless the base ends in a version
    {"https://api.anthropic.com", "/v1/messages", "https://api.anthropic.com/v1/messages"},
    {"https://api.anthropic.com/v1/", "/v1/messages", "https://api.anthropic.com/v1/messages"},
    {"https://d.com/anthropic", "/v1/messages", "https://d.com/anthropic/v1/messages"},
    {"https://d.com/anthropic/v1", "/v1/messages", "https://d.com/anthropic/v1/messages"},
};

TEST(endpoint, joins) {
  for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
    char *joined = NULL;
    hg_error why = HG_ERROR_INIT;
    CHECK_EQ(hg_url_join(joins[i].base, joins[i].path, &joined, &why), HG_OK);
    CHECK_STR(joined, joins[i].joined);
    free(joined);
  }
}

TEST(endpoint, refuses_what_is_no_url) {
  static const char *const bases[] = {"",
                                      "h:8000",
                                      "ftp://h",
                                      "http://",
                                      "http:///v1",
                                      "http://h:0",
                                      "http://h:65536",
                                      "http://h:80x",
                                      "http://h:",
                                      "http://user:SECRET@h/v1",
                                      "http://h/#SECRET",
                                      "http://h/a b",
                                      "http://h\r\nX: y",
                                      "http://h\\@SECRET",
                                      "http://[::1",
                                      "http://h\xc3\xa9/"};
  static const char *const paths[] = {"",        "v1/x",    "//evil/v1", "https://evil/v1",
                                      "/v1/x#y", "/v1/x y", "/v1\n",     "/\\evil"};
  char *joined = NULL;
  for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
    hg_error why = HG_ERROR_INIT;
    if (!hg_url_join(bases[i], CHAT, &joined, &why)) fprintf(stderr, "accepted: %s\n", bases[i]);
    CHECK_EQ(why.code, HG_ERR_CONFIG);
    CHECK(!joined && !strstr(why.text, "SECRET") && why.text[0]);
  }
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    CHECK_EQ(hg_url_join("https://h", paths[i], &joined, NULL), HG_ERR_INVALID);
}

static void environment(const char *openai_base, const char *openai_key, const char *anthropic_base,
                        const char *anthropic_key) {
  const struct {
    const char *name, *value;
  } all[] = {{"OPENAI_BASE_URL", openai_base},
             {"OPENAI_API_KEY", openai_key},
             {"ANTHROPIC_BASE_URL", anthropic_base},
             {"ANTHROPIC_API_KEY", anthropic_key}};
  for (size_t i = 0; i < 4; i++) {
    if (all[i].value) CHECK(setenv(all[i].name, all[i].value, 1) == 0);
    else unsetenv(all[i].name);
  }
}

static struct hg_target resolve(const char *flag, const struct hg_llm_config *llm) {
  struct hg_target target;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = hg_target_resolve(flag, llm, &target, &why);
  if (err) fprintf(stderr, "%s\n", why.text);
  CHECK_EQ(err, HG_OK);
  return target;
}

// The headers as one text, for comparison.
static const char *joined(char **headers) {
  static char text[1024];
  text[0] = '\0';
  for (; *headers; headers++) {
    strcat(text, *headers);
    strcat(text, "|");
  }
  return text;
}

TEST(endpoint, precedence) {
  struct hg_llm_config file = {.base_url = (char[]){"https://file/v1"}}, none = {0};
  environment("https://env-o/v1", NULL, "https://env-a", NULL);
  struct hg_target t = resolve("https://flag/v1", &file);
  CHECK_STR(t.openai_base, "https://flag/v1");
  CHECK_STR(t.anthropic_base, "https://flag/v1");
  hg_target_clear(&t);
  t = resolve(NULL, &file);
  CHECK_STR(t.openai_base, "https://file/v1");
  CHECK_STR(t.anthropic_base, "https://file/v1");
  hg_target_clear(&t);
  t = resolve(NULL, &none);
  CHECK_STR(t.openai_base, "https://env-o/v1");
  CHECK_STR(t.anthropic_base, "https://env-a");
  hg_target_clear(&t);
  environment("", "", NULL, NULL); // empty is as good as unset
  t = resolve(NULL, &none);
  CHECK_STR(t.openai_base, "https://api.openai.com");
  CHECK_STR(t.anthropic_base, "https://api.anthropic.com");
  CHECK(!t.openai_has_key && !t.anthropic_has_key && t.openai_headers[0] == NULL);
  CHECK_STR(t.openai_key_env, "OPENAI_API_KEY");
  CHECK_STR(t.anthropic_key_env, "ANTHROPIC_API_KEY");
  hg_target_clear(&t);
}

TEST(endpoint, headers) {
  static const struct {
    const char *auth, *base, *openai, *anthropic;
  } rows[] = {
      {NULL, "https://h", "Authorization: Bearer ko|", "x-api-key: ka|anthropic-version: 2023-06-01|"},
      {"auto", "https://h", "Authorization: Bearer ko|", "x-api-key: ka|anthropic-version: 2023-06-01|"},
      {"auto", "https://x.OpenAI.Azure.com/v1", "api-key: ko|", "x-api-key: ka|anthropic-version: 2023-06-01|"},
      {"auto", "https://notazure.com", "Authorization: Bearer ko|", "x-api-key: ka|anthropic-version: 2023-06-01|"},
      {"bearer", "https://x.azure.com", "Authorization: Bearer ko|",
       "Authorization: Bearer ka|anthropic-version: 2023-06-01|"},
      {"x-api-key", "https://h", "x-api-key: ko|", "x-api-key: ka|anthropic-version: 2023-06-01|"},
      {"api-key", "https://h", "api-key: ko|", "api-key: ka|anthropic-version: 2023-06-01|"},
      {"none", "http://lan:8000", "", "anthropic-version: 2023-06-01|"},
  };
  environment(NULL, "ko", NULL, "ka");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char auth[16] = "";
    if (rows[i].auth) strcpy(auth, rows[i].auth);
    struct hg_llm_config llm = {.auth = rows[i].auth ? auth : NULL};
    struct hg_target t = resolve(rows[i].base, &llm);
    CHECK_STR(joined(t.openai_headers), rows[i].openai);
    CHECK_STR(joined(t.anthropic_headers), rows[i].anthropic);
    CHECK_EQ(t.openai_has_key, rows[i].openai[0] != '\0');
    hg_target_clear(&t);
  }
  struct hg_target t;
  struct hg_llm_config odd = {.auth = (char[]){"magic"}};
  CHECK_EQ(hg_target_resolve(NULL, &odd, &t, NULL), HG_ERR_CONFIG);
}

TEST(endpoint, extra_headers_replace_defaults) {
  environment(NULL, "ko", NULL, "ka");
  char *headers[] = {(char[]){"AUTHORIZATION: Bearer other"}, (char[]){"Anthropic-Version: 2030-01-01"},
                     (char[]){"X-Team: a"}};
  struct hg_llm_config llm = {.headers = headers, .header_count = 3};
  struct hg_target t = resolve(NULL, &llm);
  CHECK_STR(joined(t.openai_headers), "AUTHORIZATION: Bearer other|Anthropic-Version: 2030-01-01|X-Team: a|");
  CHECK_STR(joined(t.anthropic_headers),
            "x-api-key: ka|AUTHORIZATION: Bearer other|Anthropic-Version: 2030-01-01|X-Team: a|");
  hg_target_clear(&t);
  static const char *const bad[] = {"no colon", ": x", "A B: x", "X: SECRET\r\nY: z", ""};
  for (size_t i = 0; i < 5; i++) {
    char text[64];
    char *one[] = {strcpy(text, bad[i])};
    struct hg_llm_config wrong = {.headers = one, .header_count = 1};
    hg_error why = HG_ERROR_INIT;
    CHECK_EQ(hg_target_resolve(NULL, &wrong, &t, &why), HG_ERR_CONFIG);
    CHECK(strstr(why.text, "llm.headers") && !strstr(why.text, "SECRET"));
  }
}

TEST(endpoint, one_variable_for_both_families) {
  environment(NULL, "ko", NULL, "ka");
  CHECK(setenv("HG_TEST_KEY", "kk", 1) == 0);
  struct hg_llm_config llm = {.api_key_env = (char[]){"HG_TEST_KEY"}};
  struct hg_target t = resolve(NULL, &llm);
  CHECK_STR(joined(t.openai_headers), "Authorization: Bearer kk|");
  CHECK_STR(joined(t.anthropic_headers), "x-api-key: kk|anthropic-version: 2023-06-01|");
  CHECK_STR(t.anthropic_key_env, "HG_TEST_KEY");
  hg_target_clear(&t);
  unsetenv("HG_TEST_KEY");
  t = resolve(NULL, &llm);
  CHECK(!t.openai_has_key && !t.anthropic_has_key);
  hg_target_clear(&t);
}

TEST(endpoint, no_key_over_plain_http) {
  static const struct {
    const char *base;
    bool loopback;
  } rows[] = {{"http://localhost:1", true},     {"http://LOCALHOST/v1", true},  {"http://127.0.0.1:8000", true},
              {"http://127.9.9.9", true},       {"http://[::1]:8000", true},    {"https://10.0.0.1", true},
              {"http://10.0.0.1:8000", false},  {"http://127.evil.com", false}, {"http://localhost.evil.com", false},
              {"http://127.0.0.1.evil", false}, {"http://[::2]", false},        {"http://0.0.0.0", false},
              {"http://notlocalhost", false},   {"http://128.0.0.1", false}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct hg_llm_config none = {0};
    char *headers[] = {(char[]){"X-Api-Key: SECRET"}};
    struct hg_llm_config with_header = {.headers = headers, .header_count = 1};
    const struct hg_llm_config *llms[] = {&none, &none, &with_header};
    for (int way = 0; way < 3; way++) { // OpenAI's key, Anthropic's key, a credential among the headers
      environment(NULL, way == 0 ? "SECRET" : NULL, NULL, way == 1 ? "SECRET" : NULL);
      struct hg_target t;
      hg_error why = HG_ERROR_INIT;
      const hg_err err = hg_target_resolve(rows[i].base, llms[way], &t, &why);
      if ((err == HG_OK) != rows[i].loopback) fprintf(stderr, "%s: %s\n", rows[i].base, why.text);
      CHECK_EQ(err, rows[i].loopback ? HG_OK : HG_ERR_CONFIG);
      CHECK(rows[i].loopback || (strstr(why.text, "https") && !strstr(why.text, "SECRET")));
      hg_target_clear(&t);
    }
    environment(NULL, NULL, NULL, NULL); // without a key plain http may go anywhere
    struct hg_target t = resolve(rows[i].base, &none);
    hg_target_clear(&t);
  }
}

TEST(endpoint, keys_that_no_header_can_carry) {
  static const char *const keys[] = {"SECRET\n", "SEC RET", "SECRET\r\nX: y", "SECRET\x7f", "SECRET\xc3\xa9"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    environment(NULL, keys[i], NULL, NULL);
    struct hg_llm_config none = {0};
    struct hg_target t;
    hg_error why = HG_ERROR_INIT;
    CHECK_EQ(hg_target_resolve(NULL, &none, &t, &why), HG_ERR_CONFIG);
    CHECK(strstr(why.text, "OPENAI_API_KEY") && !strstr(why.text, "SEC"));
  }
  char *huge = malloc(9001);
  CHECK(huge);
  memset(huge, 'k', 9000);
  huge[9000] = '\0';
  environment(NULL, huge, NULL, NULL);
  free(huge);
  struct hg_llm_config none = {0};
  struct hg_target t;
  CHECK_EQ(hg_target_resolve(NULL, &none, &t, NULL), HG_ERR_CONFIG);
  environment(NULL, NULL, NULL, NULL);
}
