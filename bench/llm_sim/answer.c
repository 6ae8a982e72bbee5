/* answer.c: the shapes of all answers and streams, as templates. In a template ' stands for " and $ with a letter for a
 * fact:
 *
 *   $I id, 16 hex digits    $C created, seconds    $M model               $T text               $V vector
 *   $N index of the item    $F why it ended        $Q status              $D incomplete_details
 *   $P input tokens         $H read from cache     $W written to cache    $E input without either
 *   $O output tokens        $R reasoning tokens    $S input + output      $K output cap, or null
 *   $A the whole answer, as it is without a stream; $L a line feed
 *
 * All of them follow from the request, `created` too: the same request gets the same answer, byte for byte. */
#include "answer.h"
#include "hash.h"

#include <stdio.h>
#include <string.h>

enum { PIECE_BYTES = 24 };

struct shape {
  const char *head, *item, *after_items, *usage, *end;
  const char *finished, *at_cap; /* the two values of $F */
};

#define OPENAI_USAGE                                                                                                   \
  ",'usage':{'prompt_tokens':$P,'completion_tokens':$O,'total_tokens':$S,"                                             \
  "'prompt_tokens_details':{'cached_tokens':$H,'audio_tokens':0},"                                                     \
  "'completion_tokens_details':{'reasoning_tokens':$R,'audio_tokens':0,"                                               \
  "'accepted_prediction_tokens':0,'rejected_prediction_tokens':0}}"

static const struct shape chat = {
    .head = "{'id':'chatcmpl-$I','object':'chat.completion','created':$C,'model':'$M','choices':[",
    .item = "{'index':$N,'message':{'role':'assistant','content':'$T','refusal':null,'annotations':[]},"
            "'logprobs':null,'finish_reason':'$F'}",
    .after_items = "]",
    .usage = OPENAI_USAGE,
    .end = ",'service_tier':'default','system_fingerprint':'fp_$I'}",
    .finished = "stop",
    .at_cap = "length",
};

static const struct shape completion = {
    .head = "{'id':'cmpl-$I','object':'text_completion','created':$C,'model':'$M','choices':[",
    .item = "{'text':'$T','index':$N,'logprobs':null,'finish_reason':'$F'}",
    .after_items = "]",
    .usage = OPENAI_USAGE,
    .end = "}",
    .finished = "stop",
    .at_cap = "length",
};

static const struct shape embedding = {
    .head = "{'object':'list','data':[",
    .item = "{'object':'embedding','index':$N,'embedding':[$V]}",
    .after_items = "],'model':'$M'",
    .usage = ",'usage':{'prompt_tokens':$P,'total_tokens':$P}",
    .end = "}",
};

static const struct shape response = {
    .head = "{'id':'resp_$I','object':'response','created_at':$C,'status':'$Q','background':false,'error':null,"
            "'incomplete_details':$D,'instructions':null,'max_output_tokens':$K,'model':'$M','output':[",
    .item = "{'id':'msg_$I','type':'message','status':'$Q','role':'assistant',"
            "'content':[{'type':'output_text','annotations':[],'logprobs':[],'text':'$T'}]}",
    .after_items = "],'parallel_tool_calls':true,'previous_response_id':null,"
                   "'reasoning':{'effort':null,'summary':null},'service_tier':'default','store':true,"
                   "'temperature':1.0,'text':{'format':{'type':'text'}},'tool_choice':'auto','tools':[],"
                   "'top_p':1.0,'truncation':'disabled'",
    .usage = ",'usage':{'input_tokens':$P,'input_tokens_details':{'cached_tokens':$H},'output_tokens':$O,"
             "'output_tokens_details':{'reasoning_tokens':$R},'total_tokens':$S}",
    .end = ",'user':null,'metadata':{}}",
};

static const struct shape message = {
    .head = "{'id':'msg_$I','type':'message','role':'assistant','model':'$M','content':[",
    .item = "{'type':'text','text':'$T'}",
    .after_items = "],'stop_reason':'$F','stop_sequence':null",
    .usage = ",'usage':{'input_tokens':$E,'cache_creation_input_tokens':$W,'cache_read_input_tokens':$H,"
             "'cache_creation':{'ephemeral_5m_input_tokens':$W,'ephemeral_1h_input_tokens':0},'output_tokens':$O,"
             "'service_tier':'standard'}",
    .end = "}",
    .finished = "end_turn",
    .at_cap = "max_tokens",
};

