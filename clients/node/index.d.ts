/// <reference lib="esnext.disposable" />
/** A client of Headgate: permits, records and events of a hard token budget. */

export interface ConnectOptions {
  /** The control endpoint, tcp:// or ipc://; else HEADGATE_URL. */
  url?: string;
  /** Where the events are, when url is tcp: an endpoint of eventBus.bind; else HEADGATE_EVENTS_URL. */
  eventsUrl?: string;
  /** A ledger, whose lock file names the runtime. */
  ledger?: string;
  /** A configuration that names the ledger; by default devs.config.json in the working directory. */
  config?: string;
  /** For tcp endpoints with keys: the server's public key, 40 characters; else HEADGATE_SERVER_KEY. */
  serverKey?: string;
  /** And the file with the client's secret one, as headgate keygen writes it; else HEADGATE_KEY_FILE. */
  keyFile?: string;
  /** Of every command but acquires; by default 30,000. */
  timeoutMs?: number;
  /** Of permits; by default as the runtime says. */
  leaseMs?: number;
  /** How long connect() waits for a runtime; by default 5,000. */
  waitMs?: number;
}

export interface PermitOptions {
  /** The most that it may use is maxTokens, or maxOutput and the bytes of the prompt. */
  maxOutput?: number;
  /** A text, or anything that JSON can say, such as a list of messages. */
  prompt?: unknown;
  maxTokens?: number;
  /** Which model is called: where the ledger counts money, what its maxOutput and prompt cost and what the answer did. */
  model?: string;
  /** Less than the most, but so much at least, is taken. */
  minTokens?: number;
  budget?: string;
  taskId?: string;
  attempt?: number;
  firstInLine?: boolean;
  parent?: Permit | string;
  fromParent?: boolean;
  leaseMs?: number;
  /** How long it may wait in line; by default without end. */
  timeoutMs?: number;
  signal?: AbortSignal;
  /** Errors of which the caller says that they mean a refusal before any work: they release what is left unsettled. */
  refused?: ErrorClass | ErrorClass[];
}

export type ErrorClass = abstract new (...given: any[]) => object;

export interface Details {
  tokens?: number;
  model?: string;
  inputTokens?: number;
  cachedTokens?: number;
  cacheWriteTokens?: number;
  outputTokens?: number;
  reasoningTokens?: number;
  source?: "exact" | "estimated" | "missing";
  responseId?: string;
  attempt?: number;
}

export interface Ending {
  outcome?: "done" | "failed" | "again";
  reason?: string;
}

/**
 * What was counted; missing: the whole reservation, or what is known at least where that is more, and tokens are null
 * where only the permit's id is known.
 */
export interface Counted {
  tokens: number | null;
  source: "exact" | "estimated" | "missing";
}

export interface Queue {
  maxConcurrency: number;
  effectiveConcurrency: number;
  running: number;
  waiting: number;
  waitsFor: string;
  waitsForThrottle: boolean;
  needed: number;
}

/** Of the newest audit of the ledger. */
export interface Audited {
  /** The newest row; 0: no audit is known. */
  audited: number;
  auditDifferences: number;
  auditFailed: boolean;
}

export interface Forecast {
  /** In the unit of the ledger, as all amounts. */
  tokensPerMinute: number;
  /** Milliseconds at this rate; null: never, or it is too early to say. */
  thresholdInMs: number | null;
  limitInMs: number | null;
  taskTokens: number;
}

export interface Usage extends Queue, Audited, Forecast {
  budget: string;
  hardLimit: number;
  totalUsed: number;
  reserved: number;
  remaining: number;
  available: number;
  usagePercent: number;
  shouldThrottle: boolean;
  throttled: boolean;
  openPermits: number;
  seq: number;
  live: boolean;
  savedTokens: number;
  overran: number;
  /** So few calls at once a provider that pushes back lets a run make now; 0: none is pushed back. */
  pushedBackTo: number;
  /** What amounts count: tokens, or nanodollars (10^-9 US dollars). */
  unit: string;
}

export interface Budget extends Forecast {
  budget: string;
  parent: string;
  limit: number;
  used: number;
  reserved: number;
  usagePercent: number;
  shouldThrottle: boolean;
  throttled: boolean;
  openPermits: number;
  /** As in Usage. */
  unit: string;
}

