// What was heard of events, put in order; no socket and no clock.
import { LedgerChanged } from "./errors.js";

const HELD_MAX = 10000; // events that wait for the proof that none is missing before them

/** All rows of the chosen topics up to `reached` have been told; with `goal` over it something is missing. */
export class Order {
  goal = 0; // rows up to this one are known to be there: it is replayed until they are told
  #held = []; // heard in order, but a row of another topic may be missing before them
  #newest = new Map(); // of each type, among those that are held

  constructor(topics, reached, ledger) {
    Object.assign(this, { topics, reached, ledger });
  }

  /** What can be told now. */
  hear(event) {
    this.#sameLedger(event);
    if (event.type === "HEARTBEAT") return this.#beat(event.payload);
    const { seq, type, prev } = event;
    if (seq === null) return [event];
    if (seq <= this.reached || seq <= this.#held.at(-1)?.seq) return [];
    if (seq === this.reached + 1) return this.#told(event);
    if (!this.topics.length || prev > this.#known(type) || this.#held.length >= HELD_MAX) return this.#miss(seq);
    if (this.topics.length === 1 && this.topics[0] === type) return this.#told(event); // the only one: prev says all
    this.#held.push(event);
    this.#newest.set(type, seq);
    return [];
  }

  /** A whole portion of a replay; what is held comes with it, or with the next one. */
  toldAgain(portion, reached) {
    for (const event of portion) this.#sameLedger(event);
    this.#letGo();
    const told = portion.filter(event => event.seq > this.reached);
    this.reached = Math.max(this.reached, reached);
    return told;
  }

  #wants(topic) {
    return !this.topics.length || this.topics.some(prefix => topic.startsWith(prefix));
  }

  #known(type) {
    return Math.max(this.reached, this.#newest.get(type) ?? 0);
  }

  #told(event) {
    this.reached = event.seq;
    return [event];
  }

  #beat(beat) {
    if ((beat.unheard ?? 0) > this.reached) return this.#miss(beat.newest);
    const missed = Object.entries(beat.topics)
      .filter(([topic, newest]) => this.#wants(topic) && newest > this.#known(topic))
      .map(([, newest]) => newest);
    if (missed.length) return this.#miss(Math.max(...missed));
    const told = this.#held;
    this.#letGo();
    this.reached = Math.max(this.reached, beat.newest);
    return told;
  }

  /** The journal has what is held as well. */
  #miss(seq) {
    this.goal = Math.max(this.goal, seq, ...this.#newest.values());
    this.#letGo();
    return [];
  }

  #letGo() {
    this.#held = [];
    this.#newest.clear();
  }

  #sameLedger({ ledgerId }) {
    if (ledgerId !== this.ledger) throw new LedgerChanged(7, `the ledger is ${ledgerId}, it was ${this.ledger}`);
  }
}
