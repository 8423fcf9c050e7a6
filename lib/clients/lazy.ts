/**
 * Stands in for the clients of Planet's APIs until they are first used: the classes of this
 * folder are loaded then, not when a program starts.
 *
 * @module
 */

import type { SessionLike } from "../http/requester.ts";
import type { ClientOptions, DataAPI } from "./data.ts";

/** A class of clients. */
export type ClientClass<Client> = new (session: SessionLike, options?: ClientOptions) => Client;

/** The methods of a client: those that return a list, page by page, and those that wait. */
type Methods<Client> = {
  readonly [Name in keyof Client]: Client[Name] extends (...args: never) => AsyncIterable<unknown>
    ? "list"
    : "call";
};

/** Makes a class with the same methods as one that is loaded when the first of them is called. */
function lazily<Client extends object>(
  load: () => Promise<ClientClass<Client>>,
  methods: Methods<Client>,
): ClientClass<Client> {
  type Method = (...args: unknown[]) => unknown;
  class Lazy {
    readonly #open: () => Promise<Record<string, Method>>;
    constructor(session: SessionLike, options?: ClientOptions) {
      let opened: Promise<Record<string, Method>> | undefined;
      this.#open = () =>
        opened ??= load().then((Class) => new Class(session, options) as Record<string, Method>);
    }
    static async call(self: Lazy, name: string, args: unknown[]): Promise<unknown> {
      return await (await self.#open())[name]!(...args);
    }
  }
  for (const [name, kind] of Object.entries(methods)) {
    const value = kind === "call"
      ? function (this: Lazy, ...args: unknown[]) {
        return Lazy.call(this, name, args);
      }
      : async function* (this: Lazy, ...args: unknown[]) {
        yield* await Lazy.call(this, name, args) as AsyncIterable<unknown>;
      };
    Object.defineProperty(Lazy.prototype, name, { value, configurable: true, writable: true });
  }
  return Lazy as unknown as ClientClass<Client>;
}

/** A client of the Data API; see {@linkcode DataAPI}. */
export type DataClient = DataAPI;

/** Makes a client of the Data API, which is loaded at its first call. */
export const DataClient: ClientClass<DataAPI> = lazily(
  async () => (await import("./data.ts")).DataAPI,
  {
    createSearch: "call",
    deleteSearch: "call",
    getItem: "call",
    getSearch: "call",
    listSearches: "list",
    runSearch: "list",
    search: "list",
    updateSearch: "call",
  },
);
