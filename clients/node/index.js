// A client of Headgate: permits, records and events of a hard token budget. The types are in index.d.ts.
import { randomUUID } from "node:crypto";
import { Worker } from "node:worker_threads";
import { asJson, promptBytes, refusalOf } from "./lib/answers.js";
import { Cancelled, Closed, InvalidArgument, NoRuntime, errorOf } from "./lib/errors.js";
import { EventStream } from "./lib/events.js";
import { checked } from "./lib/fields.js";
import { endpointsOf, find, isTcp } from "./lib/place.js";

export * from "./lib/errors.js";
export { EventStream };

const OUTCOMES = { done: 0, failed: 1, again: 2 };
const DETAILS = [
  "tokens",
  "model",
  "inputTokens",
  "cachedTokens",
  "cacheWriteTokens",
  "outputTokens",
  "reasoningTokens",
  "source",
  "responseId",
  "attempt",
];

const command = (type, fields) => ({ v: 1, type, ...checked(fields) });

/** What was used: a number, a provider's answer, or details by name. */
function spent(answer, details) {
  const fields = {};
  for (const [name, value] of Object.entries(details)) {
    if (!DETAILS.includes(name)) throw new TypeError(`there is no detail ${name}`);
    fields[name] = value;
  }
  if (typeof answer === "bigint") answer = Number(answer);
  if (typeof answer === "number") fields.tokens = answer;
  else if (answer !== undefined && answer !== null) fields.answer = asJson(answer);
  else if (fields.tokens === undefined && fields.source === undefined) {
    // of which the runtime makes an amount in the unit of its ledger
    if (fields.inputTokens === undefined || fields.outputTokens === undefined)
      throw new TypeError("what was used? Tokens, a provider's answer, or both inputTokens and outputTokens");
  }
  if (fields.tokens < 0 || fields.inputTokens < 0 || fields.outputTokens < 0) throw new InvalidArgument(1, "tokens may not be negative");
  return fields;
}

const counted = ([{ tokens, source }]) => ({ tokens, source });
/** Which reservation was charged only the permit knows. */
const ofId = ({ tokens, source }) => ({ tokens: source === "missing" ? null : tokens, source });
const SETTLE = Symbol("settle");
const nothing = () => undefined;
const fit = text =>
  Buffer.from(String(text).replaceAll("\0", ""))
    .subarray(0, 500)
    .toString()
    .replace(/\ufffd+$/, "");

/** A slot and a reservation, until settle() or release(). */
export class Permit {
  #hg;
  #ended = false;
  #refused;
  #model;

  constructor(hg, { permit, tokens }, { refused, model }) {
    this.#hg = hg;
    this.#refused = refused;
    this.#model = model ? { model } : {}; // a runtime that was restarted has forgotten which it is
    this.id = permit;
    this.tokens = tokens;
    /** Its lease ended before a renewal came: it is an orphan. Settle it all the same. */
    this.lost = false;
  }

  get ended() {
    return this.#ended;
  }

  async settle(answer, options = {}) {
    const result = await this.#hg[SETTLE](this.id, answer, { ...this.#model, ...options });
    this.#end();
    return result.source === "missing" ? { ...result, tokens: Math.max(this.tokens, result.tokens) } : result;
  }

  async release(options = {}) {
    await this.#hg.release(this.id, options);
    this.#end();
  }

  /** As at the end of the block of hg.permit(): charged, unless the provider surely refused the call. */
  async leave(problem) {
    if (this.#ended) return;
    const how = problem === undefined ? "" : refusalOf(problem, this.#refused);
    const name = problem === undefined ? "left without a settlement" : (problem?.constructor?.name ?? "error");
    try {
      if (how) await this.release({ outcome: "failed", reason: `${name}, ${how}` });
      else
        await this.settle(undefined, {
          source: "missing",
          outcome: problem === undefined ? "done" : "failed",
          reason: name,
        });
    } finally {
      this.#end();
    }
  }

  #end() {
    this.#ended = true;
    this.#hg._forget(this.id);
  }
}

/** A connection to a runtime. See connect(). */
export class Headgate {
  #place;
  #worker;
  #calls = new Map();
  #permits = new Map();
  #ids = 0;
  #welcome;
  #ended = null;
  #options;
  #gone = new Int32Array(new SharedArrayBuffer(4));
  #leave = () => {
    // a socket that is still open when its thread is torn down would abort the process
    this.#worker.postMessage({ op: "close" });
    Atomics.wait(this.#gone, 0, 0, 2000);
  };

