// What a user would write instead of headgate run: Node's fetch under p-limit, which adds up the usage of the answers.
//   node fetch_peer.mjs BATCH.jsonl URL CALLS AT_ONCE    makes the first CALLS of the batch; prints calls and tokens
//   node fetch_peer.mjs --probe                          says what it is made of; fails where there is no fetch
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { findLimiter } from "./limiter.mjs";

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
    const { usage } = await answer.json(); // on its own: `tokens += await` would add to what it was before the wait
    tokens += usage.total_tokens;
  })));
  console.log(JSON.stringify({ calls: bodies.length, tokens }));
}

main(process.argv.slice(2)).catch((problem) => {
  console.error(`fetch_peer: ${problem.message}`);
  process.exitCode = 1;
});
