// What a user would write instead of headgate run: Node's fetch under p-limit, which adds up the usage of the answers.
//   node fetch_peer.mjs BATCH.jsonl URL CALLS AT_ONCE    makes the first CALLS of the batch; prints calls and tokens
//   node fetch_peer.mjs --probe                          says what it is made of; fails where there is no fetch
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

// The same in a few lines, for where the package p-limit is not.
function limiterOfOurOwn(atOnce) {
  let running = 0;
  const waiting = [];
  const next = () => {
    if (running >= atOnce || waiting.length === 0) return;
    running++;
    const { work, resolve, reject } = waiting.shift();
    work().then(resolve, reject).finally(() => { running--; next(); });
  };
  return (work) => new Promise((resolve, reject) => { waiting.push({ work, resolve, reject }); next(); });
}

async function findLimiter() {
  // The second one is Debian's node-p-limit; its bundle loads in a Node from elsewhere too.
  for (const place of ["p-limit", "/usr/share/nodejs/p-limit/index.cjs"]) {
    try {
      return { limiter: (await import(place)).default, name: "p-limit" };
    } catch { /* the next one */ }
  }
  return { limiter: limiterOfOurOwn, name: "a limiter of our own (no package p-limit here)" };
}

async function readBodies(path, calls) {
  const bodies = [];
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (bodies.length === calls) break;
    bodies.push(JSON.stringify(JSON.parse(line).body));
  }
  return bodies;
}

async function main([batch, base, calls, atOnce]) {
  const { limiter, name } = await findLimiter();
  if (typeof fetch !== "function") throw new Error(`Node ${process.version} has no fetch`);
  if (batch === "--probe") return console.log(`Node ${process.version}, fetch with ${name}`);
  const url = `${base}/v1/chat/completions`;
  const limit = limiter(Number(atOnce));
  let tokens = 0;
  const bodies = await readBodies(batch, Number(calls));
  await Promise.all(bodies.map((body) => limit(async () => {
    const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    if (answer.status !== 200) throw new Error(`HTTP ${answer.status}`);
    tokens += (await answer.json()).usage.total_tokens;
  })));
  console.log(JSON.stringify({ calls: bodies.length, tokens }));
}

main(process.argv.slice(2)).catch((problem) => {
  console.error(`fetch_peer: ${problem.message}`);
  process.exitCode = 1;
});