  constructor(place, options) {
    this.#place = place;
    this.#options = options;
    this.#worker = new Worker(new URL("./lib/worker.js", import.meta.url), { workerData: { place, gone: this.#gone } });
    process.on("exit", this.#leave);
    let welcomed;
    this.#welcome = null;
    this._welcomed = new Promise(resolve => (welcomed = resolve));
    this.#worker.on("message", message => {
      if (message.welcome) welcomed((this.#welcome = message.welcome));
      else if (message.lostPermit) this.#lose(message.lostPermit);
      else if (message.ended) this.#end(errorOf(message.ended));
      else this.#answered(message);
    });
    this.#worker.on("error", problem => this.#end(problem));
    this.#worker.on("exit", () => this.#end(new Closed(11)));
  }

  get ledgerId() {
    return this.#welcome.ledger;
  }

  /** Of the runtime that answered first. */
  get version() {
    return this.#welcome.version;
  }

  /** What amounts count: tokens, or nanodollars (10^-9 US dollars). */
  get unit() {
    return this.#welcome.unit ?? "tokens";
  }

  /** A permit that is granted: settle or release it. */
  async acquire(options = {}) {
    const { maxOutput, prompt, budget, taskId, attempt, firstInLine, parent, fromParent, leaseMs, timeoutMs, signal } =
      options;
    const { maxTokens, minTokens = 0, model } = options;
    let amount = { maxTokens };
    if (maxTokens === undefined) {
      if (maxOutput === undefined)
        throw new TypeError("how much may it use? maxOutput (with the prompt), or maxTokens");
      const read = prompt === undefined ? 0 : promptBytes(prompt);
      amount = model ? { inputTokens: read, outputTokens: maxOutput } : { maxTokens: maxOutput + read };
    }
    if (![options.refused ?? []].flat().every(kind => typeof kind === "function"))
      throw new TypeError("refused: classes of errors");
    if (Math.min(minTokens, ...Object.values(amount)) < 0) throw new InvalidArgument(1, "tokens may not be negative");
    signal?.throwIfAborted();
    const asked = command("ACQUIRE_PERMIT", {
      budget,
      model,
      ...amount,
      minTokens,
      taskId,
      attempt,
      firstInLine,
      fromParent,
      parent: parent?.id ?? parent,
      leaseMs: leaseMs ?? this.#options.leaseMs,
    });
    const granted = await this.#ask(asked, ([message]) => message, timeoutMs ?? 0, signal);
    const permit = new Permit(this, granted, options);
    this.#permits.set(permit.id, new WeakRef(permit));
    return permit;
  }

  /** Runs `work` under a permit; left unsettled it is charged, unless the provider surely refused the call. */
  async permit(options, work) {
    const permit = await this.acquire(options);
    let result;
    try {
      result = await work(permit);
    } catch (problem) {
      await permit.leave(problem ?? null).catch(() => {}); // the problem is what the caller must hear of
      throw problem;
    }
    await permit.leave();
    return result;
  }

  /** Settles a permit by its id, such as one of another process or an orphan. */
  async settle(permit, answer, options) {
    return ofId(await this[SETTLE](permit, answer, options));
  }

  [SETTLE](permit, answer, { outcome = "done", reason = "", ...details } = {}) {
    return this.#do(
      () =>
        command("SETTLE_PERMIT", {
          permit,
          outcome: OUTCOMES[outcome],
          reason: fit(reason),
          ...spent(answer, details),
        }),
      counted,
    );
  }

  release(permit, { outcome = "done", reason = "" } = {}) {
    return this.#do(
      () => command("RELEASE_PERMIT", { permit, outcome: OUTCOMES[outcome], reason: fit(reason) }),
      nothing,
    );
  }

  /** Counts tokens that were spent outside a permit; the same usageId (a fresh one unless given) with the same content counts once. */
  record(answer, { budget, taskId, usageId, ...details } = {}) {
    const key = usageId ?? randomUUID();
    return this.#do(() => command("RECORD", { budget, taskId, usageId: key, ...spent(answer, details) }), counted);
  }

  /** A compensating entry: tokens are added to what was used; negative ones are given back. */
  correct(tokens, { why, budget, usageId } = {}) {
    const key = usageId ?? randomUUID();
    return this.#do(() => command("CORRECT", { budget, tokens, why, usageId: key }), nothing);
  }

