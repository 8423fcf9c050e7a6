// API calls one after the other through several lives of a token, which is renewed behind them: by
// this library, and, midway between two of those, by the least that a program could do: one request
// and one file. Prints the times of the calls, in microseconds: those during each renewal, and those
// just before and after it, together for as long. `nothing` is the same where no renewal is.
const [modulePath, origin, api, root, lives] = globalThis.Deno?.args ?? process.argv.slice(2);
const { Auth, FileStorage } = await import(modulePath);
const { open, rename } = globalThis.Deno ? {} : await import("node:fs/promises");
/** What a renewal does before its request and after its answer falls into its time too. */
const MARGIN_MS = 20;
const LENGTH_MS = 540;
const file = `${root}/.planet/bench/floor.json`;

const write = async (text) => {
  if (globalThis.Deno) {
    const opened = await Deno.open(`${file}.new`, { write: true, create: true, truncate: true });
    await opened.write(new TextEncoder().encode(text));
    await opened.sync();
    opened.close();
    await Deno.rename(`${file}.new`, file);
  } else {
    const opened = await open(`${file}.new`, "w");
    await opened.writeFile(text);
    await opened.sync();
    await opened.close();
    await rename(`${file}.new`, file);
  }
};
const form = { grant_type: "client_credentials", client_id: "floor", client_secret: "secret" };
const renewByHand = async () => {
  const answer = await send(`${origin}/token`, {
    method: "POST",
    body: new URLSearchParams(form),
  });
  await write(JSON.stringify(await answer.json()));
};

const renewals = [];
const send = globalThis.fetch;
let renewing;
// What the library sends is seen here, and goes out unchanged.
globalThis.fetch = (input, init) => {
  if (String(input).endsWith("/token")) {
    renewing ??= { kind: "planet", from: performance.now() };
  }
  return send(input, init);
};
const auth = Auth.fromOAuthUserDeviceCode({
  clientId: "bench",
  environment: {
    userAuthServer: origin,
    m2mAuthServer: origin,
    audiences: ["https://api.bench.test/"],
    apiBaseUrl: api,
  },
  profileName: "bench",
  storageProvider: new FileStorage({ root }),
  // Without it a session is renewed behind its callers from 30 seconds on.
  waitUntil() {},
  onEvent: ({ type }) => {
    if (type !== "token_refreshed") return;
    renewals.push({ ...renewing, to: performance.now() });
    renewing = undefined;
    setTimeout(async () => {
      const from = performance.now();
      await renewByHand();
      renewals.push({ kind: "floor", from, to: performance.now() });
    }, 600);
  },
});
const call = async () => {
  const answer = await auth.fetch(`${api}/api`);
  if (answer.status !== 200) throw new Error(`status ${answer.status}`);
  await answer.text();
};
await renewByHand();
const calls = [];
// The first renewal and what is left of its token's life warm all of it up.
while (renewals.filter(({ kind }) => kind === "planet").length < Number(lives) + 2) {
  const since = performance.now();
  await call();
  calls.push([since, performance.now() - since]);
}
const at = (times, q) => times.sort((a, b) => a - b)[Math.floor((times.length - 1) * q)];
const between = (...spans) => {
  const times = calls.filter(([since]) => spans.some(([from, to]) => since >= from && since < to))
    .map(([, ms]) => ms * 1000);
  return { count: times.length, p50: at(times, 0.5), p99: at(times, 0.99), max: at(times, 1) };
};
const found = { planet: [], floor: [], nothing: [] };
const keep = (kind, from, to) => {
  const half = (to - from) / 2;
  found[kind].push({
    during: between([from, to]),
    outside: between([from - half, from], [to, to + half]),
  });
};
const planet = renewals.filter(({ kind }) => kind === "planet");
planet.slice(1, -1).forEach(({ from, to }, index) => {
  keep("planet", from - MARGIN_MS, to + MARGIN_MS);
  const floor = renewals.find(({ kind, from }) => kind === "floor" && from > to);
  keep("floor", floor.from - MARGIN_MS, floor.to + MARGIN_MS);
  const rest = floor.to + MARGIN_MS + LENGTH_MS / 2;
  const next = planet[index + 2].from - MARGIN_MS;
  if (rest + 1.5 * LENGTH_MS < next) keep("nothing", rest, rest + LENGTH_MS);
});
// The first one also loads what renews, and asks for the server's endpoints.
const first = between([planet[0].from - 100, planet[0].to + MARGIN_MS]);
const text = JSON.stringify({ ...found, first });
if (globalThis.Deno) console.log(text);
else process.stdout.write(`${text}\n`, () => process.exit(0));
