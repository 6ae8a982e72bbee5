// What a user would write instead of a ledger: a slot of p-limit, a critical section around the figures (async-mutex),
// and one transaction of better-sqlite3 a record, synced.
//   node record_peer.mjs DB CALLERS MS    for MS, each of CALLERS waits for its own record; prints figures as JSON
//   node record_peer.mjs --probe          says what it is made of; fails where a package is missing
import { findLimiter } from "./limiter.mjs";

const WARM_MS = 100;
const HARD_LIMIT = Number.MAX_SAFE_INTEGER;

async function findPackages() {
  const missing = (name) => () => { throw new Error(`there is no package ${name}`); };
  const { default: Database } = await import("better-sqlite3").catch(missing("better-sqlite3"));
  const { Mutex } = await import("async-mutex").catch(missing("async-mutex"));
  new Database(":memory:").close(); // loads its native part
  return { Database, Mutex, ...await findLimiter() };
}

function openLedger(Database, path) {
  const db = new Database(path);
  const mode = db.pragma("journal_mode = WAL", { simple: true });
  db.pragma("synchronous = FULL");
  if (mode !== "wal" || db.pragma("synchronous", { simple: true }) !== 2) throw new Error("SQLite does not sync");
  db.exec("CREATE TABLE journal(seq INTEGER PRIMARY KEY, at INTEGER, event TEXT, prev INTEGER, budget TEXT, "
    + "task_id TEXT, used_delta INTEGER, used INTEGER, hard_limit INTEGER) STRICT");
  return db;
}

// record(i) resolves when the i-th record is durable.
function makeRecorder(db, Mutex) {
  const insert = db.prepare("INSERT INTO journal VALUES (?, ?, 'USAGE_RECORDED', ?, 'default', ?, ?, ?, ?)");
  const commit = db.transaction((...row) => insert.run(...row));
  const mutex = new Mutex();
  const ledger = { seq: 0, used: 0 };
  const record = (i) => mutex.runExclusive(() => {
    const tokens = 100 + i % 900;
    const used = ledger.used + tokens;
    if (used > HARD_LIMIT) throw new Error("the budget is exhausted");
    const task = `task-${String(i).padStart(11, "0")}`;
    commit(ledger.seq + 1, Date.now() * 1000, ledger.seq, task, tokens, used, HARD_LIMIT);
    ledger.seq++;
    ledger.used = used;
  });
  return { record, ledger };
}

const now = () => process.hrtime.bigint();

async function measure(record, limit, callers, ms) {
  const took = [];
  const start = now();
  const end = start + BigInt(ms) * 1_000_000n;
  let begun = 0;
  const caller = async () => {
    for (let before = start; before < end;) {
      await limit(() => record(begun++));
      const after = now();
      took.push(Number(after - before));
      before = after;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { took: took.sort((a, b) => a - b), elapsedUs: Number((now() - start) / 1000n) };
}

async function main([path, callers, ms]) {
  const { Database, Mutex, limiter, name } = await findPackages();
  if (path === "--probe") return console.log(`Node ${process.version}, better-sqlite3 with async-mutex and ${name}`);
  const work = async (file, forMs) => {
    const db = openLedger(Database, file);
    const { record, ledger } = makeRecorder(db, Mutex);
    const figures = await measure(record, limiter(Number(callers)), Number(callers), forMs);
    db.close();
    return { ...figures, ledger };
  };
  await work(`${path}-warm`, WARM_MS); // so that its code is compiled
  const { took, elapsedUs, ledger } = await work(path, Number(ms));
  const quantile = (share) => took[Math.ceil(share * took.length) - 1];
  console.log(JSON.stringify({
    records: took.length, tokens: ledger.used, elapsedUs,
    p50Ns: quantile(0.5), p99Ns: quantile(0.99), p999Ns: quantile(0.999),
  }));
}

main(process.argv.slice(2)).catch((problem) => {
  console.error(`record_peer: ${problem.message}`);
  process.exitCode = 1;
});
