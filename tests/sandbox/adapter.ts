/**
 * Where the sandbox's authorization servers keep their state: a map in memory.
 *
 * Unlike the one that oidc-provider brings along it forgets nothing under load,
 * and notices a refresh token that is spent twice at the very same time.
 *
 * @module
 */

/** What oidc-provider stores. */
export interface Payload {
  /** Grant that it belongs to. */
  grantId?: string;
  /** When it was spent, in epoch seconds. */
  consumed?: number;
  /** Session that it stands for. */
  uid?: string;
  /** User code of a device grant. */
  userCode?: string;
  /** Kind of artifact. */
  kind?: string;
}

/** What the adapter asks of its server. */
export interface AdapterHooks {
  /** Whether the tokens of a grant may be revoked now. */
  mayRevoke(): boolean;
  /** Told of a refresh token that was spent twice at once; returns the error to throw. */
  onSpentTwice(grantId: string | undefined): Error;
}

/** The part of oidc-provider's adapter contract that it uses here. */
export interface Adapter {
  /** Stores. */
  upsert(id: string, payload: Payload): Promise<void>;
  /** Reads. */
  find(id: string): Promise<Payload | undefined>;
  /** Reads a session. */
  findByUid(uid: string): Promise<Payload | undefined>;
  /** Reads a device grant. */
  findByUserCode(userCode: string): Promise<Payload | undefined>;
  /** Marks as spent. */
  consume(id: string): Promise<void>;
  /** Removes. */
  destroy(id: string): Promise<void>;
  /** Removes all of this kind that belong to a grant. */
  revokeByGrantId(grantId: string): Promise<void>;
}

/** State of one authorization server. */
export class AdapterState {
  readonly #models = new Map<string, Map<string, Payload>>();
  readonly #hooks: AdapterHooks;

  /** Starts empty. */
  constructor(hooks: AdapterHooks) {
    this.#hooks = hooks;
  }

  /** Forgets every grant and all that hangs on it: every signed-in session is dead. */
  forgetGrants(): void {
    for (const model of ["AccessToken", "RefreshToken", "AuthorizationCode", "Grant"]) {
      this.#models.get(model)?.clear();
    }
  }

  /** How many refresh tokens could still be spent. */
  get liveRefreshTokens(): number {
    const all = [...this.#models.get("RefreshToken")?.values() ?? []];
    const grants = this.#models.get("Grant");
    return all.filter(({ consumed, grantId = "" }) =>
      consumed === undefined && grants?.has(grantId) === true
    ).length;
  }

  /** Removes every token of one grant. */
  revoke(grantId: string): void {
    for (const model of ["AccessToken", "RefreshToken", "AuthorizationCode", "DeviceCode"]) {
      const entries = this.#models.get(model);
      for (const [id, payload] of entries ?? []) {
        if (payload.grantId === grantId) entries!.delete(id);
      }
    }
    this.#models.get("Grant")?.delete(grantId);
  }

  /** The adapter of one kind of artifact. */
  adapter(model: string): Adapter {
    const entries = this.#models.get(model) ?? new Map<string, Payload>();
    this.#models.set(model, entries);
    const hooks = this.#hooks;
    const where = (test: (payload: Payload) => boolean) =>
      Promise.resolve([...entries.values()].find(test));
    return {
      upsert(id: string, payload: Payload): Promise<void> {
        entries.set(id, payload);
        return Promise.resolve();
      },
      find: (id: string) => Promise.resolve(entries.get(id)),
      findByUid: (uid: string) => where((payload) => payload.uid === uid),
      findByUserCode: (userCode: string) => where((payload) => payload.userCode === userCode),
      consume(id: string): Promise<void> {
        const payload = entries.get(id);
        if (payload === undefined) return Promise.resolve();
        if (model === "RefreshToken" && payload.consumed !== undefined) {
          return Promise.reject(hooks.onSpentTwice(payload.grantId));
        }
        payload.consumed = Math.floor(Date.now() / 1000);
        return Promise.resolve();
      },
      destroy(id: string): Promise<void> {
        entries.delete(id);
        return Promise.resolve();
      },
      revokeByGrantId(grantId: string): Promise<void> {
        if (!hooks.mayRevoke()) return Promise.resolve();
        for (const [id, payload] of entries) if (payload.grantId === grantId) entries.delete(id);
        return Promise.resolve();
      },
    };
  }
}
