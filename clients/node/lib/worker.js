// The connection of a client, in a thread of its own, so that a blocked event loop holds up no lease: it owns the
// socket, sends, receives, renews leases, and connects anew.
import { parentPort, workerData } from "node:worker_threads";
import { Dealer } from "zeromq";
import { curveOf, endpointsOf } from "./place.js";
import { read, write } from "./wire.js";

const WINDOW = 8000; // commands without an answer; a runtime takes 8,192 of a connection
const RETRY_MS = 100; // between attempts to connect
const WELCOME_MS = 5000; // for the first answer of a connection
const GRACE_MS = 5000; // that a runtime may be late with the refusal of an acquire
const RENEWALS_A_LEASE = 3;
const TIMER_MAX_MS = 2 ** 31 - 1;
const [TIMEOUT, CANCELLED, CLOSED, UNKNOWN_PERMIT, LEDGER_FOREIGN] = [9, 10, 11, 16, 7];

const { place, gone } = workerData;
const calls = new Map(); // by request: all that have no answer yet
const leases = new Map(); // by permit
let unsent = [];
let inFlight = 0;
let renewals = new Map(); // by request: the permit
let numbers = 0;
let line = null;
let live = false;
let hello = 0;
let ledger = null;
let toldAt = 0; // when the runtime was last told anything
let pingMs = Infinity;
let pingTimer = null;
let ended = null;

const after = (ms, act) => setTimeout(act, Math.min(Math.max(0, ms), TIMER_MAX_MS)).unref();
const acquires = call => call.command.type === "ACQUIRE_PERMIT";
const answer = (call, message) => call.wanted && parentPort.postMessage({ id: call.id, ...message });
const refuse = (call, error, reason = "") => {
  answer(call, { done: { error, reason } });
  call.wanted = false;
};

// ---------------------------------------------------------------------------------------------- connecting, and losing

/** A socket for one connection: another runtime is never taken for the one that was asked. */
class Line {
  #dealer;
  #frames = [];
  #sending = false;

