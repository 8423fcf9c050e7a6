/**
 * What is known of one authorization server: its endpoints and what it can do
 * (RFC 8414, OpenID Connect Discovery).
 *
 * What is given counts first, then what this or another process has found out
 * and kept, then the server's own document. Sends nothing itself.
 *
 * @module
 */

import * as oauth from "oauth4webapi";
import { abandonable, type Clock } from "../runtime.ts";
import { AuthError } from "../errors.ts";
import type { JsonObject } from "../storage/objects.ts";
import { malformed } from "./errors.ts";
import { asResponse } from "./transport.ts";

/** How long what was found out about a server is used, in milliseconds: a day. */
const METADATA_LIFE_MS = 86_400_000;

/** Endpoints by their names in a server's metadata (RFC 8414 §2). */
export type Endpoints = {
  readonly [
    name in
      | "authorization_endpoint"
      | "device_authorization_endpoint"
      | "introspection_endpoint"
      | "jwks_uri"
      | "revocation_endpoint"
      | "token_endpoint"
      | "userinfo_endpoint"
  ]?: string;
};

/** Keeps one object; what fails counts as nothing kept. */
export interface MetadataStore {
  /** Reads the object; `undefined` where there is none. */
  load(): Promise<JsonObject | undefined>;
  /** Replaces the object. */
  save(value: JsonObject): Promise<void>;
}

/** Which server it is, and what is known of it already. */
export interface ServerOptions {
  /** Issuer of the authorization server (RFC 8414 §2), where it is found. */
  readonly issuer: string;
  /** What the server calls itself, where that differs from `issuer`. */
  readonly expectedIssuer?: string;
  /** Endpoints that are known, and need not be found. */
  readonly endpoints?: Endpoints;
  /** Keeps what was found out about the server, so that other processes need not ask. */
  readonly metadata?: MetadataStore;
  /** Time. */
  readonly clock: Clock;
}

/** What is known of one authorization server. */
export class ServerMetadata {
  readonly #options: ServerOptions;
  readonly #fetchDocument: (tries?: number) => Promise<JsonObject | undefined>;
  #server: Promise<oauth.AuthorizationServer> | undefined;
  /** When what is known was found, in epoch milliseconds. */
  #foundAtMs = 0;
  /** Whether what is kept may be used; not after it failed. */
  #trustsKept = true;
  /** What the server itself said, rather than what was kept. */
  readonly #fetched: WeakSet<oauth.AuthorizationServer> = new WeakSet();
  /** What the server said for the very call that uses it. */
  readonly #justFetched: WeakSet<oauth.AuthorizationServer> = new WeakSet();
  #rereading: Promise<oauth.AuthorizationServer> | undefined;

  /** Knows what `options` say; `fetchDocument` asks the server for the rest, when it is needed. */
  constructor(
    options: ServerOptions,
    fetchDocument: (tries?: number) => Promise<JsonObject | undefined>,
  ) {
    this.#options = options;
    this.#fetchDocument = fetchDocument;
  }

