// Events, each once and in order: what a subscription misses is asked for by REPLAY, over restarts of a runtime too.
import { Dealer, Subscriber } from "zeromq";
import { EventsGone, errorOf } from "./errors.js";
import { Order } from "./order.js";
import { endpointsOf } from "./place.js";
import { read, write } from "./wire.js";

const SILENCE_MS = 2000; // without a heartbeat: the runtime is looked for again
const ANSWER_MS = 5000; // for a portion of a replay
const QUEUE = 20000; // events that wait in the socket; what comes on top is replayed
const RETRY_MS = 100;

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

/** An async iterator that never ends by itself. Between two steps nothing runs: what is lost then is replayed. */
export class EventStream {
  #start;
  #order = null;
  #place;
  #welcome;
  #topics;
  #subscriber = null;
  #dealer = null;
  #request = 0;
  #behind = true;
  #ready = [];
  #next = 0;
  #closed = false;

  constructor(place, welcome, { after, topics, ledger }) {
    this.#place = place;
    this.#welcome = welcome;
    this.#topics = topics.includes("") ? [] : topics;
    this.#start = Promise.all([after, ledger ?? welcome.ledger]);
    this.#start.catch(() => {}); // told by next()
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async next() {
    this.#order ??= new Order(this.#topics, ...(await this.#start));
    while (this.#next === this.#ready.length && !this.#closed) await this.#work();
    if (this.#closed) return { done: true, value: undefined };
    return { done: false, value: this.#ready[this.#next++] };
  }

  async return() {
    this.close();
    return { done: true, value: undefined };
  }

  close() {
    this.#closed = true;
    this.#hangUp();
  }

  // ----------------------------------------------------------------------------------------------------------- sockets

  /** Subscribed first, and replayed then: so nothing is between the two. */
  async #work() {
    this.#ready = [];
    this.#next = 0;
    try {
      if (!this.#subscriber) this.#subscribe();
    } catch {
      this.#hangUp();
      return pause(RETRY_MS);
    }
    return this.#behind ? this.#replay() : this.#listen();
  }

  #subscribe() {
    this.#subscriber = new Subscriber({
      linger: 0,
      receiveHighWaterMark: QUEUE,
      receiveTimeout: SILENCE_MS,
      ...this.#place.curve,
    });
    this.#subscriber.subscribe(...(this.#topics.length ? [...this.#topics, "HEARTBEAT"] : []));
    this.#subscriber.connect(endpointsOf(this.#place).events ?? this.#welcome.events);
  }

  #hangUp() {
    this.#subscriber?.close();
    this.#dealer?.close();
    this.#subscriber = this.#dealer = null;
  }

  async #listen() {
    while (this.#ready.length === 0 && !this.#behind) {
      let frames;
      try {
        frames = await this.#subscriber.receive();
      } catch {
        return this.#hangUp(); // silence, or closed
      }
      const event = frames.length === 2 ? read(frames[1]) : null;
      if (event?.payload) this.#ready = this.#order.hear(event);
      this.#behind = this.#order.goal > this.#order.reached;
    }
  }

  /** A portion; a connection that does not answer is given up. */
  async #replay() {
    const portion = [];
    let report = null;
    try {
      if (!this.#dealer) {
        const { control } = endpointsOf(this.#place);
        this.#dealer = new Dealer({
          linger: 0,
          reconnectInterval: -1,
          receiveTimeout: ANSWER_MS,
          sendTimeout: 0,
          ...this.#place.curve,
        });
        this.#dealer.connect(control);
      }
      const request = ++this.#request;
      await this.#dealer.send(
        write({ v: 1, type: "REPLAY", request, after: this.#order.reached, topics: this.#topics.join(",") }),
      );
      while (!report) {
        const [frame] = await this.#dealer.receive();
        const message = read(frame);
        if (message?.payload) portion.push(message);
        else if (message?.request === request) report = message;
      }
    } catch {
      this.#hangUp();
      return pause(RETRY_MS);
    }
    if (report.type === "COMMAND_DONE") {
      const error = errorOf(report);
      if (["HG_ERR_INVALID", "HG_ERR_PROTOCOL"].includes(error.name)) throw error;
      this.#hangUp(); // it is busy, or stops
      return pause(RETRY_MS);
    }
    if (report.oldest) {
      throw Object.assign(new EventsGone(23, `rows before ${report.oldest} are no longer kept`), {
        oldest: report.oldest,
      });
    }
    if (report.count !== portion.length) return; // some of it was lost: once more
    this.#ready = this.#order.toldAgain(portion, report.reached);
    this.#behind = report.reached < Math.max(this.#order.goal, report.newest);
  }
}