export interface Snapshot extends Queue, Audited {
  seq: number;
  ledger: string;
  budgets: Record<string, Budget>;
  topics: Record<string, number>;
}

/** As docs/protocol.md has it. An integer past 2^53 is a bigint. */
export interface Event {
  v: number;
  type: string;
  ledgerId: string;
  /** null: told before its row can be written. */
  seq: number | null;
  prev: number | null;
  at: number;
  budget: string;
  payload: Record<string, any>;
}

export interface EventsOptions {
  /** The first row; by default what is committed from now on. */
  fromSeq?: number | bigint;
  /** Types of events, or how they begin; by default all. */
  topics?: string | Iterable<string>;
  /** The ledgerId that fromSeq belongs to, where it was kept. */
  ledger?: string;
}

/** Never ends by itself: a lost runtime is waited for. After an error it can be asked again. */
export class EventStream implements AsyncIterableIterator<Event> {
  private constructor();
  [Symbol.asyncIterator](): this;
  next(): Promise<IteratorResult<Event, undefined>>;
  return(): Promise<IteratorResult<Event, undefined>>;
  close(): void;
}

export class Permit {
  private constructor();
  readonly id: string;
  /** Reserved. */
  readonly tokens: number;
  /** Its lease ended before a renewal came: it is an orphan. Settle it all the same. */
  readonly lost: boolean;
  readonly ended: boolean;
  /** What was used: tokens, a provider's answer (an object or JSON), or details by name. */
  settle(answer?: number | bigint | object | string | null, options?: Details & Ending): Promise<Counted>;
  /** Nothing was used, as when the provider refused the call. */
  release(options?: Ending): Promise<void>;
  /**
   * As at the end of a block: charged in full, unless the problem is an error of a provider's SDK with a status 400, 401,
   * 403, 404, 413, 422 or 429, or one of `refused`: then it is released.
   */
  leave(problem?: unknown): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export class Headgate {
  private constructor();
  readonly ledgerId: string;
  readonly version: string;
  /** What amounts count: tokens, or nanodollars (10^-9 US dollars). */
  readonly unit: string;
  permit<T>(options: PermitOptions, work: (permit: Permit) => T | Promise<T>): Promise<T>;
  acquire(options: PermitOptions): Promise<Permit>;
  settle(
    permit: string,
    answer?: number | bigint | object | string | null,
    options?: Details & Ending,
  ): Promise<Counted>;
  release(permit: string, options?: Ending): Promise<void>;
  record(
    answer?: number | bigint | object | string | null,
    options?: Details & { budget?: string; taskId?: string; usageId?: string },
  ): Promise<Counted>;
  correct(tokens: number, options: { why: string; budget?: string; usageId?: string }): Promise<void>;
  usage(budget?: string): Promise<Usage>;
  snapshot(): Promise<Snapshot>;
  setLimit(tokens: number, options?: { budget?: string }): Promise<void>;
  setMaxConcurrency(count: number): Promise<void>;
  /** Each event once and in order. With url over tcp it needs eventsUrl: else HG_ERR_CONFIG is thrown. */
  events(options?: EventsOptions): EventStream;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export function connect(options?: string | ConnectOptions): Promise<Headgate>;

/** name and code: `headgate describe --errors`. */
export class HeadgateError extends Error {
  constructor(code: number, reason?: string);
  readonly code: number;
  readonly reason: string;
}
export class InvalidArgument extends HeadgateError {}
export class StoreFailed extends HeadgateError {}
export class LedgerChanged extends HeadgateError {}
export class Busy extends HeadgateError {}
export class DeadlinePassed extends HeadgateError {}
export class Cancelled extends HeadgateError {}
export class Closed extends HeadgateError {}
export class UnknownBudget extends HeadgateError {}
export class BudgetExhausted extends HeadgateError {
  readonly budget: string;
  readonly left: number;
}
export class OutOfRange extends HeadgateError {}
export class UnknownPermit extends HeadgateError {}
export class Conflict extends HeadgateError {}
export class WouldDeadlock extends HeadgateError {}
export class ProtocolError extends HeadgateError {}
export class NoUsage extends HeadgateError {}
export class NoRuntime extends HeadgateError {}
export class EventsGone extends HeadgateError {
  readonly oldest: number;
}
export const ERRORS: ReadonlyArray<readonly [number, string, string, typeof HeadgateError]>;
