/**
 * The sandbox's authorization servers: `npm:oidc-provider`, set up like Planet's.
 *
 * Both issue JWT access tokens for the `audience` asked for. The one for people
 * knows a public native client with authorization code, device code and rotating
 * refresh tokens; the one for service accounts a confidential client.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { AdapterState } from "./adapter.ts";

/** Answers requests that were read already. */
export type ProviderHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** A provider, as far as it is used here. */
interface Provider {
  callback(): ProviderHandler;
  on(event: string, listener: (...values: unknown[]) => void): void;
  use(middleware: (ctx: KoaContext, next: () => Promise<void>) => Promise<void>): void;
}

interface KoaContext {
  body?: unknown;
  type?: string;
  oidc?: {
    route?: string;
    body?: Record<string, unknown>;
    params?: Record<string, unknown>;
  };
}

interface ProviderModule {
  default: {
    new (issuer: string, configuration: unknown): Provider;
    readonly ctx: KoaContext | undefined;
  };
  errors: { InvalidGrant: new (detail: string) => Error };
}

/** What may change while the servers run. */
export interface AuthorizationServerSettings {
  /** Life of an access token in seconds; read for each token. */
  accessTokenSeconds: number;
  /** Life of a refresh token in seconds; read for each token. */
  refreshTokenSeconds: number;
  /** Life of a device code in seconds; read for each code. */
  deviceCodeSeconds: number;
  /** `interval` of the device authorization response; `undefined` leaves it out. */
  deviceInterval: number | undefined;
  /** Whether a refresh answers with a new refresh token and makes the old one void. */
  rotate: boolean;
  /** Whether a refresh token that is spent twice ends the whole sign-in. */
  killFamilyOnReuse: boolean;
}

/** What the servers count. */
export interface AuthorizationServerCounters {
  /** Refresh tokens that were spent more than once. */
  reuseDetections: number;
  /** Sign-ins that were revoked, for reuse or on request. */
  revokedGrants: number;
}

/** What one server is made of. */
export interface AuthorizationServerOptions {
  /** Issuer identifier. */
  readonly issuer: string;
  /** Clients as in dynamic registration (RFC 7591 §2). */
  readonly clients: readonly Record<string, unknown>[];
  /** Private key that signs, as a JWK. */
  readonly key: JsonWebKey;
  /** What may change. */
  readonly settings: AuthorizationServerSettings;
  /** What is counted. */
  readonly counters: AuthorizationServerCounters;
}

/** Key identifier of the sandbox's one signing key. */
export const KEY_ID = "sandbox-1";

/** One authorization server. */
export interface AuthorizationServer {
  /** Answers its requests. */
  readonly handle: ProviderHandler;
  /** Its state. */
  readonly state: AdapterState;
}

/** Loads oidc-provider without its notices about development set-ups. */
async function loadProvider<T>(use: (module: ProviderModule) => T): Promise<T> {
  const { info, warn } = console;
  const quiet = (log: typeof info) => (...values: unknown[]) => {
    if (!String(values[0]).includes("oidc-provider ")) log(...values);
  };
  console.info = quiet(info);
  console.warn = quiet(warn);
  try {
    return use(await import("oidc-provider") as unknown as ProviderModule);
  } finally {
    console.info = info;
    console.warn = warn;
  }
}