/* The same as streams. An item's text comes in pieces, each of them `piece` with a part of it as $T. */
struct stream_shape {
  const char *head, *before_item, *piece, *after_item, *usage, *end;
  const char *errors[2]; /* ways to end with an error */
};

#define DIED "'The upstream died.'"
#define OPENAI_ERRORS                                                                                                  \
  "data: {'error':{'message':" DIED ",'type':'server_error','code':500}}$L$L",                                         \
      "event: error$Ldata: {'message':" DIED ",'code':500}$L$L"
#define ANTHROPIC_ERROR(type) "event: error$Ldata: {'type':'error','error':{'type':'" type "','message':" DIED "}}$L$L"

#define CHUNK(kind, object)                                                                                            \
  "data: {'id':'" kind "-$I','object':'" object "','created':$C,'model':'$M','system_fingerprint':'fp_$I',"
#define CHAT_CHUNK CHUNK("chatcmpl", "chat.completion.chunk")
#define TEXT_CHUNK CHUNK("cmpl", "text_completion")

static const struct stream_shape chat_stream = {
    .before_item = CHAT_CHUNK "'choices':[{'index':$N,'delta':{'role':'assistant','content':'','refusal':null},"
                              "'logprobs':null,'finish_reason':null}]}$L$L",
    .piece = CHAT_CHUNK "'choices':[{'index':$N,'delta':{'content':'$T'},'logprobs':null,'finish_reason':null}]}$L$L",
    .after_item = CHAT_CHUNK "'choices':[{'index':$N,'delta':{},'logprobs':null,'finish_reason':'$F'}]}$L$L",
    .usage = CHAT_CHUNK "'choices':[]" OPENAI_USAGE "}$L$L",
    .end = "data: [DONE]$L$L",
    .errors = {OPENAI_ERRORS},
};

static const struct stream_shape completion_stream = {
    .piece = TEXT_CHUNK "'choices':[{'text':'$T','index':$N,'logprobs':null,'finish_reason':null}]}$L$L",
    .after_item = TEXT_CHUNK "'choices':[{'text':'','index':$N,'logprobs':null,'finish_reason':'$F'}]}$L$L",
    .usage = TEXT_CHUNK "'choices':[]" OPENAI_USAGE "}$L$L",
    .end = "data: [DONE]$L$L",
    .errors = {OPENAI_ERRORS},
};

static const struct stream_shape response_stream = {
    .head = "event: response.created$Ldata: {'type':'response.created','response':{'id':'resp_$I',"
            "'object':'response','status':'in_progress','model':'$M','output':[],'usage':null}}$L$L",
    .piece = "event: response.output_text.delta$Ldata: {'type':'response.output_text.delta','item_id':'msg_$I',"
             "'output_index':$N,'content_index':0,'delta':'$T'}$L$L",
    .end = "event: response.$Q$Ldata: {'type':'response.$Q','response':$A}$L$L",
    .errors = {"event: error$Ldata: {'type':'error','code':'server_error','message':" DIED ",'param':null}$L$L",
               "event: response.failed$Ldata: {'type':'response.failed','response':{'id':'resp_$I',"
               "'object':'response','status':'failed','error':{'code':'server_error','message':" DIED "},"
               "'model':'$M','output':[],'usage':null}}$L$L"},
};

