// API calls one after the other through several lives of a token. For each renewal, prints the times
// of the calls that overlap the request of the token endpoint, and of those in as long a time just
// before it, in microseconds: what else the machine does changes from second to second.
const [runtimePath, origin, lives] = globalThis.Deno?.args ?? process.argv.slice(2);
const { Auth, MemoryStorage } = await import(runtimePath);
let renewing = 0;
let renewals = 0;
const auth = Auth.fromOAuthM2M({
  clientId: "bench",
  clientSecret: "bench-secret",
  environment: {
    userAuthServer: origin,
    m2mAuthServer: origin,
    audiences: ["https://api.bench.test/"],
    apiBaseUrl: origin,
  },
  storageProvider: new MemoryStorage(),
  fetch: async (input, init) => {
    if (!String(input).endsWith("/token")) return await fetch(input, init);
    renewing++;
    try {
      return await fetch(input, init);
    } finally {
      renewing--;
      renewals++;
    }
  },
});
const call = async () => {
  const answer = await auth.fetch(`${origin}/api`);
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  await answer.text();
};
for (let i = 0; i < 500; i++) await call();
const found = [];
let before = [];
let during = [];
while (renewals <= Number(lives)) {
  const overlaps = renewing > 0;
  const since = performance.now();
  await call();
  const now = performance.now();
  const entry = { since, time: (now - since) * 1000 };
  if (overlaps || renewing > 0) during.push(entry);
  else if (during.length === 0) before.push(entry);
  if (during.length > 0 && renewing === 0) {
    const began = during[0].since;
    const length = now - began;
    before = before.filter(({ since }) => since >= began - length);
    found.push({ during, before });
    [before, during] = [[], []];
  }
}
const at = (entries, q) => {
  const times = entries.map(({ time }) => time).sort((a, b) => a - b);
  return times[Math.floor((times.length - 1) * q)];
};
const tell = (entries) => ({
  count: entries.length,
  p50: at(entries, 0.5),
  p99: at(entries, 0.99),
  max: at(entries, 1),
});
console.log(
  JSON.stringify(
    found.map(({ during, before }) => ({ during: tell(during), before: tell(before) })),
  ),
);
