// Numbered commands of clients: records, corrections and limits, sent once, again, or with a number left out; under a
// lasting name or with a usage id they are sent again after a crash, and count once all the same.
#include "simulation/simulation.h"

static void send(struct hg_sim_client *client, const struct hg_sim_command *command, uint64_t number, uint32_t mark) {
  struct hg_message message;
  char text[24], usage_id[24];
  snprintf(text, sizeof text, "c%u", mark);
  snprintf(usage_id, sizeof usage_id, "u%u", command->usage_id);
  const struct hg_text id = hg_text_of(command->usage_id ? usage_id : "");
  hg_message_init(&message, command->kind);
  if (command->kind == HG_RECORD_USAGE) {
    message.as.record_usage.number = number;
    message.as.record_usage.budget = command->budget;
    message.as.record_usage.tokens = command->tokens;
    message.as.record_usage.task_id = hg_text_of(text);
    message.as.record_usage.usage_id = id;
  } else if (command->kind == HG_CORRECT_USAGE) {
    message.as.correct_usage.number = number;
    message.as.correct_usage.budget = command->budget;
    message.as.correct_usage.tokens = command->tokens;
    message.as.correct_usage.reason = hg_text_of(text);
    message.as.correct_usage.usage_id = id;
  } else {
    message.as.set_hard_limit.number = number;
    message.as.set_hard_limit.budget = command->budget;
    message.as.set_hard_limit.tokens = command->tokens;
  }
  hg_test_pipe_push(&client->to_tracker, hg_test_frame_of(client->peer, &message));
}

static struct hg_sim_command some_command(struct hg_sim *sim) {
  struct hg_sim_command command = {.budget = (uint32_t)hg_sim_roll(sim, sim->setup.config.budget_count)};
  const struct hg_model_figures now = sim->model.budgets[command.budget].now;
  const uint64_t kind = hg_sim_roll(sim, 10);
  if (kind < 5) {
    command.kind = HG_RECORD_USAGE;
    command.tokens = hg_sim_between(sim, 0, 40);
  } else if (kind < 8) { // too much of a refund now and then
    command.kind = HG_CORRECT_USAGE;
    command.tokens = hg_sim_between(sim, -now.used - (hg_sim_roll(sim, 10) == 0), now.used / 20);
  } else {
    command.kind = HG_SET_HARD_LIMIT;
    command.tokens = hg_sim_roll(sim, 6) ? hg_sim_between(sim, 400, 1500) : hg_sim_between(sim, 0, 400);
  }
  if (command.kind != HG_SET_HARD_LIMIT && hg_sim_roll(sim, 3) == 0)
    command.usage_id = 1 + (uint32_t)hg_sim_roll(sim, HG_SIM_USAGE_IDS);
  return command;
}

static void send_next(struct hg_sim *sim, struct hg_sim_client *client, uint32_t command) {
  struct hg_sim_line *line = client->line;
  if (line->last == HG_SIM_NUMBERS) return;
  line->commands[++line->last] = command;
  send(client, &sim->commands[command], line->last, command);
}

void hg_sim_resend(struct hg_sim *sim, struct hg_sim_client *client, uint64_t from) {
  const struct hg_sim_line *line = client->line;
  for (uint64_t number = from; number <= line->last; number++)
    send(client, &sim->commands[line->commands[number]], number, line->commands[number]);
}

void hg_sim_number(struct hg_sim *sim) {
  struct hg_sim_client *client = &sim->clients[hg_sim_roll(sim, HG_SIM_CLIENTS)];
  struct hg_sim_line *line = client->line;
  if (client->naming || sim->command_count + 1 >= HG_SIM_COMMANDS || line->last + 1 >= HG_SIM_NUMBERS) return;
  const uint64_t odd = hg_sim_roll(sim, 24);
  if (odd == 0 && line->last) { // again from one that may have been taken
    hg_sim_resend(sim, client, line->last - hg_sim_roll(sim, line->last < 3 ? line->last : 3));
  } else if (odd == 1) { // a number is left out: refused, with no trace
    const struct hg_sim_command lost = {.kind = HG_RECORD_USAGE, .tokens = 7};
    send(client, &lost, line->last + 2, 0);
  } else {
    sim->commands[++sim->command_count] = some_command(sim);
    send_next(sim, client, sim->command_count);
  }
}

static bool is_open(const struct hg_sim_command *command) {
  return !command->acknowledged && !command->refused && !command->forgotten;
}

// An anonymous client that comes again does not know what became of its commands: it sends those again that bring an
// id.
void hg_sim_take_over_commands(struct hg_sim *sim, struct hg_sim_client *client, const struct hg_sim_line *old) {
  for (uint64_t number = old->recorded + 1; number <= old->last; number++) {
    struct hg_sim_command *command = &sim->commands[old->commands[number]];
    if (!is_open(command)) continue;
    if (command->usage_id) send_next(sim, client, old->commands[number]);
    else command->forgotten = true;
  }
}

// The client learns where its name's numbers end, and sends what is missing.
void hg_sim_name_answered(struct hg_sim *sim, struct hg_sim_client *client, const struct hg_reporter_message *answer) {
  struct hg_sim_line *line = client->line;
  if (answer->error == HG_ERR_STORE) return; // the store was given up: it asks again in the next life
  if (answer->error == HG_ERR_CONFLICT) {    // the word that it left waits behind a question to the ledger
    hg_sim_ask_for_name(sim, client);
    return;
  }
  CHECK_EQ(answer->error, HG_OK);
  CHECK(client->naming && answer->last >= line->recorded && answer->last <= line->last); // I3
  client->naming = false;
  if (client->was_here && answer->last) hg_sim_reach(sim, HG_SIM_REPORTER_WENT_ON);
  for (uint64_t number = line->recorded + 1; number <= answer->last; number++) {
    struct hg_sim_command *command = &sim->commands[line->commands[number]];
    if (!is_open(command)) continue;
    CHECK(command->row <= sim->committed);
    command->forgotten = true; // decided: counted, or refused without a word that came through
  }
  uint32_t missing[HG_SIM_NUMBERS];
  size_t count = 0;
  for (uint64_t number = answer->last + 1; number <= line->last; number++)
    if (is_open(&sim->commands[line->commands[number]])) missing[count++] = line->commands[number];
  line->last = line->recorded = answer->last;
  for (size_t i = 0; i < count; i++)
    send_next(sim, client, missing[i]);
}
