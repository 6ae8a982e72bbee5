/* call.c: reads the fields of a request that decide what its answer looks like and what it costs. */
#include "call.h"
#include "json_reader.h"

#include <string.h>

/* ------------------------------------------------------------------------------------------- endpoints */

static const char *const endpoint_paths[ENDPOINT_NONE] = {
    [ENDPOINT_CHAT] = "/chat/completions", [ENDPOINT_RESPONSES] = "/responses", [ENDPOINT_COMPLETIONS] = "/completions",
    [ENDPOINT_EMBEDDINGS] = "/embeddings", [ENDPOINT_MESSAGES] = "/messages",
};

/* "/openai/v1" and "/v1beta/openai" name a version, "/openai" does not. */
static bool names_version(const char *path) {
  for (const char *at = strstr(path, "/v"); at; at = strstr(at + 1, "/v"))
    if (at[2] >= '0' && at[2] <= '9') return true;
  return false;
}

enum endpoint endpoint_of(const char *url, const char *base_path, enum question *question) {
  const size_t base_length = strlen(base_path);
  *question = QUESTION_CALL;
  if (strncmp(url, base_path, base_length) != 0) return ENDPOINT_NONE;
  url += base_length;
  if (!names_version(base_path) && strcmp(url, "/tokenize") == 0) {
    *question = QUESTION_TOKENIZE;
    return ENDPOINT_COMPLETIONS;
  }
  if (!names_version(base_path)) {
    if (strncmp(url, "/v1/", 4) != 0) return ENDPOINT_NONE;
    url += 3;
  }
  *question = QUESTION_COUNT;
  if (strcmp(url, "/responses/input_tokens") == 0) return ENDPOINT_RESPONSES;
  if (strcmp(url, "/messages/count_tokens") == 0) return ENDPOINT_MESSAGES;
  *question = QUESTION_CALL;
  enum endpoint endpoint = ENDPOINT_CHAT;
  while (endpoint != ENDPOINT_NONE && strcmp(url, endpoint_paths[endpoint]) != 0)
    endpoint++;
  return endpoint;
}

/* ---------------------------------------------------------------------------------------------- fields */

typedef struct refusal field_reader(struct json_reader *r, struct call *call);

static const struct refusal fine = {0};

static struct refusal refuse(const char *message, const char *param) {
  return (struct refusal){.status = 400, .message = message, .param = param};
}

/* Adds up the text that a model would read: strings, lists of parts, and in objects the members that carry text. */
static void count_text(struct json_reader *r, struct call *call) {
  static const char *const carriers[] = {"text", "content", "input", "output", "arguments"};
  struct json_string string;
  switch (json_peek(r)) {
  case '"':
    if (json_read_string(r, &string)) call->text_bytes += string.length;
    break;
  case '[':
    json_enter(r, '[');
    while (json_element(r))
      count_text(r, call);
    break;
  case '{':
    if (!json_enter(r, '{')) break;
    while (json_member(r, &string)) {
      size_t i = 0;
      while (i < sizeof carriers / sizeof *carriers && !json_equals(&string, carriers[i]))
        i++;
      if (i < sizeof carriers / sizeof *carriers) count_text(r, call);
      else json_skip(r);
    }
    break;
  default: json_skip(r);
  }
}

static struct refusal read_text(struct json_reader *r, struct call *call) {
  count_text(r, call);
  return fine;
}

/* Messages, or one string that stands for one message. */
static struct refusal read_messages(struct json_reader *r, struct call *call) {
  if (json_peek(r) != '[') {
    call->messages++;
    count_text(r, call);
    return fine;
  }
  json_enter(r, '[');
  while (json_element(r)) {
    call->messages++;
    count_text(r, call);
  }
  return fine;
}

/* One item of a prompt or of texts to embed: a string, or a list of token ids. */
static void read_item(struct json_reader *r, struct call *call) {
  call->items++;
  if (json_peek(r) != '[') {
    count_text(r, call);
    return;
  }
  json_enter(r, '[');
  while (json_element(r)) {
    call->token_ids++;
    json_skip(r);
  }
}

/* A string, a list of token ids, or a list of either. */
static struct refusal read_items(struct json_reader *r, struct call *call) {
  if (json_peek(r) != '[') {
    read_item(r, call);
    return fine;
  }
  bool ids = false;
  json_enter(r, '[');
  while (json_element(r)) {
    if (json_peek(r) == '"' || json_peek(r) == '[') {
      read_item(r, call);
    } else {
      ids = true;
      call->token_ids++;
      json_skip(r);
    }
  }
  call->items += ids;
  return call->items > CALL_ITEMS_MAX ? refuse("Too many inputs in one request.", "input") : fine;
}

