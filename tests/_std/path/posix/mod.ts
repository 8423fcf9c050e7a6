/**
 * Stands in for `@std/path/posix`: paths with `/`, whatever the system.
 *
 * @module
 */
import path from "node:path";

/** What divides the parts of a path. */
export const SEPARATOR = "/";
/** Last part of a path, without `suffix`. */
export const basename: (value: string, suffix?: string) => string = path.posix.basename;
/** The folder of a path. */
export const dirname: (value: string) => string = path.posix.dirname;
/** Extension of a path, with its dot. */
export const extname: (value: string) => string = path.posix.extname;
/** Whether a path starts at the root. */
export const isAbsolute: (value: string) => boolean = path.posix.isAbsolute;
/** Joins parts to one normal path. */
export const join: (...parts: string[]) => string = path.posix.join;
/** A path without `.`, `..` and doubled separators. */
export const normalize: (value: string) => string = path.posix.normalize;
/** The way from one path to another. */
export const relative: (from: string, to: string) => string = path.posix.relative;
/** An absolute path from parts, the last absolute one first. */
export const resolve: (...parts: string[]) => string = path.posix.resolve;