static const struct stream_shape message_stream = {
    .head = "event: message_start$Ldata: {'type':'message_start','message':{'id':'msg_$I','type':'message',"
            "'role':'assistant','model':'$M','content':[],'stop_reason':null,'stop_sequence':null,"
            "'usage':{'input_tokens':$E,'cache_creation_input_tokens':$W,'cache_read_input_tokens':$H,"
            "'output_tokens':1}}}$L$L",
    .before_item = "event: content_block_start$Ldata: {'type':'content_block_start','index':$N,"
                   "'content_block':{'type':'text','text':''}}$L$Levent: ping$Ldata: {'type':'ping'}$L$L",
    .piece = "event: content_block_delta$Ldata: {'type':'content_block_delta','index':$N,"
             "'delta':{'type':'text_delta','text':'$T'}}$L$L",
    .after_item = "event: content_block_stop$Ldata: {'type':'content_block_stop','index':$N}$L$L",
    .usage = "event: message_delta$Ldata: {'type':'message_delta','delta':{'stop_reason':'$F','stop_sequence':null},"
             "'usage':{'output_tokens':$O}}$L$L",
    .end = "event: message_stop$Ldata: {'type':'message_stop'}$L$L",
    .errors = {ANTHROPIC_ERROR("api_error"), ANTHROPIC_ERROR("overloaded_error")},
};

static const struct stream_shape *const stream_shapes[ENDPOINT_NONE] = {
    [ENDPOINT_CHAT] = &chat_stream,
    [ENDPOINT_RESPONSES] = &response_stream,
    [ENDPOINT_COMPLETIONS] = &completion_stream,
    [ENDPOINT_MESSAGES] = &message_stream,
};

static const struct shape *const shapes[ENDPOINT_NONE] = {
    [ENDPOINT_CHAT] = &chat,
    [ENDPOINT_RESPONSES] = &response,
    [ENDPOINT_COMPLETIONS] = &completion,
    [ENDPOINT_EMBEDDINGS] = &embedding,
    [ENDPOINT_MESSAGES] = &message,
};

/* ------------------------------------------------------------------------------------------- templates */

struct facts {
  const struct call *call;
  const struct plan *plan;
  uint64_t index; /* of the item */
  uint64_t text_bytes;
  uint64_t text_from; /* where a piece begins; the whole text: 0 */
  uint64_t text_to;   /* where it ends: text_bytes */
};

static const char filler[] =
    "The report covers the second quarter and names three causes for the change. First, demand rose in the north while "
    "supply stayed level. Second, two contracts ended earlier than planned. Third, the new process saved more time "
    "than the estimate allowed for. In short, the trend is positive, the risks are known, and the next review is in "
    "May. ";

/* Filler that begins somewhere else in each answer, so that no two look the same. */
static void put_text(struct text *out, const struct facts *facts) {
  const uint64_t length = sizeof filler - 1;
  uint64_t from = hash_draw(facts->plan->hash, 0, DRAW_TEXT, facts->index) % length;
  while (from > 0 && filler[from - 1] != ' ')
    from--;
  from = (from + facts->text_from) % length;
  for (uint64_t left = facts->text_to - facts->text_from; left > 0; from = 0) {
    const uint64_t step = left < length - from ? left : length - from;
    text_append(out, filler + from, (size_t)step);
    left -= step;
  }
}

static void put_vector(struct text *out, const struct facts *facts) {
  for (uint64_t i = 0; i < 8; i++) {
    const uint64_t draw = hash_draw(facts->plan->hash, i, DRAW_VECTOR, facts->index);
    char number[16];
    snprintf(number, sizeof number, "%s%s0.%06u", i ? "," : "", draw & 1 ? "-" : "", (unsigned)(draw >> 32) % 1000000);
    text_string(out, number);
  }
}

static void put_end(struct text *out, const struct facts *facts) {
  const struct shape *const shape = shapes[facts->call->endpoint];
  text_string(out, facts->plan->at_cap ? shape->at_cap : shape->finished);
}

static void put_cap(struct text *out, const struct facts *facts) {
  if (facts->call->cap) text_number(out, facts->call->cap);
  else text_string(out, "null");
}

static void put_answer(struct text *out, struct facts facts);

