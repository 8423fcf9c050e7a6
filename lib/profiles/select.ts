/**
 * How the sources of the default session are read in this runtime.
 *
 * Never causes a permission prompt: what is not allowed is left out, with the reason.
 *
 * @module
 */

import { isGranted, readEnv } from "../runtime.ts";
import type { ChosenStorage } from "../storage/select.ts";
import { type SourceArguments, type Sources, USER_CONFIG_KEY } from "./sources.ts";

/** The sources: what the program says, the environment, and the file in `opened`. */
export function readSources(given: SourceArguments, opened: ChosenStorage): Sources {
  const { kind, location, storage } = opened;
  const path = kind === "file" && location !== undefined
    ? `${location}/${USER_CONFIG_KEY}`
    : undefined;
  return {
    given,
    env: readEnv,
    envDenied: (variable) =>
      isGranted({ name: "env", variable }) ? undefined : `--allow-env=${variable} is not granted`,
    fileName: path ?? USER_CONFIG_KEY,
    file: async () => {
      if (path !== undefined && !isGranted({ name: "read", path })) return undefined;
      return await storage.load(USER_CONFIG_KEY);
    },
    fileDenied: path === undefined || isGranted({ name: "read", path })
      ? undefined
      : `--allow-read=${path} is not granted`,
  };
}
