// API calls one after the other through several lives of a token; prints the times of those that
// overlap a request of the token endpoint, and of the others, in microseconds.
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
const during = [];
const outside = [];
while (renewals <= Number(lives)) {
  const before = renewing > 0;
  const since = performance.now();
  await call();
  const time = (performance.now() - since) * 1000;
  (before || renewing > 0 ? during : outside).push(time);
}
const at = (values, q) => values.sort((a, b) => a - b)[Math.floor((values.length - 1) * q)];
const tell = (values) => ({
  count: values.length,
  p50: at(values, 0.5),
  p99: at(values, 0.99),
  max: at(values, 1),
});
console.log(JSON.stringify({ during: tell(during), outside: tell(outside), renewals }));
