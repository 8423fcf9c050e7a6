import { prepare, writeNodeModules } from "./links.ts";
await prepare();
await writeNodeModules();
