// What a runtime refuses. `code` and `name` are those of `headgate describe --errors`.

export class HeadgateError extends Error {
  constructor(code, reason = "") {
    const name = nameOf(code);
    super(`${name}: ${reason || ERRORS.find(row => row[0] === code)?.[2] || ""}`);
    this.name = name;
    this.code = code;
    this.reason = reason;
  }
}

export class InvalidArgument extends HeadgateError {}
export class StoreFailed extends HeadgateError {}
export class LedgerChanged extends HeadgateError {}
export class Busy extends HeadgateError {}
export class DeadlinePassed extends HeadgateError {}
export class Cancelled extends HeadgateError {}
export class Closed extends HeadgateError {}
export class UnknownBudget extends HeadgateError {}
export class BudgetExhausted extends HeadgateError {}
export class OutOfRange extends HeadgateError {}
export class UnknownPermit extends HeadgateError {}
export class Conflict extends HeadgateError {}
export class WouldDeadlock extends HeadgateError {}
export class ProtocolError extends HeadgateError {}
export class NoUsage extends HeadgateError {}
export class NoRuntime extends HeadgateError {}
export class EventsGone extends HeadgateError {}

export const ERRORS = [
  [1, "HG_ERR_INVALID", "an argument is outside what the call accepts", InvalidArgument],
  [2, "HG_ERR_CONFIG", "the configuration cannot be used", HeadgateError],
  [3, "HG_ERR_NO_MEMORY", "there is not enough memory", HeadgateError],
  [4, "HG_ERR_SYSTEM", "the operating system refused a file, a socket or a thread", HeadgateError],
  [5, "HG_ERR_STORE", "the ledger cannot be read or written; the outcome is unknown", StoreFailed],
  [6, "HG_ERR_LEDGER_IN_USE", "another runtime holds this ledger", HeadgateError],
  [7, "HG_ERR_LEDGER_FOREIGN", "this is another ledger", LedgerChanged],
  [8, "HG_ERR_BUSY", "a queue is full; ask again when some answers have come", Busy],
  [9, "HG_ERR_TIMEOUT", "the deadline passed before an answer came", DeadlinePassed],
  [10, "HG_ERR_CANCELLED", "the request was cancelled", Cancelled],
  [11, "HG_ERR_CLOSED", "the runtime or the connection is closed", Closed],
  [12, "HG_ERR_FORKED", "a forked child must not use the connection of its parent", HeadgateError],
  [13, "HG_ERR_UNKNOWN_BUDGET", "no budget has this name", UnknownBudget],
  [14, "HG_ERR_BUDGET_EXHAUSTED", "the request can never fit into what is left of the budget", BudgetExhausted],
  [15, "HG_ERR_RANGE", "tokens or a total would leave the range 0 to 2^53 - 1", OutOfRange],
  [16, "HG_ERR_UNKNOWN_PERMIT", "no open or orphaned permit has this id", UnknownPermit],
  [17, "HG_ERR_CONFLICT", "the same id was used before with other content", Conflict],
  [18, "HG_ERR_SEQUENCE", "a numbered command came out of order", HeadgateError],
  [19, "HG_ERR_WOULD_DEADLOCK", "every open permit is held by clients that wait for another", WouldDeadlock],
  [20, "HG_ERR_PROTOCOL", "a frame of the wrong shape", ProtocolError],
  [21, "HG_ERR_NO_USAGE", "the answer says nothing usable about tokens", NoUsage],
  [22, "HG_ERR_NO_RUNTIME", "no runtime is living on this ledger", NoRuntime],
  [23, "HG_ERR_EMPTY", "there is nothing (more) to give", EventsGone],
  [24, "HG_ERR_STILL_OPEN", "the permit is still open: who holds it will settle it", HeadgateError],
];

export function nameOf(code) {
  return ERRORS.find(row => row[0] === code)?.[1] ?? `HG_ERR_${code}`;
}

/** The error that a COMMAND_DONE stands for; it has the budget that is short and what is left of it. */
export function errorOf(done) {
  const kind = ERRORS.find(row => row[0] === done.error)?.[3] ?? HeadgateError;
  const error = new kind(done.error, done.reason);
  if (kind === BudgetExhausted) Object.assign(error, { budget: done.budget ?? "", left: done.tokens ?? 0 });
  return error;
}
