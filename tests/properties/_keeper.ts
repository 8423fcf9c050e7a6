/**
 * Keepers of one session against a model of the authorization server.
 *
 * One or two keepers share a store. Batches of calls run at once, with random turns inside the
 * store and the server; between the batches time passes, a sibling writes, or things begin to
 * fail. Whatever happens: never two refreshes at once, never a spent or refused refresh token
 * sent again, never a token going backwards, never a living refresh token lost, and after a
 * sign-out no token.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { AuthError } from "../../lib/errors.ts";
import { Keeper } from "../../lib/keeper/keeper.ts";
import type { TokenServer } from "../../lib/keeper/renewal.ts";
import { StoredSession } from "../../lib/keeper/stored_session.ts";
import { MemoryStorage } from "../../lib/storage/select.ts";
import type { JsonObject } from "../../lib/storage/objects.ts";
import { TokenSet } from "../../lib/token.ts";
import { secret } from "../_support/canaries.ts";
import { type FakeClock, fakeClock } from "../_support/fake_clock.ts";
import { fc, type Property } from "./_fast_check.ts";

const KEY = ".planet/p/token.json";
const LIFE = 100;

/** A call, made by one of the keepers. */
interface Call {
  keeper: number;
  what: "access" | "access" | "refused" | "force" | "known" | "ensure" | "signIn" | "forget";
}

/** What happens between two batches of calls. */
type Between =
  | { what: "time"; seconds: number }
  | { what: "server"; mode: Mode }
  | { what: "disk full"; times: number }
  | { what: "sibling" }
  | { what: "ended" };

/** How the token endpoint behaves: well; not reached; its answer is lost; it fails; it throttles. */
type Mode = "good" | "unreached" | "lost" | "failing" | "throttling";

/** One case. */
export interface Case {
  seed: number;
  keepers: number;
  rotate: boolean;
  steps: { between: Between; calls: Call[] }[];
}

function random(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9 | 0;
    return ((state ^ (state >>> 12)) >>> 0) / 2 ** 32;
  };
}

/** Knows every refresh token that it handed out, and which is the good one of each sign-in. */
class Server {
  mode: Mode = "good";
  serial = 0;
  inFlight = 0;
  /** The good refresh token of each sign-in; `undefined`: ended. */
  readonly good: (string | undefined)[] = [];
  /** Which sign-in each refresh token belongs to. */
  readonly of = new Map<string, number>();
  readonly refused = new Set<string>();
  /** Sign-ins whose last refresh token nobody has got. */
  readonly lost = new Set<number>();
  readonly faults: string[] = [];

  constructor(
    readonly clock: FakeClock,
    readonly rotate: boolean,
    readonly turn: () => Promise<void>,
  ) {}

