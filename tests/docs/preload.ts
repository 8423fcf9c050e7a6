/**
 * Lets programs that are written for Planet's own servers run against a sandbox: puts its servers,
 * clients and keys in the place of Planet's and of the made-up ones, in what goes out, and back in
 * what comes in. A person confirms every device login, and a server is called once.
 *
 * @module
 */
import process from "node:process";
import { PRODUCTION } from "../../mod.ts";
import { approveDevice } from "../sandbox/person.ts";

const { fetch } = globalThis;
const sandbox = await (await fetch(new URL("/environment.json", process.env.PLANET_SANDBOX)))
  .json();

const SERVERS: [string, string][] = [
  [PRODUCTION.m2mAuthServer, sandbox.m2mAuthServer],
  [PRODUCTION.userAuthServer, sandbox.userAuthServer],
  [PRODUCTION.apiBaseUrl, sandbox.apiBaseUrl],
];
const SECRETS: [string, string][] = [
  ["my-client-secret", process.env.SANDBOX_CLIENT_SECRET ?? ""],
  ["my-api-key", process.env.SANDBOX_API_KEY ?? ""],
];

function replaced(text: string, pairs: readonly [string, string][]): string {
  let result = text;
  for (const [from, to] of pairs) {
    result = result.replaceAll(from, to)
      .replaceAll(encodeURIComponent(from), encodeURIComponent(to));
  }
  return result;
}

globalThis.fetch = async (input, init) => {
  const request = new Request(input, init);
  if (!SERVERS.some(([from]) => request.url.startsWith(from))) return await fetch(input, init);
  const isService = request.url.startsWith(PRODUCTION.m2mAuthServer);
  const clientId = isService ? sandbox.m2m.clientId : sandbox.clientId;
  const there = [...SERVERS, ...SECRETS, ["my-client-id", clientId] as [string, string]];
  const headers = new Headers(request.headers);
  headers.forEach((value, name) => headers.set(name, replaced(value, there)));
  const hasBody = request.method !== "GET" && request.method !== "HEAD";
  const response = await fetch(replaced(request.url, there), {
    method: request.method,
    headers,
    redirect: request.redirect,
    signal: request.signal,
    ...(hasBody ? { body: replaced(await request.text(), there) } : {}),
  });
  const text = await response.text();
  if (request.url.endsWith("/device/auth")) {
    await approveDevice(JSON.parse(text).verification_uri_complete);
  }
  const { status, statusText } = response;
  const back = SERVERS.map(([from, to]): [string, string] => [to, from]);
  const received = new Headers(response.headers);
  received.delete("content-length");
  const body = status === 204 || text === "" ? null : replaced(text, back);
  return new Response(body, { status, statusText, headers: received });
};

// The person reads what is shown; else nobody could be asked.
if ("Deno" in globalThis) Object.defineProperty(Deno.stderr, "isTerminal", { value: () => true });
else process.getBuiltinModule("node:tty").isatty = (file) => file === 2;

if ("Deno" in globalThis) {
  // An example that serves is called once, opens no port, and is over when that has its answer.
  const { openKv, test } = Deno;
  let opened: Deno.Kv[] = [];
  let served: Promise<void>[] = [];
  const serve = async (...args: unknown[]) => {
    type Handler = (request: Request) => Promise<Response>;
    const handler = args.find((one) => typeof one === "function") as Handler;
    const ask = () => handler(new Request("http://edge.example/20260101_100000_psscene"));
    let response = await ask();
    // 202: not ready yet, ask again.
    for (let asked = 1; response.status === 202 && asked < 100; asked++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      response = await ask();
    }
    const text = await response.text();
    if (!response.ok || text === "") throw new Error(`It answered ${response.status}: ${text}`);
    for (const kv of opened) kv.close();
  };
  const stand = {
    openKv: async (path?: string) => {
      const kv = await openKv(path);
      opened.push(kv);
      return kv;
    },
    serve: (...args: unknown[]) => void served.push(serve(...args)),
    test: (name: string, body: () => Promise<void>) =>
      test(name, async () => {
        [opened, served] = [[], []];
        await body();
        await Promise.all(served);
      }),
  };
  for (const [name, value] of Object.entries(stand)) Object.defineProperty(Deno, name, { value });
}