  usage(budget) {
    return this.#do(
      () => command("STATUS", { budget }),
      ([{ v, type, request, ...report }]) => report,
    );
  }

  /** How everything stands at row `seq`: go on with events({ fromSeq: seq + 1 }). */
  snapshot() {
    return this.#do(
      () => command("SNAPSHOT", {}),
      parts => {
        const { v, type, request, budgets, topics, ...report } = parts.at(-1);
        const named = kind => parts.filter(part => part.type === kind);
        return {
          ...report,
          budgets: Object.fromEntries(
            named("SNAPSHOT_BUDGET").map(({ v, type, request, ...found }) => [found.budget, found]),
          ),
          topics: Object.fromEntries(named("SNAPSHOT_TOPIC").map(({ topic, newest }) => [topic, newest])),
        };
      },
    );
  }

  setLimit(tokens, { budget = "default" } = {}) {
    return this.#do(() => command("LIMIT", { budget, tokens }), nothing);
  }

  setMaxConcurrency(count) {
    return this.#do(() => command("CONCURRENCY", { count }), nothing);
  }

  /** Each event once and in order, from row fromSeq on, or from now on. */
  events({ fromSeq, topics = [], ledger } = {}) {
    const ask = async () =>
      fromSeq === undefined
        ? this.#do(
            () => command("STATUS", {}),
            ([{ seq }]) => seq,
          )
        : Math.max(0, Number(fromSeq) - 1);
    return new EventStream(this.#place, this.#welcome, {
      ask,
      ledger,
      topics: typeof topics === "string" ? [topics] : [...topics],
    });
  }

  /** Permits that are open stay so until their lease ends. */
  async close() {
    if (this.#ended) return;
    const exited = new Promise(resolve => this.#worker.once("exit", resolve));
    this.#worker.ref();
    this.#worker.postMessage({ op: "close" });
    await exited;
  }

  _forget(permit) {
    this.#permits.delete(permit);
    if (!this.#ended) this.#worker.postMessage({ op: "forget", permit });
  }

  _unref() {
    this.#worker.unref();
  }

  async #do(make, read) {
    return this.#ask(make(), read, this.#options.timeoutMs);
  }

  #ask(asked, read, timeoutMs, signal) {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = ++this.#ids;
    return new Promise((resolve, reject) => {
      const abort = () => {
        this.#take(id);
        this.#worker.postMessage({ op: "cancel", id });
        reject(signal.reason ?? new Cancelled(10));
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#calls.set(id, { read, resolve, reject, settled: () => signal?.removeEventListener("abort", abort) });
      this.#worker.ref(); // the process lives while an answer is waited for
      this.#worker.postMessage({ op: "call", id, command: asked, timeoutMs });
    });
  }

  #take(id) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    call?.settled();
    if (!this.#calls.size) this.#worker.unref();
    return call;
  }

  #answered({ id, parts, done }) {
    const call = this.#take(id);
    if (!call) {
      // it was aborted when its answer was on its way
      if (parts?.[0].type === "PERMIT_GRANTED") this.#worker.postMessage({ op: "giveBack", permit: parts[0].permit });
    } else if (done) call.reject(errorOf(done));
    else call.resolve(call.read(parts));
  }

  #lose(id) {
    const permit = this.#permits.get(id)?.deref();
    if (permit) permit.lost = true;
  }

  #end(error) {
    if (this.#ended) return;
    this.#ended = error;
    process.off("exit", this.#leave);
    for (const id of [...this.#calls.keys()]) this.#take(id).reject(error);
  }
}

if (Symbol.asyncDispose) {
  Object.defineProperty(Permit.prototype, Symbol.asyncDispose, {
    value() {
      return this.leave();
    },
  });
  Object.defineProperty(Headgate.prototype, Symbol.asyncDispose, {
    value() {
      return this.close();
    },
  });
}

/** Finds a runtime: by url (its control endpoint), HEADGATE_URL, its ledger or configuration, or ./devs.config.json. */
export async function connect(options = {}) {
  if (typeof options === "string") options = { url: options };
  const { timeoutMs = 30000, leaseMs, waitMs = 5000 } = options;
  const place = find(options);
  const hg = new Headgate(place, { timeoutMs, leaseMs });
  let timer;
  const welcome = await Promise.race([
    hg._welcomed,
    new Promise(resolve => (timer = setTimeout(resolve, waitMs, null))),
  ]);
  clearTimeout(timer);
  if (welcome === null) {
    await hg.close();
    endpointsOf(place); // throws when it is not even named
    const silent = isTcp(place.url) ? "; an endpoint with keys says nothing to who lacks the right ones" : "";
    throw new NoRuntime(22, `nothing answers at ${place.url ?? `${place.ledger}.lock`}${silent}`);
  }
  hg._unref();
  return hg;
}
