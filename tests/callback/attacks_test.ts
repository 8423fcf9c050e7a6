import { assertEquals, assertRejects } from "@std/assert";
import { listen } from "../../lib/callback/select.ts";
import { test } from "../_support/harness.ts";

const expectation = {
  callbackUrl: "http://127.0.0.1:0/cb",
  state: "right-state",
  issuer: "https://as.example",
  issuerRequired: true,
};
const RIGHT = "state=right-state&iss=https%3A%2F%2Fas.example";

async function status(url: string, init: RequestInit = {}): Promise<number> {
  const response = await fetch(url, { redirect: "manual", ...init });
  await response.body?.cancel();
  return response.status;
}

for (const callbackUrl of ["http://127.0.0.1:0/cb", "http://localhost:0/cb"]) {
  test(`listen, junk does not end the wait at ${callbackUrl}, RFC 9700 §4`, async () => {
    const listener = await listen({ ...expectation, callbackUrl });
    const url = listener.redirectUri;
    const waiting = listener.wait(new AbortController().signal);
    assertEquals(await status(`${url}?code=c&state=wrong`), 400);
    assertEquals(await status(`${url}?error=access_denied`), 400);
    assertEquals(await status(`${url}?code=c&${RIGHT}`, { method: "PUT" }), 405);
    assertEquals(await status(new URL("/favicon.ico", url).href), 404);
    const prefetch = { headers: { purpose: "prefetch" } };
    assertEquals(await status(`${url}?code=c&${RIGHT}`, prefetch), 503);
    assertEquals(await status(`${url}?code=c&${RIGHT}`), 303);
    assertEquals((await waiting).get("code"), "c");
    assertEquals(await status(`${url}?code=c&${RIGHT}`), 400);
    assertEquals(await status(url), 200);
    await listener.close();
    await assertRejects(() => fetch(url));
  });
}

test("listen, an answer without iss fails where announced, RFC 9207 §2.4", async () => {
  const listener = await listen(expectation);
  const failed = assertRejects(() => listener.wait(new AbortController().signal), Error, "server");
  assertEquals(await status(`${listener.redirectUri}?code=c&state=right-state`), 400);
  await failed;
  await listener.close();
});