static void put_fact(struct text *out, char letter, const struct facts *facts) {
  const struct plan *const plan = facts->plan;
  switch (letter) {
  case 'I': text_hex(out, plan->hash); break;
  case 'C': text_number(out, 1700000000 + plan->hash % 10000000); break;
  case 'M': text_append(out, facts->call->model, facts->call->model_length); break;
  case 'T': put_text(out, facts); break;
  case 'V': put_vector(out, facts); break;
  case 'N': text_number(out, facts->index); break;
  case 'F': put_end(out, facts); break;
  case 'Q': text_string(out, plan->at_cap ? "incomplete" : "completed"); break;
  case 'D': text_string(out, plan->at_cap ? "{\"reason\":\"max_output_tokens\"}" : "null"); break;
  case 'K': put_cap(out, facts); break;
  case 'P': text_number(out, plan->input_tokens); break;
  case 'E': text_number(out, plan->input_tokens - plan->cached_tokens - plan->cache_write_tokens); break;
  case 'H': text_number(out, plan->cached_tokens); break;
  case 'W': text_number(out, plan->cache_write_tokens); break;
  case 'O': text_number(out, plan->output_tokens); break;
  case 'R': text_number(out, plan->reasoning_tokens); break;
  case 'S': text_number(out, plan->input_tokens + plan->output_tokens); break;
  case 'A': put_answer(out, *facts); break;
  case 'L': text_string(out, "\n"); break;
  default: break;
  }
}

static void expand(struct text *out, const char *template, const struct facts *facts) {
  while (*template) {
    const size_t plain = strcspn(template, "'$");
    text_append(out, template, plain);
    template += plain;
    if (*template == '\'') text_append(out, "\"", 1);
    else if (*template == '$') put_fact(out, *++template, facts);
    if (*template) template ++;
  }
}

/* --------------------------------------------------------------------------------------------- answers */

/* Half of the malformed answers end too early, the others are a page that a proxy might send. */
static void spoil(struct text *out, const struct plan *plan) {
  if (plan->hash % 2) {
    out->length = out->length * 2 / 3;
    return;
  }
  out->length = 0;
  text_string(out, "<html><head><title>upstream error</title></head><body>upstream error</body></html>");
}

static uint64_t items_of(const struct call *call) {
  return (call->items ? call->items : 1) * call->choices;
}

static void put_answer(struct text *out, struct facts facts) {
  const struct shape *const shape = shapes[facts.call->endpoint];
  const uint64_t items = items_of(facts.call);
  facts.text_from = 0;
  facts.text_to = facts.text_bytes;
  expand(out, shape->head, &facts);
  for (facts.index = 0; facts.index < items; facts.index++) {
    if (facts.index > 0) text_string(out, ",");
    expand(out, shape->item, &facts);
  }
  expand(out, shape->after_items, &facts);
  if (facts.plan->outcome != OUTCOME_NO_USAGE) expand(out, shape->usage, &facts);
  expand(out, shape->end, &facts);
}

static void expand_if(struct text *out, const char *template, const struct facts *facts) {
  if (template) expand(out, template, facts);
}

/* Chat and completions say their usage only when they are asked to, Anthropic and responses always. */
static void put_stream(struct text *out, struct facts facts) {
  const struct stream_shape *const shape = stream_shapes[facts.call->endpoint];
  const bool silent = facts.call->endpoint == ENDPOINT_CHAT || facts.call->endpoint == ENDPOINT_COMPLETIONS;
  const bool fails = facts.plan->outcome == OUTCOME_STREAM_ERROR;
  const uint64_t items = items_of(facts.call);
  if (fails && facts.text_bytes == 0) facts.text_bytes = 1; /* what is billed shows */
  expand_if(out, shape->head, &facts);
  for (facts.index = 0; facts.index < items; facts.index++) {
    expand_if(out, shape->before_item, &facts);
    for (facts.text_from = 0; facts.text_from < facts.text_bytes; facts.text_from = facts.text_to) {
      const uint64_t left = facts.text_bytes - facts.text_from;
      facts.text_to = facts.text_from + (left < PIECE_BYTES ? left : PIECE_BYTES);
      expand(out, shape->piece, &facts);
    }
    if (!fails) expand_if(out, shape->after_item, &facts);
  }
  if (fails) {
    expand(out, shape->errors[facts.plan->hash % 2], &facts);
    return;
  }
  if (facts.plan->outcome != OUTCOME_NO_USAGE && (!silent || facts.call->include_usage))
    expand_if(out, shape->usage, &facts);
  expand(out, shape->end, &facts);
}