  #issue(signIn: number, fresh: boolean): JsonObject {
    const number = ++this.serial;
    if (!fresh) return { access_token: secret(`a${number}`), expires_in: LIFE };
    const refresh_token = secret(`r${number}`);
    this.good[signIn] = refresh_token;
    this.of.set(refresh_token, signIn);
    return { access_token: secret(`a${number}`), expires_in: LIFE, refresh_token };
  }

  signIn(): TokenSet {
    return TokenSet.fromResponse(this.#issue(this.good.length, true), this.clock.now());
  }

  /** A refresh by somebody who takes no lock, at a moment when nobody else is at it. */
  sibling(current: TokenSet): TokenSet | undefined {
    const signIn = this.of.get(current.refreshToken ?? "");
    if (signIn === undefined || this.good[signIn] !== current.refreshToken) return undefined;
    return TokenSet.fromResponse(this.#issue(signIn, this.rotate), this.clock.now(), current);
  }

  refresh = async (current: TokenSet): Promise<TokenSet> => {
    const token = current.refreshToken!;
    if (++this.inFlight > 1) this.faults.push("two refreshes at once");
    try {
      await this.turn();
      if (this.mode === "unreached") throw new AuthError("network", "not reached");
      if (this.mode === "failing") throw new AuthError("server_error", "failing");
      if (this.mode === "throttling") {
        throw new AuthError("throttled", "later", { retryAt: this.clock.now() + 30_000 });
      }
      const signIn = this.of.get(token);
      if (signIn === undefined || this.good[signIn] !== token) {
        if (this.refused.has(token)) this.faults.push("a refused refresh token was sent again");
        const isKnown = signIn !== undefined && !this.lost.has(signIn) &&
          this.good[signIn] !== undefined;
        if (isKnown) this.faults.push("a spent refresh token was sent again");
        this.refused.add(token);
        if (signIn !== undefined) this.good[signIn] = undefined;
        throw new AuthError("session_expired", "dead", { oauthError: "invalid_grant" });
      }
      const response = this.#issue(signIn, this.rotate);
      if (this.mode === "lost") {
        if (this.rotate) this.lost.add(signIn);
        throw new AuthError("network", "the answer is lost");
      }
      await this.turn();
      return TokenSet.fromResponse(response, this.clock.now(), current);
    } finally {
      this.inFlight--;
    }
  };
}

/** A store in which everything takes a while, and which may be full. */
class SlowStorage extends MemoryStorage {
  full = 0;
  /** Whether somebody may hold tokens that could not be stored. */
  unsaved = false;
  constructor(readonly turn: () => Promise<void>) {
    super();
  }
  override async load(key: string): Promise<JsonObject | undefined> {
    await this.turn();
    const found = await super.load(key);
    // What was read may be old by the time that it arrives.
    await this.turn();
    return found;
  }
  override async save(key: string, value: JsonObject): Promise<void> {
    await this.turn();
    if (key === KEY && this.full > 0) {
      this.full--;
      this.unsaved = true;
      throw new AuthError("storage_failed", "the disk is full");
    }
    await super.save(key, value);
    if (key === KEY) this.unsaved = false;
    await this.turn();
  }
  override async delete(key: string): Promise<void> {
    await this.turn();
    await super.delete(key);
    if (key === KEY) this.unsaved = false;
    await this.turn();
  }
}

/** What no person's session asks for here. */
const UNUSED = {
  canRevoke: () => Promise.resolve(false),
  revoke: () => Promise.reject(new Error("nothing is revoked")),
  clientCredentials: () => Promise.reject(new Error("nobody signs in alone")),
};

const TYPED = [
  "login_required",
  "network",
  "server_error",
  "session_expired",
  "storage_failed",
  "throttled",
];

/** Runs one case; throws where something does not hold. */
export async function runCase({ keepers, rotate, seed, steps }: Case): Promise<void> {
  const next = random(seed);
  const turn = async () => {
    // Mostly quick, now and then so slow that everything else overtakes.
    const most = next() < 0.2 ? 80 : 5;
    for (let left = Math.floor(next() * most); left > 0; left--) await null;
  };
  const clock = fakeClock({ now: 1_700_000_000_000 });
  const server = new Server(clock, rotate, turn);
  const storage = new SlowStorage(turn);
  const behind: Promise<unknown>[] = [];
  const all = Array.from({ length: keepers }, () =>
    new Keeper<TokenServer>(
      new StoredSession({
        profileName: "p",
        client: {
          clientType: "oidc_device_code",
          clientId: "c",
          authServer: "https://auth.example.test",
          audiences: [],
          scopes: [],
        },
        writesClient: "always",
        open: () => Promise.resolve({ storage, kind: "custom", reason: "test", durable: true }),
        clock,
      }),
      {
        server: () => Promise.resolve({ ...UNUSED, refresh: server.refresh }),
        waitUntil: (work: Promise<unknown>) => void behind.push(work),
      },
    ));
  /** What each keeper handed out last, and after which sign-in or sign-out that was. */
  const handedOut = all.map(() => 0);
  const signedOut = all.map(() => false);
  let epoch = 0;
  let changing = 0;
  let hasSession = false;

  const check = (what: string, keeper: number, header: string, before: number, began: number) => {
    const serial = Number(/~a(\d+)~/.exec(header)?.[1]);
    assert(serial > 0, `${what} gave "${header}"`);
    if (began !== epoch) return;
    assert(serial >= before, `${what}: token ${serial} after ${before}`);
    handedOut[keeper] = Math.max(handedOut[keeper]!, serial);
  };

  const call = async ({ keeper: wanted, what }: Call): Promise<void> => {
    const index = wanted % keepers;
    const keeper = all[index]!;
    // A call during a sign-in or sign-out may see what was before it or after.
    const began = changing > 0 ? Number.NaN : epoch;
    const [before, isOut] = [handedOut[index]!, signedOut[index]!];
    try {
      switch (what) {
        case "access": {
          const header = await keeper.authorization();
          assert(!isOut || began !== epoch, "a token after signing out");
          return check(what, index, header, before, began);
        }
        case "refused": {
          const rejected = await keeper.authorization();
          const other = await keeper.replace(rejected);
          assert(other !== rejected, "the refused token again");
          if (other !== undefined) check(what, index, other, before, began);
          return;
        }
        case "force":
          return await keeper.forceRefresh();
        case "ensure":
          return await keeper.ensure();
        case "known": {
          const { state } = await keeper.known();
          assert(!isOut || began !== epoch || state === "none", `${state} after signing out`);
          return;
        }
        case "signIn":
          epoch++;
          changing++;
          try {
            await keeper.signIn(server.signIn());
          } finally {
            epoch++;
            changing--;
            hasSession = true;
            signedOut.fill(false);
          }
          return;
        case "forget":
          epoch++;
          changing++;
          try {
            await keeper.logout();
          } finally {
            epoch++;
            changing--;
          }
          hasSession = false;
          // Others hand their token out as long as it lives.
          signedOut[index] = true;
      }
    } catch (error) {
      assert(error instanceof AuthError && TYPED.includes(error.code), `${what}: ${error}`);
    }
  };

  const quiet = async () => {
    while (behind.length > 0) await Promise.allSettled(behind.splice(0));
  };

  /** With nobody at work: what is stored is alive, unless the server has ended it. */
  const checkStored = async (where: string) => {
    assertEquals(server.faults, [], where);
    const stored = await storage.load(KEY);
    // Tokens that could not be stored are kept for the next renewal.
    if (storage.unsaved) return;
    if (!hasSession) return assertEquals(stored, undefined, where);
    const token = String(stored?.refresh_token);
    const signIn = server.of.get(token);
    assert(signIn !== undefined, `${where}: no refresh token is stored`);
    const isOver = server.lost.has(signIn) || server.good[signIn] === undefined;
    assert(isOver || server.good[signIn] === token, `${where}: a living refresh token is lost`);
  };

  hasSession = true;
  await all[0]!.signIn(server.signIn());
  for (const { between, calls } of steps) {
    switch (between.what) {
      case "time":
        clock.advance(between.seconds * 1000);
        break;
      case "server":
        server.mode = between.mode;
        break;
      case "disk full":
        // With two, the other one cannot know of tokens that were never stored.
        if (keepers === 1) storage.full = between.times;
        break;
      case "ended":
        server.good.fill(undefined);
        break;
      case "sibling": {
        const stored = storage.full === 0 && !storage.unsaved ? await storage.load(KEY) : undefined;
        const rotated = stored && server.sibling(TokenSet.fromStored(stored, clock.now(), KEY));
        if (rotated !== undefined) await storage.save(KEY, rotated.toStored());
        break;
      }
    }
    // Signing in and out at once may end either way.
    const ends = calls.filter(({ what }) => what === "signIn" || what === "forget");
    const kept = calls.filter((one) => !ends.includes(one) || one === ends[0]);
    await Promise.all(kept.map(call));
    await quiet();
    await checkStored(JSON.stringify(between));
  }

  // In the end, with everything well again, a session that lives can be used.
  storage.full = 0;
  server.mode = "good";
  clock.advance(30 * 86_400_000);
  const outcome = await Promise.resolve(all[0]!.authorization()).then(() => "a token", (error) => {
    assert(error instanceof AuthError && TYPED.includes(error.code), `${error}`);
    return error.code;
  });
  await quiet();
  await checkStored("at the end");
  const stored = await storage.load(KEY);
  const signIn = server.of.get(String(stored?.refresh_token));
  const isOver = signIn === undefined || server.lost.has(signIn) ||
    server.good[signIn] === undefined;
  if (!hasSession) assertEquals(outcome, "login_required");
  else assertEquals(outcome, isOver ? "session_expired" : "a token");
}

/** The property: {@linkcode runCase} finds nothing. */
export function keeperProperty(): Property {
  const call = fc.record<Call>({
    keeper: fc.integer({ min: 0, max: 1 }),
    what: fc.constantFrom<Call["what"]>(
      "access",
      "access",
      "access",
      "refused",
      "force",
      "known",
      "ensure",
      "signIn",
      "forget",
    ),
  });
  const between = fc.oneof(
    fc.record<Between>({
      what: fc.constant("time"),
      seconds: fc.constantFrom(0, 1, 30, 76, 76, 101, 101, 1000, 86_400, -50, -86_400),
    } as never),
    fc.record<Between>({
      what: fc.constant("server"),
      mode: fc.constantFrom<Mode>("good", "good", "unreached", "lost", "failing", "throttling"),
    } as never),
    fc.record<Between>(
      { what: fc.constant("disk full"), times: fc.integer({ min: 0, max: 3 }) } as never,
    ),
    fc.constantFrom<Between>({ what: "sibling" }, { what: "ended" }, { what: "sibling" }),
  );
  const steps = fc.array(
    fc.record({ between, calls: fc.array(call, { minLength: 1, maxLength: 5 }) }),
    { maxLength: 12 },
  );
  const whole = fc.record<Case>({
    seed: fc.integer(),
    keepers: fc.integer({ min: 1, max: 2 }),
    rotate: fc.boolean(),
    steps,
  });
  return fc.asyncProperty(whole, runCase);
}
