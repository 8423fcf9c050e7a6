/**
 * How a client proves to the authorization server who it is (RFC 6749 §2.3, RFC 7523 §2.2).
 *
 * One way for every request of a client: the one that it was told, or the first that the server
 * offers (`token_endpoint_auth_methods_supported`, RFC 8414 §2). A server may offer more ways than
 * the client is registered for, so a client whose secret is refused tries the other place for it,
 * once, and stays with what worked. In the header a secret is as it is, as in Python's SDK; one that
 * servers read differently is form-encoded (RFC 6749 §2.3.1) if that is the second try.
 *
 * Private keys are read by the platform: WebCrypto, and `node:crypto` for other forms than plain
 * PKCS#8. No part of a key or password gets into an error.
 *
 * @module
 */

import * as oauth from "oauth4webapi";
import { AuthError } from "../errors.ts";
import { builtinModule } from "../runtime.ts";

/** A private key as it is kept. */
export interface PrivateKeyPem {
  /** PEM text. */
  readonly pem: string;
  /** Password, if it is encrypted. */
  readonly password?: string;
  /** What a message calls it. */
  readonly name: string;
}

/** A way to prove who the client is, by its registered name (RFC 7591 §2, OpenID Connect Core §9). */
export type AuthMethod = "client_secret_basic" | "client_secret_post" | "none" | "private_key_jwt";

/** What a client proves itself with; a public client has neither secret nor key. */
export interface ClientProof {
  /** Secret (RFC 6749 §2.3.1). */
  readonly clientSecret?: string;
  /** Loads the private key (RFC 7523 §2.2). */
  readonly privateKey?: () => Promise<PrivateKeyPem>;
  /** The way, if the server offers more than the client is registered for; no other is tried then. */
  readonly authMethod?: AuthMethod;
  /** Whether the client is a service account, whose secret Python's SDK sends in the body; default: once it signs in as itself. */
  readonly isServiceAccount?: boolean;
}

/** The proof of one call. */
export interface Proof {
  /** Adds to a request what proves the client. */
  readonly add: oauth.ClientAuth;
  /** Is told why a request failed; `true`: the client can prove itself in another way now. */
  readonly refused: (failure: unknown) => boolean;
}

/** How long an assertion is good, in seconds. */
const ASSERTION_LIFE = 300;

/**
 * Characters that a server which form-decodes the header (RFC 6749 §2.3.1) and
 * one which does not read alike.
 */
const UNAMBIGUOUS = /^[\x20-\x24\x26-\x2a\x2c-\x7e]*$/;

function readsAlike(clientId: string, secret: string): boolean {
  return UNAMBIGUOUS.test(clientId) && !clientId.includes(":") && UNAMBIGUOUS.test(secret);
}

