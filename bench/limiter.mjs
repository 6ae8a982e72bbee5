// p-limit, or a limiter of our own where that package is not: { limiter, name }.

// The same in a few lines.
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

export async function findLimiter() {
  // The second one is Debian's node-p-limit; its bundle loads in a Node from elsewhere too.
  for (const place of ["p-limit", "/usr/share/nodejs/p-limit/index.cjs"]) {
    try {
      return { limiter: (await import(place)).default, name: "p-limit" };
    } catch { /* the next one */ }
  }
  return { limiter: limiterOfOurOwn, name: "a limiter of our own (no package p-limit here)" };
}
