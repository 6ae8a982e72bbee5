// The subcommands of the headgate program. Each gets its own arguments, its name first, and returns the exit code.
// stdout is checked behind them: output that can't be written makes a success a failure (1), with a message.
#ifndef HG_CLI_H
#define HG_CLI_H

// Exit codes that all subcommands share; see each one's --help for what it means there.
enum hg_exit {
  HG_EXIT_DONE = 0,
  HG_EXIT_FAILED = 1, // run: some requests failed or were left
  HG_EXIT_USAGE = 2,  // wrong flags, configuration, key, model or input; run: or it had to stop
  HG_EXIT_BUDGET = 3, // run: the budget ended first
  HG_EXIT_STORE = 4,  // the ledger or the results can't be written; run: or calls were not settled as they should
  HG_EXIT_INTERRUPTED = 130
};

int hg_cli_run(int argc, char **argv);
int hg_cli_serve(int argc, char **argv);
int hg_cli_status(int argc, char **argv);
int hg_cli_watch(int argc, char **argv);
int hg_cli_limit(int argc, char **argv);
int hg_cli_orphans(int argc, char **argv);
int hg_cli_settle(int argc, char **argv);
int hg_cli_correct(int argc, char **argv);
int hg_cli_audit(int argc, char **argv);
int hg_cli_keygen(int argc, char **argv);
int hg_cli_init(int argc, char **argv);
int hg_cli_describe(int argc, char **argv);

#endif