  constructor(control) {
    this.#dealer = new Dealer({
      linger: 0,
      reconnectInterval: -1,
      sendHighWaterMark: 2 * WINDOW,
      receiveHighWaterMark: 2 * WINDOW,
      ...curveOf(place, control),
    });
    const gone = () => setImmediate(lost, this); // after its last words
    for (const kind of ["disconnect", "close"]) this.#dealer.events.on(kind, gone);
    this.#dealer.connect(control);
  }

  async send(frame) {
    this.#frames.push(frame);
    if (this.#sending) return; // a socket has one send at a time
    this.#sending = true;
    try {
      while (this.#frames.length) await this.#dealer.send(this.#frames.shift());
    } catch {
      lost(this);
    }
    this.#sending = false;
  }

  async listen() {
    try {
      for await (const [frame] of this.#dealer) {
        const message = read(frame);
        if (message && line === this) answered(message.request, message);
      }
    } catch {
      lost(this);
    }
  }

  close() {
    this.#dealer.close();
  }
}

function connect() {
  if (ended) return;
  try {
    line = new Line(endpointsOf(place).control);
  } catch {
    after(RETRY_MS, connect);
    return;
  }
  const mine = line;
  hello = ++numbers;
  send({ type: "HELLO", request: hello });
  mine.listen();
  after(WELCOME_MS, () => !live && lost(mine));
}

function hangUp() {
  line?.close();
  line = null;
  live = false;
}

/** The runtime, if there is one, has forgotten what was asked: it is asked again in the same order. */
function lost(which) {
  if (which !== line || ended) return;
  hangUp();
  renewals = new Map();
  for (const [number, call] of calls) {
    call.parts = [];
    call.sent = false;
    if (!call.wanted) calls.delete(number);
  }
  unsent = [...calls.keys()].sort((a, b) => a - b);
  inFlight = 0;
  after(RETRY_MS, connect);
}

function welcomed(message) {
  if (ledger !== null && ledger !== message.ledger)
    return end(LEDGER_FOREIGN, `the ledger is ${message.ledger}, it was ${ledger}`);
  if (ledger === null) parentPort.postMessage({ welcome: message });
  ledger = message.ledger;
  live = true;
  for (const permit of leases.keys()) renew(permit);
  flush();
}

function end(error, reason) {
  ended = { error, reason };
  hangUp();
  for (const call of calls.values()) refuse(call, error, reason);
  parentPort.postMessage({ ended });
  parentPort.close(); // and with it the thread, of which no timer is awaited
}

// ------------------------------------------------------------------------------------------------------------- sending

function send(command) {
  line?.send(write(command));
  toldAt = performance.now();
}

function flush() {
  while (live && unsent.length && inFlight < WINDOW) {
    const number = unsent.shift();
    const call = calls.get(number);
    if (!call) continue;
    if (!call.wanted) {
      calls.delete(number);
      continue;
    }
    if (acquires(call) && call.deadline)
      call.command.timeoutMs = Math.max(1, Math.floor(call.deadline - performance.now()));
    call.sent = true;
    inFlight++;
    send(call.command);
  }
}

// ----------------------------------------------------------------------------------------------------------- receiving

function answered(number, message) {
  if (number === hello) return message.type === "WELCOME" ? welcomed(message) : lost(line);
  if (renewals.has(number)) {
    const permit = renewals.get(number);
    renewals.delete(number);
    if (message.error === UNKNOWN_PERMIT && forget(permit)) parentPort.postMessage({ lostPermit: permit });
    return;
  }
  const call = calls.get(number);
  if (!call) return;
  const done = message.type === "COMMAND_DONE";
  if (done && message.error === CLOSED && call.wanted) {
    // it stops: the next one is asked
    inFlight--;
    call.parts = [];
    return;
  }
  call.parts.push(message);
  if (message.type === "SNAPSHOT_BUDGET" || message.type === "SNAPSHOT_TOPIC") return;
  inFlight--;
  calls.delete(number);
  if (message.type === "PERMIT_GRANTED") {
    if (call.wanted) hold(message);
    else giveBack(message.permit);
  }
  if (done && message.error) answer(call, { done: message });
  else answer(call, { parts: call.parts });
  flush();
}

// -------------------------------------------------------------------------------------------------------------- leases

function hold({ permit, leaseMs }) {
  leases.set(permit, { timer: setInterval(renew, Math.min(leaseMs / RENEWALS_A_LEASE, TIMER_MAX_MS), permit).unref() });
}

function forget(permit) {
  clearInterval(leases.get(permit)?.timer);
  return leases.delete(permit);
}

function renew(permit) {
  if (!live) return;
  renewals.set(++numbers, permit);
  send({ type: "RENEW_PERMIT", request: numbers, permit });
}

function giveBack(permit) {
  forget(permit);
  if (live) send({ type: "RELEASE_PERMIT", request: 0, permit, outcome: 1, reason: "nobody waits for it" });
}

/** Whose acquire waits must be heard as often as its lease says. */
function expectPings(leaseMs) {
  const every = (leaseMs || 30000) / RENEWALS_A_LEASE;
  if (pingTimer && every >= pingMs) return;
  clearInterval(pingTimer);
  pingMs = Math.min(every, pingMs);
  pingTimer = setInterval(() => {
    if (![...calls.values()].some(acquires)) {
      clearInterval(pingTimer);
      pingTimer = null;
    } else if (live && performance.now() - toldAt >= pingMs / 2) send({ type: "PING", request: 0 });
  }, pingMs).unref();
}

// ----------------------------------------------------------------------------------------------- from the main thread

const orders = {
  call({ id, command, timeoutMs }) {
    if (ended) return;
    const number = ++numbers;
    const call = {
      id,
      command: { ...command, request: number },
      parts: [],
      wanted: true,
      sent: false,
      deadline: timeoutMs && timeoutMs !== Infinity ? performance.now() + timeoutMs : 0,
    };
    calls.set(number, call);
    unsent.push(number);
    if (acquires(call)) expectPings(command.leaseMs);
    if (call.deadline) after(timeoutMs, () => expire(number));
    flush();
  },

  /** The acquire stays until its answer comes, and a grant is released. */
  cancel({ id }) {
    for (const [number, call] of calls) {
      if (call.id === id && call.wanted) cancel(number, call, CANCELLED);
    }
  },

  forget: ({ permit }) => forget(permit),
  giveBack: ({ permit }) => giveBack(permit),
  close: () => end(CLOSED, "the connection is closed"),
};

function expire(number) {
  const call = calls.get(number);
  if (!call?.wanted) return;
  const left = call.deadline - performance.now();
  if (left > 0) return void after(left, () => expire(number)); // longer than a timer can be
  if (acquires(call) && live && left > -GRACE_MS) {
    return void after(GRACE_MS + left + 1, () => expire(number)); // the runtime answers
  }
  cancel(number, call, TIMEOUT, live ? "" : "no runtime answers");
}

function cancel(number, call, error, reason) {
  refuse(call, error, reason);
  if (acquires(call) && live && call.sent) send({ type: "CANCEL_ACQUIRE", request: number });
}

process.on("exit", () => {
  Atomics.store(gone, 0, 1);
  Atomics.notify(gone, 0);
});
parentPort.on("message", order => orders[order.op](order));
connect();
