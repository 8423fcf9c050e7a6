/**
 * Clients against a sandbox, a fake server, or a real one that counts what it does.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Auth, Planet, Session, type SessionEvent, type SessionHttpOptions } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";
import { type FakeServer, fakeServer, type FakeServerOptions } from "../_support/fake_server.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { seeEvent } from "../_support/watch_library.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";

/** A sandbox, its clients, a folder, and what the session told. */
export interface World {
  /** The servers. */
  readonly sandbox: Sandbox;
  /** The clients. */
  readonly pl: Planet;
  /** An empty folder. */
  readonly directory: string;
  /** What the session told. */
  readonly events: SessionEvent[];
}

/** Runs `body` in a world of its own; its storage must see no credentials, and no event a link. */
export async function inWorld(
  body: (world: World) => Promise<void>,
  options: SessionHttpOptions = {},
): Promise<void> {
  const { path: directory, remove } = await tempFolder();
  try {
    await withSandbox(async (sandbox) => {
      const events: SessionEvent[] = [];
      const auth = Auth.fromKey(sandbox.apiKey, { environment: sandbox.environment });
      const session = new Session(auth, {
        requestsPerSecond: 0,
        ...options,
        onEvent(event) {
          events.push(event);
          seeEvent(event as never);
        },
      });
      await body({ sandbox, pl: new Planet(session), directory, events });
      assertEquals(sandbox.storage.counters.authorizations, 0, "the storage saw credentials");
      assert(!/token|signature/i.test(JSON.stringify(events)), "a link was told");
    });
  } finally {
    await remove();
  }
}

/** Clients whose API says what a test tells it to. */
export function fake(options: FakeServerOptions = {}): { pl: Planet; server: FakeServer } {
  const server = fakeServer(options);
  const auth = Auth.fromKey(secret("key"), {
    environment: server.environment,
    fetch: server.fetch,
  });
  return { pl: new Planet(new Session(auth, { requestsPerSecond: 0, maxRetries: 0 })), server };
}

/** Everything in a list. */
export const all: <Kind>(list: AsyncIterable<Kind>) => Promise<Kind[]> = Array.fromAsync;