/** Makes an authorization server; it listens nowhere by itself. */
export async function authorizationServer(
  { clients, counters, issuer, key, settings }: AuthorizationServerOptions,
): Promise<AuthorizationServer> {
  return await loadProvider(({ default: Provider, errors }) => {
    const mayRevoke = () => settings.killFamilyOnReuse || Provider.ctx?.oidc?.route !== "token";
    const revoked = new Set<string>();
    const countRevoked = (grantId: string) => {
      if (!revoked.has(grantId)) counters.revokedGrants++;
      revoked.add(grantId);
    };
    const state = new AdapterState({
      mayRevoke,
      onSpentTwice(grantId: string | undefined): Error {
        if (settings.killFamilyOnReuse && grantId !== undefined) {
          state.revoke(grantId);
          countRevoked(grantId);
        }
        return new errors.InvalidGrant("refresh token already used");
      },
    });
    const seconds = (read: () => number) => () => read();
    const day = 86_400;
    const provider = new Provider(issuer, {
      adapter: (model: string) => state.adapter(model),
      // Its public half is published with the same members, and is not for signing.
      jwks: { keys: [{ ...key, key_ops: undefined, kid: KEY_ID, alg: "RS256", use: "sig" }] },
      cookies: { keys: ["sandbox-only"] },
      clients,
      scopes: ["openid", "offline_access", "profile", "email", "planet"],
      claims: {
        openid: ["sub"],
        profile: ["name"],
        email: ["email", "email_verified"],
      },
      pkce: { required: () => true },
      rotateRefreshToken: () => settings.rotate,
      revokeGrantPolicy: mayRevoke,
      issueRefreshToken: (
        _ctx: unknown,
        client: { grantTypeAllowed(type: string): boolean },
        source: { scopes: Set<string> },
      ) => client.grantTypeAllowed("refresh_token") && source.scopes.has("offline_access"),
      expiresWithSession: () => false,
      extraParams: ["audience"],
      ttl: {
        AccessToken: seconds(() => settings.accessTokenSeconds),
        ClientCredentials: seconds(() => settings.accessTokenSeconds),
        RefreshToken: seconds(() => settings.refreshTokenSeconds),
        DeviceCode: seconds(() => settings.deviceCodeSeconds),
        AuthorizationCode: 60,
        IdToken: 3600,
        Interaction: 3600,
        Session: 14 * day,
        Grant: 365 * day,
      },
      findAccount: (_ctx: unknown, id: string) => ({
        accountId: id,
        claims: () =>
          Promise.resolve({
            sub: id,
            name: id,
            email: `${id}@example.test`,
            email_verified: true,
          }),
      }),
      features: {
        devInteractions: { enabled: true },
        deviceFlow: {
          enabled: true,
          mask: "****-****",
          userCodeInputSource: (ctx: KoaContext, form: string) =>
            page(ctx, "Device sign-in", `${form}<button form="op.deviceInputForm">Next</button>`),
          userCodeConfirmSource: (
            ctx: KoaContext,
            form: string,
            _client: unknown,
            _device: unknown,
            userCode: string,
          ) =>
            page(
              ctx,
              "Confirm device",
              `<p>${userCode}</p>${form}<button form="op.deviceConfirmForm">Confirm</button>`,
            ),
          successSource: (ctx: KoaContext) =>
            page(ctx, "Signed in", "<p>You may close this page.</p>"),
        },
        clientCredentials: { enabled: true },
        revocation: { enabled: true, allowedPolicy: () => true },
        introspection: { enabled: true, allowedPolicy: () => true },
        userinfo: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: (ctx: KoaContext) =>
            ctx.oidc?.body?.audience ?? ctx.oidc?.params?.audience ?? undefined,
          useGrantedResource: () => true,
          getResourceServerInfo: (_ctx: unknown, audience: string) => ({
            scope: "planet",
            audience,
            accessTokenFormat: "jwt",
            accessTokenTTL: settings.accessTokenSeconds,
            jwt: { sign: { alg: "RS256" } },
          }),
        },
      },
    });
    provider.use(async (ctx, next) => {
      await next();
      // The Planet SDK for Python takes no other type.
      if (ctx.oidc?.route === "jwks") ctx.type = "application/json";
      if (
        ctx.oidc?.route === "device_authorization" && settings.deviceInterval !== undefined &&
        typeof ctx.body === "object" && ctx.body !== null && "device_code" in ctx.body
      ) {
        ctx.body = { ...ctx.body, interval: settings.deviceInterval };
      }
    });
    provider.on("grant.revoked", (_ctx, grantId) => countRevoked(String(grantId)));
    provider.on("grant.error", (_ctx, error) => {
      const detail = (error as { error_detail?: string }).error_detail;
      if (detail === "refresh token already used") counters.reuseDetections++;
    });
    return { handle: provider.callback(), state };
  });
}

/** Answers with a page. */
function page(ctx: KoaContext, title: string, content: string): void {
  ctx.body = `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>${title}</title>` +
    `<h1>${title}</h1>${content}</html>`;
}