void answer_write(struct text *out, const struct call *call, const struct plan *plan, uint64_t text_bytes_max) {
  struct facts facts = {.call = call, .plan = plan};
  const uint64_t bytes_of_output = plan->output_tokens / (call->items ? call->items : 1) / call->best_of * 5;
  facts.text_bytes = bytes_of_output < text_bytes_max ? bytes_of_output : text_bytes_max;
  if (call->stream) put_stream(out, facts);
  else put_answer(out, facts);
  if (plan->outcome == OUTCOME_MALFORMED) spoil(out, plan);
}

void answer_count(struct text *out, enum question question, enum endpoint endpoint, const struct plan *plan) {
  text_string(out, question == QUESTION_TOKENIZE ? "{\"count\":" : "{\"input_tokens\":");
  text_number(out, plan->input_tokens);
  if (question == QUESTION_TOKENIZE) {
    text_string(out, ",\"max_model_len\":131072,\"tokens\":[");
    for (uint64_t i = 0; i < plan->input_tokens; i++) {
      if (i > 0) text_string(out, ",");
      text_number(out, 100 + i % 1000);
    }
    text_string(out, "]");
  } else if (endpoint == ENDPOINT_RESPONSES) {
    text_string(out, ",\"object\":\"response.input_tokens\"");
  }
  text_string(out, "}");
}

/* ---------------------------------------------------------------------------------------------- errors */

struct error_row {
  unsigned status;
  const char *type, *code; /* OpenAI's */
  const char *anthropic_type;
  const char *message; /* message and code hold where the refusal has no words of its own */
};

static const struct error_row quota_row = {
    429, "insufficient_quota", "insufficient_quota", "rate_limit_error",
    "You exceeded your current quota, please check your plan and billing details."};

/* The last row stands for every status that has none. */
static const struct error_row error_rows[] = {
    {400, "invalid_request_error", NULL, "invalid_request_error", "The request is not valid."},
    {401, "invalid_request_error", "invalid_api_key", "authentication_error", "Incorrect API key provided."},
    {403, "invalid_request_error", "unsupported_country_region_territory", "permission_error", "Not allowed."},
    {404, "invalid_request_error", "model_not_found", "not_found_error", "The model does not exist."},
    {405, "invalid_request_error", "method_not_supported", "invalid_request_error", "Only POST is allowed here."},
    {413, "invalid_request_error", "request_too_large", "request_too_large", "The request is too large."},
    {429, "requests", "rate_limit_exceeded", "rate_limit_error", "Rate limit reached. Please try again later."},
    {500, "server_error", NULL, "api_error", "The server had an error while processing your request."},
    {503, "server_error", NULL, "overloaded_error", "The engine is currently overloaded, please try again later."},
    {529, "server_error", NULL, "overloaded_error", "Overloaded"},
    {0, "api_error", NULL, "api_error", "The request failed."},
};

static void put_string_or_null(struct text *out, const char *string) {
  if (!string) {
    text_string(out, "null");
    return;
  }
  text_string(out, "\"");
  text_escaped(out, string);
  text_string(out, "\"");
}

void answer_error(struct text *out, enum endpoint endpoint, const struct plan *plan, bool quota) {
  const struct error_row *row = error_rows;
  while (row->status != plan->refusal.status && row->status != 0)
    row++;
  if (quota && row->status == 429) row = &quota_row;
  const bool anthropic = endpoint == ENDPOINT_MESSAGES;
  text_string(out, anthropic ? "{\"type\":\"error\",\"error\":{\"type\":" : "{\"error\":{\"message\":");
  if (anthropic) put_string_or_null(out, row->anthropic_type);
  if (anthropic) text_string(out, ",\"message\":");
  put_string_or_null(out, plan->refusal.message ? plan->refusal.message : row->message);
  if (!anthropic) {
    text_string(out, ",\"type\":");
    put_string_or_null(out, row->type);
    text_string(out, ",\"param\":");
    put_string_or_null(out, plan->refusal.param);
    text_string(out, ",\"code\":");
    put_string_or_null(out, plan->refusal.message ? NULL : row->code);
  }
  text_string(out, anthropic ? "},\"request_id\":\"req_" : "}}");
  if (!anthropic) return;
  text_hex(out, plan->hash);
  text_string(out, "\"}");
}
