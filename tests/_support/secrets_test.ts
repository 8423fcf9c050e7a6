import { assert, assertEquals, assertRejects } from "@std/assert";
import { test } from "./harness.ts";
import { holdsSecret, noteSecrets, watched } from "./secrets.ts";

const form = () =>
  new URLSearchParams({ refresh_token: "canary-0123456789", scope: "planet-scope-of" });

test("watched() fails where a secret is printed, by whatever printer", async () => {
  noteSecrets(form(), "Bearer canary-in-a-header");
  const print = console.log;
  // What the test prints on purpose is not for the terminal, nor for the watch over this test.
  console.log = () => {};
  try {
    for (const value of ["x canary-0123456789 y", { deep: ["canary-in-a-header"] }]) {
      const error = await assertRejects(() => watched(async () => await console.log(value)), Error);
      assertEquals(error.message, "A secret was printed.");
    }
  } finally {
    console.log = print;
  }
});

test("watched() replaces an error that holds a secret, in its cause too", async () => {
  noteSecrets(form());
  const cause = new Error("canary-0123456789");
  const error = await assertRejects(
    () => watched(() => Promise.reject(new Error("failed", { cause }))),
    Error,
  );
  assert(!holdsSecret(`${error.stack}`));
  assert(error.message.includes("secret"));
});

test("watched() leaves everything else alone", async () => {
  noteSecrets(form());
  const failure = new Error("planet-scope-of");
  assertEquals(await assertRejects(() => watched(() => Promise.reject(failure))), failure);
  await watched(() => Promise.resolve());
});
