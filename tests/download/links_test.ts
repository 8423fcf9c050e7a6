/**
 * Where the token goes, and that links are secrets: storage on another origin, redirects to it, refusals
 * that quote, connections that fail.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ApiError, PlanetError } from "../../lib/errors.ts";
import type { SessionEvent } from "../../mod.ts";
import { downloadFile, openDownload } from "../../lib/download/download.ts";
import { Canaries, secret } from "../_support/canaries.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { type Behaviour, bytesFrom, QUICK, sessionFor, startStorage } from "./_server.ts";

const SIZE = 200_000;
const BODY = bytesFrom(7, SIZE);
const END = { after: 60_000, how: "end" } as const;

test(
  "canaries: the token goes to no storage, the link gets into no error, event, file or progress",
  async () => {
    const canaries = new Canaries();
    const api = await startStorage();
    const middle = await startStorage();
    const storage = await startStorage({ body: BODY, etag: '"one"' });
    const folder = await tempFolder();
    const events: SessionEvent[] = [];
    const session = sessionFor(api.origin, {
      onEvent: (event) => events.push(event),
      timeoutMs: 500,
      maxRetries: 0,
    });
    const signature = secret("signature");
    canaries.add("signature", signature);
    const query = `?token=${signature}&X-Signature=${signature}`;
    // The API's own link leads over another host to the storage.
    api.answer = () => ({
      status: 302,
      headers: [`location: ${middle.origin}/${signature}/hop${query}`],
    });
    middle.answer = () => ({
      status: 307,
      headers: [`location: ${storage.origin}/${signature}/scene.tif${query}`],
    });
    const errors: unknown[] = [];
    const told: unknown[] = [];
    const run = async (link: string, behaviour: Partial<Behaviour>, isFine: boolean) => {
      Object.assign(storage, { breaks: [], answer: undefined, ...behaviour });
      const options = {
        directory: folder.path,
        clock: QUICK,
        maxResumes: 2,
        ifExists: "replace" as const,
        onProgress: (progress: unknown) => void told.push(progress),
      };
      const source = { link: () => Promise.resolve(link) };
      const outcome = await downloadFile(session, source, options).catch((error) => error);
      if (!(outcome instanceof Error)) told.push(outcome);
      else errors.push(outcome);
      assertEquals(outcome instanceof Error, !isFine, String(outcome));
      for (const name of await readdir(folder.path)) {
        if (name.endsWith(".json")) {
          canaries.search(
            name,
            await readFile(join(folder.path, name), "utf8"),
          );
        }
        canaries.search("a file's name", name);
      }
      const read = await openDownload(session, source, options)
        .then(async ({ stream, ...rest }) => {
          told.push(rest);
          await new Response(stream).arrayBuffer();
        }).catch((error) => error);
      if (read instanceof Error) errors.push(read);
      return outcome;
    };
    try {
      for (
        const link of [
          `${api.origin}/data/v1/download${query}`,
          `${storage.origin}/${signature}/scene.tif${query}`,
        ]
      ) {
        await run(link, {}, true);
        await run(link, { breaks: [END, END] }, true);
        await run(link, { breaks: Array(9).fill({ after: 0, how: "end" }) }, false);
        await run(link, { breaks: Array(9).fill({ after: 0, how: "stall" }) }, false);
        await run(link, {
          breaks: [END],
          answer: (_, index) =>
            index === storage.seen.length - 1 && storage.breaks.length === 0
              ? { status: 206, headers: ["content-range: bytes 1-2/3"], body: "xx" }
              : undefined,
        }, false);
        for (const status of [400, 401, 403, 404, 410, 429, 500, 503]) {
          const quoting = await run(link, {
            answer: ({ path }) => ({
              status,
              headers: ["content-type: application/xml", `location: ${storage.origin}${path}`],
              body: `<Error><SignatureProvided>${signature}</SignatureProvided>${path}</Error>`,
            }),
          }, false);
          assert(quoting instanceof ApiError && quoting.status === status, String(quoting));
          await run(link, {
            answer: ({ path }) => ({
              status,
              body: JSON.stringify({
                message: `no ${path}`,
                link: storage.origin + path,
                signature,
              }),
            }),
          }, false);
        }
      }
      await storage.close();
      await run(`${storage.origin}/${signature}/scene.tif${query}`, {}, false);
      assert(
        errors.length > 60 && errors.every((error) => error instanceof PlanetError),
        "few errors",
      );
      for (const error of errors) canaries.look("an error", error);
      for (const event of events) canaries.look("an event", event);
      for (const one of told) canaries.look("what is told", one);
      assertEquals(canaries.sightings, []);
      const key = api.seen[0]!.headers.authorization ?? "";
      assert(key.startsWith("api-key "), "No key was sent.");
      assert(storage.seen.length > 40 && middle.seen.length > 20);
      for (const { headers } of [...middle.seen, ...storage.seen]) {
        assertEquals(headers.authorization, undefined);
        assert(!JSON.stringify(headers).includes(key.slice(8)));
      }
    } finally {
      for (const one of [api, middle, storage]) await one.close();
      await folder.remove();
    }
  },
  {
    timeoutMs: 120_000,
    breaks: [{
      rule: "request",
      where: "the address of GET",
      why: "a link is a credential in an address: what is tested is that it stays there",
    }],
  },
);

test("links without https are refused, but for loopback; redirects to them too", async () => {
  const api = await startStorage();
  const session = sessionFor(api.origin);
  try {
    for (const link of ["http://storage.example/a", `${api.origin}/redirect`]) {
      api.answer = () => ({ status: 302, headers: ["location: http://storage.example/a?token=x"] });
      const error = await assertRejects(
        () => openDownload(session, { link: () => Promise.resolve(link) }),
        PlanetError,
      );
      assertEquals((error as { code?: string }).code, "untrusted_origin");
    }
  } finally {
    await api.close();
  }
});