/** ID and secret for the header: as they are, as Python's SDK has it, or form-encoded (RFC 6749 §2.3.1). */
function basic(clientId: string, secret: string, isEncoded: boolean): string {
  const shown = (text: string) =>
    isEncoded ? new URLSearchParams({ "": text }).toString().slice(1) : text;
  const bytes = new TextEncoder().encode(`${shown(clientId)}:${shown(secret)}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}

/** The two places for a secret that a server offers; none: it does not say. */
function placesOffered(server: oauth.AuthorizationServer): readonly string[] {
  const methods: unknown = server.token_endpoint_auth_methods_supported;
  const places = ["client_secret_basic", "client_secret_post"];
  return Array.isArray(methods) ? places.filter((place) => methods.includes(place)) : [];
}

function otherPlace(place: AuthMethod): AuthMethod {
  return place === "client_secret_basic" ? "client_secret_post" : "client_secret_basic";
}

/** Proves one client to one server. */
export class ClientAuthentication {
  readonly #clientId: string;
  readonly #proof: ClientProof;
  readonly #now: () => number;
  #isServiceAccount: boolean;
  /** The place for the secret that worked after the first was refused. */
  #place: AuthMethod | undefined;
  #hasTriedOther = false;
  /** Whether the header has the secret form-encoded: only after it was refused as it is, or in the body. */
  #isEncoded = false;
  #key: Promise<CryptoKey> | undefined;

  /**
   * Uses `proof`, and the time in epoch milliseconds that `now` tells; nothing is loaded yet.
   *
   * @throws {AuthError} `invalid_argument` if the proof cannot be given in the way that it names.
   */
  constructor(clientId: string, proof: ClientProof, now: () => number) {
    const { authMethod = "none", clientSecret, privateKey } = proof;
    const lacks = authMethod === "private_key_jwt"
      ? privateKey === undefined && "private key"
      : authMethod !== "none" && clientSecret === undefined && "client secret";
    if (lacks) {
      const found = `Give the client what ${authMethod} needs: it has no ${lacks}.`;
      throw new AuthError("invalid_argument", found);
    }
    this.#clientId = clientId;
    this.#proof = proof;
    this.#now = now;
    this.#isServiceAccount = proof.isServiceAccount === true;
  }

  /** Is told that the client signs in as itself. */
  becomesServiceAccount(): void {
    this.#isServiceAccount = true;
  }

  /** The proof of one call; that call may be proved in another way once. */
  forCall(): Proof {
    let used: { method: AuthMethod; isEncoded: boolean } | undefined;
    let asked: oauth.AuthorizationServer;
    let hasChanged = false;
    return {
      add: async (server, client, body, headers) => {
        asked = server;
        used = { method: this.#method(server), isEncoded: this.#isEncoded };
        await this.#add(used.method, server, client, body, headers);
      },
      refused: (failure) => {
        const isRefusal = failure instanceof AuthError && failure.oauthError === "invalid_client";
        if (!isRefusal || !used?.method.startsWith("client_secret")) return false;
        // Neither is right: the next call begins with the first again.
        if (hasChanged) {
          this.#place = undefined;
          this.#isEncoded = false;
        }
        const isWorthIt = !hasChanged && this.#changesPlace(used.method, used.isEncoded, asked);
        hasChanged = true;
        return isWorthIt;
      },
    };
  }

  #method(server: oauth.AuthorizationServer): AuthMethod {
    const { authMethod, clientSecret, privateKey } = this.#proof;
    if (authMethod !== undefined) return authMethod;
    if (privateKey !== undefined) return "private_key_jwt";
    if (clientSecret === undefined) return "none";
    if (this.#place !== undefined) return this.#place;
    const offered = placesOffered(server);
    const prefersPost = this.#isServiceAccount ||
      offered.length > 0 && !readsAlike(this.#clientId, clientSecret);
    const preferred = prefersPost ? "client_secret_post" : "client_secret_basic";
    return offered.length === 0 || offered.includes(preferred) ? preferred : otherPlace(preferred);
  }

  /** Changes the place for the secret after it was refused in another; `false`: it has no other. */
  #changesPlace(
    refused: AuthMethod,
    wasEncoded: boolean,
    server: oauth.AuthorizationServer,
  ): boolean {
    // Another call has found out meanwhile.
    if (this.#method(server) !== refused || this.#isEncoded !== wasEncoded) return true;
    const { authMethod, clientSecret = "" } = this.#proof;
    if (this.#hasTriedOther || authMethod !== undefined) return false;
    const isOffered = placesOffered(server).includes(otherPlace(refused));
    const other = isOffered ? otherPlace(refused) : refused;
    const isAmbiguous = !readsAlike(this.#clientId, clientSecret);
    this.#isEncoded = isAmbiguous && other === "client_secret_basic";
    if (other === refused && !this.#isEncoded) return false;
    this.#hasTriedOther = true;
    this.#place = other;
    return true;
  }

  async #add(
    method: AuthMethod,
    ...[server, client, body, headers]: Parameters<oauth.ClientAuth>
  ): Promise<void> {
    const { client_id } = client;
    if (method === "client_secret_basic") {
      return headers.set(
        "authorization",
        basic(client_id, this.#proof.clientSecret!, this.#isEncoded),
      );
    }
    body.set("client_id", client_id);
    if (method === "client_secret_post") body.set("client_secret", this.#proof.clientSecret!);
    if (method === "private_key_jwt") await this.#sign(server, client, body, headers);
  }

  /**
   * Adds an assertion. Its audience is the token endpoint, whatever endpoint is asked: RFC 7523 §3
   * names it, Python's SDK gives it, and servers take it at all of their endpoints.
   */
  async #sign(...[server, client, body, headers]: Parameters<oauth.ClientAuth>): Promise<void> {
    const accepted = server.token_endpoint_auth_signing_alg_values_supported ?? [];
    const key = await (this.#key ??= this.#loadKey(accepted).catch((error) => {
      this.#key = undefined;
      throw error;
    }));
    const iat = Math.floor(this.#now() / 1000);
    const sign = oauth.PrivateKeyJwt(key, {
      [oauth.modifyAssertion]: (header, payload) => {
        header.typ = "JWT";
        // The name that came before RFC 9864 is known to more servers.
        if (header.alg === "Ed25519" && !accepted.includes("Ed25519")) header.alg = "EdDSA";
        delete payload.nbf;
        const aud = server.token_endpoint ?? server.issuer;
        Object.assign(payload, { aud, iat, exp: iat + ASSERTION_LIFE });
      },
    });
    await sign(server, client, body, headers);
  }

  async #loadKey(accepted: readonly string[]): Promise<CryptoKey> {
    return await importPrivateKey(await this.#proof.privateKey!(), accepted);
  }
}

/** The calls of `node:crypto` that are used here. */
interface NodeCrypto {
  readonly createPrivateKey: (source: { key: string; passphrase?: string }) => {
    export(form: { type: "pkcs8"; format: "der" }): Uint8Array<ArrayBuffer>;
  };
}

/** Algorithms for an RSA key; the first one that the server takes, and Python's if it does not say. */
const RSA_ALGORITHMS: readonly string[] = ["RS256", "PS256", "RS384", "PS384", "RS512", "PS512"];

function bad(name: string, found: string): AuthError {
  return new AuthError("invalid_argument", `Check ${name}: ${found}.`);
}

function convert(more = ""): string {
  return `"openssl pkcs8 -topk8 ${more}-in OLD -out NEW" brings it to a form that is known`;
}

/** Brings a private key to PKCS#8 in binary, not encrypted. */
function toPkcs8({ name, password, pem }: PrivateKeyPem): Uint8Array<ArrayBuffer> {
  const block =
    /-----BEGIN ((?:ENCRYPTED |RSA |EC |OPENSSH |DSA )?)PRIVATE KEY-----([\s\S]+?)-----END \1PRIVATE KEY-----/
      .exec(pem);
  if (block === null) throw bad(name, "it holds no private key as PEM");
  const [key, form = "", body = ""] = block;
  if (/OPENSSH|DSA/.test(form)) throw bad(name, `it is an ${form}key; ${convert()}`);
  if (body.includes(":")) throw bad(name, `it is encrypted in an outdated way; ${convert()}`);
  const isEncrypted = form === "ENCRYPTED ";
  if (isEncrypted && password === undefined) {
    throw bad(name, "it is encrypted, and there is no client_privkey_password");
  }
  try {
    if (form === "") return Uint8Array.from(atob(body.replace(/\s+/g, "")), (c) => c.charCodeAt(0));
    const crypto = builtinModule<NodeCrypto>("node:crypto");
    if (crypto === undefined) {
      const found = "this runtime reads plain PKCS#8 only";
      throw bad(name, `${found}; ${convert("-nocrypt ")}`);
    }
    return crypto.createPrivateKey({ key, ...(isEncrypted ? { passphrase: password } : {}) })
      .export({ type: "pkcs8", format: "der" });
  } catch (error) {
    if (error instanceof AuthError) throw error;
    // The cause could quote the key.
    throw bad(
      name,
      isEncrypted ? "client_privkey_password does not open it, or it is damaged" : "it is damaged",
    );
  }
}

/**
 * Reads a private key, for signing.
 *
 * @param source The key.
 * @param accepted Algorithms that the server takes (RFC 7518 §3.1); empty: it does not say.
 * @throws {AuthError} `invalid_argument` if the key is unknown, damaged or does not open.
 */
export async function importPrivateKey(
  source: PrivateKeyPem,
  accepted: readonly string[],
): ReturnType<typeof crypto.subtle.importKey> {
  const { name } = source;
  const pkcs8 = toPkcs8(source);
  const rsa = RSA_ALGORITHMS.find((one) => accepted.includes(one)) ?? "RS256";
  const kinds: readonly (RsaHashedImportParams | EcKeyImportParams | Algorithm)[] = [
    {
      name: rsa.startsWith("RS") ? "RSASSA-PKCS1-v1_5" : "RSA-PSS",
      hash: `SHA-${rsa.slice(2)}`,
    },
    ...["P-256", "P-384", "P-521"].map((namedCurve) => ({ name: "ECDSA", namedCurve })),
    { name: "Ed25519" },
  ];
  for (const kind of kinds) {
    // WebCrypto does not tell what a key is; it refuses one that is of another kind.
    const key = await crypto.subtle.importKey("pkcs8", pkcs8, kind, false, ["sign"])
      .catch(() => undefined);
    if (key === undefined) continue;
    const { modulusLength } = key.algorithm as Partial<RsaKeyAlgorithm>;
    if (modulusLength === undefined || modulusLength >= 2048) return key;
    throw bad(name, `its ${modulusLength} bits are too few (RFC 7518 §3.3)`);
  }
  throw bad(name, "it is damaged, or no RSA, EC (P-256, P-384, P-521) or Ed25519 key");
}
