// Events, each once and in order: what a subscription misses is asked for by REPLAY, over restarts of a runtime too.
import { Dealer, Subscriber } from "zeromq";
import { DeadlinePassed, EventsGone, HeadgateError, InvalidArgument, errorOf } from "./errors.js";
import { checked } from "./fields.js";
import { Order } from "./order.js";
import { curveOf, endpointsOf, isTcp } from "./place.js";
import { read, write } from "./wire.js";

const SILENCE_MS = 2000; // without a heartbeat: the runtime is looked for again
const CONNECT_MS = 2000; // until somebody is there who can be asked for a replay
const ANSWER_MS = 5000; // for a portion of a replay
const QUEUE = 20000; // events that wait in the socket; what comes on top is replayed
const RETRY_MS = 100;

const pause = ms => new Promise(resolve => setTimeout(resolve, ms));

/** An async iterator that never ends by itself. Between two steps nothing runs: what is lost then is replayed. */
export class EventStream {
  #ask;
  #after;
  #ledger;
  #order = null;
  #place;
  #welcome;
  #topics;
  #subscriber = null;
  #dealer = null;
  #request = 0;
  #behind = true; // of the journal: what was missed is asked for
  #ready = [];
  #next = 0;
  #closed = false;

  /** `ask` says behind which row it begins; it is called again when no answer came. */
  constructor(place, welcome, { ask, topics, ledger }) {
    if (topics.some(topic => topic.includes(","))) throw new InvalidArgument(1, "a topic has no comma: give a list");
    if (isTcp(place.url) && !place.eventsUrl && welcome.events.startsWith("ipc://")) {
      throw new HeadgateError(
        2,
        `the runtime at ${place.url} has its events at ${welcome.events}, which other machines can't reach: ` +
          "set eventsUrl (HEADGATE_EVENTS_URL) to an endpoint of its eventBus.bind",
      );
    }
    this.#place = place;
    this.#welcome = welcome;
    this.#topics = topics.includes("") ? [] : topics;
    checked({ topics: this.#topics.join(",") });
    this.#ledger = ledger ?? welcome.ledger;
    this.#ask = ask;
    this.#after = ask();
    this.#after.catch(() => {}); // told by next()
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async next() {
    while (!this.#order && !this.#closed) await this.#begin();
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

  async #begin() {
    try {
      this.#after ??= this.#ask();
      this.#order = new Order(this.#topics, await this.#after, this.#ledger);
    } catch (problem) {
      this.#after = null;
      if (!(problem instanceof DeadlinePassed)) throw problem; // a lost runtime is waited for
    }
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
    const events = endpointsOf(this.#place).events ?? this.#welcome.events;
    this.#subscriber = new Subscriber({
      linger: 0,
      receiveHighWaterMark: QUEUE,
      receiveTimeout: SILENCE_MS,
      ...curveOf(this.#place, events),
    });
    this.#subscriber.subscribe(...(this.#topics.length ? [...this.#topics, "HEARTBEAT"] : []));
    this.#subscriber.connect(events);
  }

  #hangUp() {
    this.#subscriber?.close();
    this.#dealer?.close();
    this.#subscriber = this.#dealer = null;
    this.#behind = true;
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

  /** A portion; who does not come, or does not answer, is given up. */
  async #replay() {
    const portion = [];
    let report = null;
    try {
      if (!this.#dealer) {
        const { control } = endpointsOf(this.#place);
        this.#dealer = new Dealer({
          linger: 0,
          immediate: true, // nothing waits for a peer that is not there
          reconnectInterval: -1,
          receiveTimeout: ANSWER_MS,
          sendTimeout: CONNECT_MS,
          ...curveOf(this.#place, control),
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