  /** The server, as far as `needs` go: it is asked only for what is not known already. */
  async about(
    needs: readonly (keyof Endpoints)[],
    signal?: AbortSignal,
  ): Promise<oauth.AuthorizationServer> {
    const { endpoints = {}, expectedIssuer, issuer } = this.#options;
    if (needs.every((name) => endpoints[name] !== undefined)) {
      return { issuer: expectedIssuer ?? issuer, ...endpoints };
    }
    const wasKnown = this.#server !== undefined;
    const found = await this.discover(signal);
    const server = { ...found, ...endpoints };
    if (!wasKnown && this.#fetched.has(found)) this.#justFetched.add(server);
    return server;
  }

  /**
   * The server by its own word of now, where that has another address for `name` than `server`,
   * at which nothing answered; `undefined` where it has not, or cannot be asked.
   */
  async moved(
    server: oauth.AuthorizationServer,
    name: keyof Endpoints,
    signal?: AbortSignal,
  ): Promise<oauth.AuthorizationServer | undefined> {
    const { endpoints = {} } = this.#options;
    if (endpoints[name] !== undefined || this.#justFetched.has(server)) return undefined;
    const reading = this.#rereading ??= this.#reread().finally(() => this.#rereading = undefined);
    const now = await abandonable(reading.catch(() => undefined), signal);
    if (now?.[name] === undefined || now[name] === server[name]) return undefined;
    return { ...now, ...endpoints };
  }

  async #reread(): Promise<oauth.AuthorizationServer> {
    // A caller waits, and has an error already.
    const server = await this.#fetchMetadata(1);
    this.#server = Promise.resolve(server);
    return server;
  }

  /**
   * Finds the endpoints once a day; a failed look-up is not kept, an aborted caller does not stop
   * it.
   */
  discover(signal?: AbortSignal): Promise<oauth.AuthorizationServer> {
    const before = this.#server;
    if (before === undefined) {
      this.#server = this.#findServer().catch((error) => {
        this.#server = undefined;
        throw error;
      });
    } else if (!this.#isFresh(this.#foundAtMs)) {
      // What is old will do where there is nothing newer to be had.
      this.#foundAtMs = this.#options.clock.now();
      this.#server = this.#findServer().catch(() => before);
    }
    return abandonable(this.#server!, signal);
  }

  #isFresh(sinceMs: number): boolean {
    const age = this.#options.clock.now() - sinceMs;
    return age >= 0 && age < METADATA_LIFE_MS;
  }

  async #findServer(): Promise<oauth.AuthorizationServer> {
    this.#foundAtMs = this.#options.clock.now();
    return await this.#keptServer() ?? await this.#fetchMetadata();
  }

  /** What was found out before, by this process or another, where it is fresh and of this issuer. */
  async #keptServer(): Promise<oauth.AuthorizationServer | undefined> {
    const { issuer, metadata } = this.#options;
    if (metadata === undefined || !this.#trustsKept) return undefined;
    const kept = await metadata.load().catch(() => undefined);
    const readAtMs = Number(kept?.read_at) * 1000;
    const { document } = kept ?? {};
    if (kept?.read_from !== issuer || !this.#isFresh(readAtMs)) return undefined;
    if (typeof document !== "object" || document === null || Array.isArray(document)) {
      return undefined;
    }
    // The same check as of a document that has just come.
    const server = await oauth.processDiscoveryResponse(
      this.#expectedIssuer(),
      asResponse(document),
    ).catch(() => undefined);
    if (server !== undefined) this.#foundAtMs = readAtMs;
    return server;
  }

  /** Makes the next look-up ask the server, because what was kept may be out of date. */
  distrust(failure: unknown): void {
    // A server that answers as the standard has it is the one that was found.
    if (!(failure instanceof AuthError) || failure.oauthError !== undefined) return;
    if (failure.retryAt !== undefined || this.#options.metadata === undefined) return;
    this.#trustsKept = false;
    this.#server = undefined;
  }

  #expectedIssuer(): URL {
    return new URL(this.#options.expectedIssuer ?? this.#options.issuer);
  }

  async #fetchMetadata(tries?: number): Promise<oauth.AuthorizationServer> {
    const issuer = new URL(this.#options.issuer);
    const expected = this.#expectedIssuer();
    const what = "the discovery document";
    const json = await this.#fetchDocument(tries);
    if (json === undefined) throw malformed(what, new Error("no JSON object"));
    let server: oauth.AuthorizationServer;
    try {
      server = await oauth.processDiscoveryResponse(expected, asResponse(json));
    } catch (error) {
      if (typeof json.issuer === "string" && json.issuer !== expected.href) {
        throw new AuthError(
          "issuer_mismatch",
          `Check the address of the authorization server: what is at ${issuer.origin} calls itself by another issuer (RFC 8414 §3.3).`,
        );
      }
      throw malformed(what, error);
    }
    const { clock, metadata } = this.#options;
    const read_at = Math.floor(clock.now() / 1000);
    const kept: JsonObject = { read_at, read_from: this.#options.issuer, document: json };
    // Keeping it is a courtesy to others; who cannot goes on without.
    await metadata?.save(kept).catch(() => {});
    this.#foundAtMs = clock.now();
    this.#fetched.add(server);
    return server;
  }
}