/* Tools and their schemas are read by the model as they stand. */
static struct refusal read_verbatim(struct json_reader *r, struct call *call) {
  json_peek(r);
  const char *const from = r->at;
  if (json_skip(r)) call->text_bytes += (uint64_t)(r->at - from);
  return fine;
}

static struct refusal read_model(struct json_reader *r, struct call *call) {
  struct json_string model;
  if (json_peek(r) != '"' || !json_read_string(r, &model)) return refuse("The model must be a string.", "model");
  if (model.raw_length == 0 || model.raw_length > CALL_MODEL_BYTES_MAX) return refuse("No such model.", "model");
  for (size_t i = 0; i < model.raw_length; i++)
    if ((unsigned char)model.raw[i] >= 0x80) return refuse("No such model.", "model");
  call->model = model.raw;
  call->model_length = model.raw_length;
  return fine;
}

/* As it was sent, like the model; what the log could not show as it is counts as not said. */
static void read_user_name(struct json_reader *r, struct call *call) {
  struct json_string user;
  if (json_peek(r) != '"') {
    json_skip(r);
    return;
  }
  if (!json_read_string(r, &user) || user.raw_length > CALL_USER_BYTES_MAX) return;
  for (size_t i = 0; i < user.raw_length; i++)
    if ((unsigned char)user.raw[i] >= 0x80) return;
  call->user = user.raw;
  call->user_length = user.raw_length;
}

static struct refusal read_user(struct json_reader *r, struct call *call) {
  read_user_name(r, call);
  return fine;
}

// False: it is none, and was passed over.
static bool enter_object(struct json_reader *r) {
  const bool is_object = json_peek(r) == '{';
  if (is_object) json_enter(r, '{');
  else json_skip(r);
  return is_object;
}

static struct refusal read_metadata(struct json_reader *r, struct call *call) {
  struct json_string key;
  if (!enter_object(r)) return fine;
  while (json_member(r, &key)) {
    if (json_equals(&key, "user_id")) read_user_name(r, call);
    else json_skip(r);
  }
  return fine;
}

static struct refusal read_whole(struct json_reader *r, uint64_t max, uint64_t *out, const char *param) {
  uint64_t value = 0;
  if (json_peek(r) == 'n') {
    json_skip(r);
    return fine;
  }
  if (!json_whole(r, &value) || value == 0 || value > max) return refuse("Not a whole number in its range.", param);
  *out = value;
  return fine;
}

static struct refusal read_cap(struct json_reader *r, struct call *call) {
  uint64_t cap = call->cap;
  const struct refusal refusal = read_whole(r, CALL_CAP_MAX, &cap, "max_tokens");
  if (call->cap == 0 || cap < call->cap) call->cap = cap; /* where two caps are given both bind */
  return refusal;
}

static struct refusal read_choices(struct json_reader *r, struct call *call) {
  return read_whole(r, CALL_CHOICES_MAX, &call->choices, "n");
}

static struct refusal read_best_of(struct json_reader *r, struct call *call) {
  return read_whole(r, CALL_CHOICES_MAX, &call->best_of, "best_of");
}

static struct refusal read_stream(struct json_reader *r, struct call *call) {
  call->stream = json_peek(r) == 't';
  json_skip(r);
  return fine;
}

static struct refusal read_stream_options(struct json_reader *r, struct call *call) {
  struct json_string key;
  if (!enter_object(r)) return fine;
  while (json_member(r, &key)) {
    if (json_equals(&key, "include_usage")) call->include_usage = json_peek(r) == 't';
    json_skip(r);
  }
  return fine;
}

#define CHAT (1u << ENDPOINT_CHAT)
#define RESPONSES (1u << ENDPOINT_RESPONSES)
#define COMPLETIONS (1u << ENDPOINT_COMPLETIONS)
#define EMBEDDINGS (1u << ENDPOINT_EMBEDDINGS)
#define MESSAGES (1u << ENDPOINT_MESSAGES)
#define ANY (CHAT | RESPONSES | COMPLETIONS | EMBEDDINGS | MESSAGES)

