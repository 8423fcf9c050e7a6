/**
 * Reads a profile's client from the members of `auth_client.json`.
 *
 * Knows every `client_type` of the Planet SDK for Python. Reads no file: takes
 * the members, and says by name which of them is wrong.
 *
 * @module
 */

import {
  type ClientSettings,
  type ClientType,
  type EndpointOverrides,
  type KeyType,
  type ProfileClient,
  serverOrigin,
} from "../setup.ts";
import { AuthError } from "../errors.ts";
import type { JsonObject, JsonValue } from "../storage/objects.ts";

/** What precedes a key in the header unless the profile says otherwise, as in Python. */
const PREFIXES: Readonly<Record<KeyType, string>> = {
  none: "",
  planet_legacy: "api-key",
  static_apikey: "Bearer",
};

/** Names of the file for what the metadata of a server calls by the second one. */
const ENDPOINTS: readonly (readonly [string, keyof EndpointOverrides])[] = [
  ["authorization_endpoint", "authorization_endpoint"],
  ["device_authorization_endpoint", "device_authorization_endpoint"],
  ["introspection_endpoint", "introspection_endpoint"],
  ["jwks_endpoint", "jwks_uri"],
  ["revocation_endpoint", "revocation_endpoint"],
  ["token_endpoint", "token_endpoint"],
  ["userinfo_endpoint", "userinfo_endpoint"],
];

const CLIENT_TYPE =
  /^oidc_((auth_code|device_code)(_secret|_pubkey)?|client_credentials_(secret|pubkey))$/;

/** Reads members, and knows where they come from. */
class Members {
  readonly #members: JsonObject;
  readonly #where: string;

  constructor(members: JsonObject, where: string) {
    this.#members = members;
    this.#where = where;
  }

  wrong(name: string, found: string): AuthError {
    return new AuthError("invalid_argument", `Correct "${name}" in ${this.#where}: ${found}.`);
  }

  /** A text; `undefined` where it is absent, null or empty, which are one to Python. */
  text(name: string): string | undefined {
    const value = this.#members[name];
    if (value === undefined || value === null || value === "") return undefined;
    if (typeof value !== "string") throw this.wrong(name, "it is no text");
    return value;
  }

  required(name: string, type: string): string {
    const value = this.text(name);
    if (value !== undefined) return value;
    throw this.wrong(name, `it is missing, and the type ${type} needs it`);
  }

  server(name: string): string | undefined {
    const value = this.text(name);
    if (value === undefined || serverOrigin(value) !== undefined) return value;
    throw this.wrong(name, "it must be an https URL, or an http URL on loopback");
  }

  texts(name: string): readonly string[] {
    const value: JsonValue | undefined = this.#members[name];
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value) || value.some((one) => typeof one !== "string" || one === "")) {
      throw this.wrong(name, "it must be a list of texts");
    }
    return value as string[];
  }
}

/**
 * Reads a profile's client from the members of its file.
 *
 * @param members The members.
 * @param where What a message calls the file.
 * @throws {AuthError} `invalid_argument` naming the member that is missing, wrong or not supported.
 */
export function readClient(members: JsonObject, where: string): ProfileClient {
  const read = new Members(members, where);
  const type = read.required("client_type", "of a client");
  if (Object.hasOwn(PREFIXES, type)) {
    const apiKey = type === "none" ? undefined : read.text("api_key");
    const prefix = type === "static_apikey" ? read.text("bearer_token_prefix") : undefined;
    const keyType = type as KeyType;
    return {
      keyType,
      prefix: prefix ?? PREFIXES[keyType],
      ...(apiKey === undefined ? {} : { apiKey }),
    };
  }
  if (/^oidc_resource_owner/.test(type)) {
    throw read.wrong(
      "client_type",
      `"${type}" hands the person's password to the program, which this library does not do; ` +
        "choose oidc_auth_code or oidc_device_code",
    );
  }
  if (type === "oidc_client_validator") {
    throw read.wrong("client_type", `"${type}" only checks tokens and cannot sign in`);
  }
  if (!CLIENT_TYPE.test(type)) throw read.wrong("client_type", "this library knows no such type");
  return readOAuthClient(type as ClientType, read);
}

function readOAuthClient(clientType: ClientType, read: Members): ClientSettings {
  read.required("auth_server", clientType);
  const audiences = read.texts("audiences");
  if (audiences.length > 1) throw read.wrong("audiences", "it may hold one entry only");
  const endpoints: Record<string, string> = {};
  for (const [name, known] of ENDPOINTS) {
    const value = read.server(name);
    if (value !== undefined) endpoints[known] = value;
  }
  const extra: Record<string, string> = {};
  for (const name of ["organization", "project_id"]) {
    const value = read.text(name);
    if (value !== undefined) extra[name] = value;
  }
  const issuer = read.server("issuer");
  return {
    clientType,
    clientId: read.required("client_id", clientType),
    authServer: read.server("auth_server")!,
    ...(issuer === undefined ? {} : { issuer }),
    ...(Object.keys(endpoints).length === 0 ? {} : { endpoints }),
    audiences,
    scopes: read.texts("scopes"),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
    ...readCallback(clientType, read),
    ...readProof(clientType, read),
  };
}

function readCallback(clientType: ClientType, read: Members): Partial<ClientSettings> {
  if (!clientType.startsWith("oidc_auth_code")) return {};
  const remote = read.text("redirect_uri");
  const callbackUrl = read.text("local_redirect_uri") ?? read.required("redirect_uri", clientType);
  const html = read.text("authorization_callback_acknowledgement");
  const file = read.text("authorization_callback_acknowledgement_file");
  return {
    callbackUrl,
    ...(remote === undefined || remote === callbackUrl ? {} : { remoteCallbackUrl: remote }),
    ...(html !== undefined
      ? { acknowledgement: { html } }
      : file !== undefined
      ? { acknowledgement: { file } }
      : {}),
  };
}

function readProof(clientType: ClientType, read: Members): Partial<ClientSettings> {
  if (clientType.endsWith("_secret")) {
    return { clientSecret: read.required("client_secret", clientType) };
  }
  if (!clientType.endsWith("_pubkey")) return {};
  const pem = read.text("client_privkey");
  const file = pem === undefined ? read.text("client_privkey_file") : undefined;
  if (pem === undefined && file === undefined) {
    throw read.wrong(
      "client_privkey",
      `it and client_privkey_file are missing, and the type ${clientType} needs one`,
    );
  }
  const password = read.text("client_privkey_password");
  return {
    privateKey: {
      ...(pem === undefined ? {} : { pem }),
      ...(file === undefined ? {} : { file }),
      ...(password === undefined ? {} : { password }),
    },
  };
}
