/**
 * How a client proves to the authorization server who it is (RFC 6749 §2.3, RFC 7523 §2.2).
 *
 * One way for each request and no second try, which could lock an account. The
 * ways are those of the Planet SDK for Python: a service account signs in with
 * its secret in the body; every other request has it in the header, without
 * form-encoding.
 *
 * @module
 */

import type * as oauth from "oauth4webapi";
import type { Clock } from "../runtime.ts";
import type { PrivateKeyPem, Signer } from "./private_key.ts";

/** What a client proves itself with; a public client has neither. */
export interface ClientProof {
  /** Secret (RFC 6749 §2.3.1). */
  readonly clientSecret?: string;
  /** Loads the private key (RFC 7523 §2.2). */
  readonly privateKey?: () => Promise<PrivateKeyPem>;
}

/** How long an assertion is good, in seconds. */
const ASSERTION_LIFE = 300;

const ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/**
 * Characters that a server which form-decodes the header (RFC 6749 §2.3.1) and
 * one which does not read alike.
 */
const UNAMBIGUOUS = /^[\x20-\x24\x26-\x2a\x2c-\x7e]*$/;

function readsAlike(clientId: string, secret: string): boolean {
  return UNAMBIGUOUS.test(clientId) && !clientId.includes(":") && UNAMBIGUOUS.test(secret);
}

function basic(clientId: string, secret: string): string {
  const bytes = new TextEncoder().encode(`${clientId}:${secret}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""))}`;
}

/** Proves a client to one server. */
export class ClientAuthentication {
  readonly #proof: ClientProof;
  readonly #clock: Clock;
  #signer: Promise<Signer> | undefined;

  /** Uses `proof`; nothing is loaded yet. */
  constructor(proof: ClientProof, clock: Clock) {
    this.#proof = proof;
    this.#clock = clock;
  }

  /**
   * What to add to a request.
   *
   * @param endpoint Address of the request, which an assertion names.
   * @param isServiceLogin Whether a service account signs in.
   */
  for(endpoint: string | undefined, isServiceLogin = false): oauth.ClientAuth {
    const { clientSecret, privateKey } = this.#proof;
    if (privateKey !== undefined) {
      return async (server, client, body) => {
        body.set("client_assertion_type", ASSERTION_TYPE);
        body.set("client_assertion", await this.#assertion(server, client.client_id, endpoint));
      };
    }
    return (server, client, body, headers) => {
      if (clientSecret === undefined) return body.set("client_id", client.client_id);
      const inBody = isServiceLogin ||
        (!readsAlike(client.client_id, clientSecret) &&
          server.token_endpoint_auth_methods_supported?.includes("client_secret_post"));
      if (!inBody) return headers.set("authorization", basic(client.client_id, clientSecret));
      body.set("client_id", client.client_id);
      body.set("client_secret", clientSecret);
    };
  }

  async #assertion(
    server: oauth.AuthorizationServer,
    clientId: string,
    audience: string | undefined,
  ): Promise<string> {
    const signer = await (this.#signer ??= this.#load(server).catch((error) => {
      this.#signer = undefined;
      throw error;
    }));
    const now = Math.floor(this.#clock.now() / 1000);
    return await signer.sign({
      iss: clientId,
      sub: clientId,
      aud: audience ?? server.issuer,
      iat: now,
      exp: now + ASSERTION_LIFE,
      jti: crypto.randomUUID(),
    });
  }

  async #load(server: oauth.AuthorizationServer): Promise<Signer> {
    const { importSigner } = await import("./private_key.ts");
    const accepted = server.token_endpoint_auth_signing_alg_values_supported;
    return await importSigner(await this.#proof.privateKey!(), accepted ?? []);
  }
}