/* A field counts only at the endpoints that obey it: a cap in the wrong field is no cap. */
static const struct {
  const char *name;
  unsigned endpoints;
  field_reader *read;
} fields[] = {
    {"model", ANY, read_model},
    {"user", CHAT | RESPONSES | COMPLETIONS | EMBEDDINGS, read_user},
    {"metadata", MESSAGES, read_metadata},
    {"messages", CHAT | MESSAGES, read_messages},
    {"input", RESPONSES, read_messages},
    {"input", EMBEDDINGS, read_items},
    {"prompt", COMPLETIONS, read_items},
    {"system", MESSAGES, read_text},
    {"instructions", RESPONSES, read_text},
    {"tools", CHAT | RESPONSES | MESSAGES, read_verbatim},
    {"max_completion_tokens", CHAT, read_cap},
    {"max_tokens", CHAT | COMPLETIONS | MESSAGES, read_cap},
    {"max_output_tokens", RESPONSES, read_cap},
    {"n", CHAT | COMPLETIONS, read_choices},
    {"best_of", COMPLETIONS, read_best_of},
    {"stream", ANY, read_stream},
    {"stream_options", CHAT | COMPLETIONS, read_stream_options},
};

static struct refusal read_field(struct json_reader *r, const struct json_string *key, struct call *call) {
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (fields[i].endpoints & (1u << call->endpoint) && json_equals(key, fields[i].name))
      return fields[i].read(r, call);
  json_skip(r);
  return fine;
}

/* ---------------------------------------------------------------------------------------------- a call */

static const char *const input_fields[ENDPOINT_NONE] = {
    [ENDPOINT_CHAT] = "messages",    [ENDPOINT_RESPONSES] = "input",   [ENDPOINT_COMPLETIONS] = "prompt",
    [ENDPOINT_EMBEDDINGS] = "input", [ENDPOINT_MESSAGES] = "messages",
};

static struct refusal check_input(const struct call *call) {
  if (!call->model) return refuse("you must provide a model parameter", "model");
  if (call->messages == 0 && call->items == 0)
    return refuse("Missing required parameter: the input.", input_fields[call->endpoint]);
  return fine;
}

static struct refusal check(const struct call *call) {
  const struct refusal refusal = check_input(call);
  if (refusal.status != 0) return refusal;
  if (call->stream && call->endpoint == ENDPOINT_EMBEDDINGS) return refuse("Embeddings are not streamed.", "stream");
  if (call->endpoint == ENDPOINT_MESSAGES && call->cap == 0) return refuse("max_tokens: Field required", "max_tokens");
  if (call->items * call->choices > CALL_ITEMS_MAX) return refuse("Too many choices in one request.", "n");
  return fine;
}

static struct refusal read_body(struct call *call, enum endpoint endpoint, const char *body, size_t length) {
  *call = (struct call){.endpoint = endpoint, .choices = 1};
  struct json_reader r = json_start(body, length);
  struct json_string key;
  struct refusal refusal = fine;
  if (json_enter(&r, '{'))
    while (refusal.status == 0 && json_member(&r, &key))
      refusal = read_field(&r, &key, call);
  if (r.bad || (refusal.status == 0 && !json_end(&r)))
    return refuse("We could not parse the JSON body of your request.", NULL);
  if (refusal.status != 0) return refusal;
  if (call->best_of < call->choices) call->best_of = call->choices;
  return fine;
}

struct refusal call_parse(struct call *call, enum endpoint endpoint, const char *body, size_t length) {
  const struct refusal refusal = read_body(call, endpoint, body, length);
  return refusal.status != 0 ? refusal : check(call);
}

struct refusal call_parse_count(struct call *call, enum endpoint *endpoint, enum question question, const char *body,
                                size_t length) {
  struct refusal refusal = read_body(call, *endpoint, body, length);
  if (question == QUESTION_TOKENIZE && refusal.status == 0 && call->items == 0) {
    *endpoint = ENDPOINT_CHAT;
    refusal = read_body(call, *endpoint, body, length);
  }
  if (refusal.status != 0) return refusal;
  if (call->cap || call->stream || call->choices > 1)
    return refuse("Unknown parameter: nothing is generated here.", NULL);
  return check_input(call);
}

uint64_t call_input_tokens(const struct call *call) {
  const uint64_t read = (call->text_bytes + CALL_BYTES_PER_TOKEN - 1) / CALL_BYTES_PER_TOKEN + call->token_ids;
  if (call->messages == 0) return read;
  return read + call->messages * CALL_TOKENS_PER_MESSAGE + CALL_TOKENS_PER_CALL;
}
