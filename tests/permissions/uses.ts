/**
 * A program for each use whose permissions `examples/README.md` names, and what it falls back to where a
 * permission is missing.
 *
 * @module
 */

/** What happens without a permission where that is no error. */
export type Fallback =
  /** The page to open is shown, and nothing else happens by itself. */
  | "shown"
  /** The session stays in memory. */
  | "memory"
  /** What it would have told is passed over; `explain()` names the flag. */
  | "noted"
  /** All goes as with it: it is for another machine, or for something that is not there. */
  | "same";

/** A use of the library. */
export interface Use {
  /** Its heading there. */
  readonly name: string;
  /** Which variables are set; default: none. */
  readonly variables?: "api key" | "service account";
  /** Makes `auth`; `sandbox` is what `/environment.json` has, with a free `callbackUrl`. */
  readonly program: string;
  /** Values of flags that may be missing. */
  readonly fallbacks?: Readonly<Record<string, Fallback>>;
}

const CALL = `
for await (const search of new Planet(new Session(auth)).data.listSearches({ limit: 2 })) {
  console.log(search.name);
}
const { storage } = await auth.explain();
console.log("storage " + storage);
`;

const SERVICE = "...sandbox.m2m, environment: sandbox";
const PERSON = 'clientId: sandbox.clientId, environment: sandbox, profileName: "permissions"';
const IN_MEMORY = "saveStateToStorage: false";
const LOGIN = "await auth.ensureInitialized({ allowOpenBrowser: true, allowTtyPrompt: true });";

/** All uses. */
export const USES: readonly Use[] = [
  { name: "importing the module", program: 'console.log("storage " + typeof Auth);' },
  {
    name: "an API key",
    program: `const auth = Auth.fromKey(sandbox.apiKey, { environment: sandbox });${CALL}`,
  },
  {
    name: "an API key from a variable",
    variables: "api key",
    program: `const auth = Auth.fromEnv("PL_API_KEY", { environment: sandbox });${CALL}`,
  },
  {
    name: "a service account, in memory",
    program: `const auth = Auth.fromOAuthM2M({ ${SERVICE}, ${IN_MEMORY} });${CALL}`,
  },
  {
    name: "a person by device code, in memory",
    program: `const auth = Auth.fromOAuthUserDeviceCode({ ${PERSON}, ${IN_MEMORY} });
${LOGIN}${CALL}`,
  },
  {
    name: "a person by browser, in memory",
    program: `const auth = Auth.fromOAuthUserAuthCode({
  ${PERSON}, ${IN_MEMORY}, callbackUrl: sandbox.callbackUrl,
});
${LOGIN}${CALL}`,
    fallbacks: {
      "[::1]:8080": "same",
      "xdg-open": "shown",
      BROWSER: "shown",
      DISPLAY: "same",
      WAYLAND_DISPLAY: "same",
    },
  },
  {
    name: "state in `~/.planet`",
    program: `const auth = Auth.fromOAuthM2M({ ${SERVICE} });${CALL}`,
    fallbacks: { HOME: "memory", "$HOME/.planet": "memory" },
  },
  {
    name: "state in a folder of yours",
    program: `const storageProvider = new FileStorage({ root: home + "/state" });
const auth = Auth.fromOAuthM2M({ ${SERVICE}, storageProvider });${CALL}`,
  },
  {
    name: "state in Deno KV",
    program: `const auth = Auth.fromOAuthM2M({ ${SERVICE} });${CALL}`,
    fallbacks: { "--unstable-kv": "memory" },
  },
  {
    name: "the session of the command line",
    variables: "service account",
    program: `const auth = await Auth.fromUserDefaultSession({ environment: sandbox });
console.log(JSON.stringify(await auth.explain()));${CALL}`,
    fallbacks: {
      HOME: "memory",
      "$HOME/.planet": "memory",
      "$HOME/.planet.json": "same",
      PL_AUTH_CLIENT_ID: "noted",
      PL_AUTH_CLIENT_SECRET: "noted",
      "login.planet.com": "same",
      PL_AUTH_PROFILE: "same",
      PL_API_KEY: "same",
      PL_AUTH_API_KEY: "same",
    },
  },
];
