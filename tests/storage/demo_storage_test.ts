import process from "node:process";
import { DemoStorage } from "../../examples/_demo_storage.ts";
import { storeContract } from "../_support/store_contract.ts";
import { tempFolder } from "../_support/temp_folder.ts";

storeContract("DemoStorage of the examples", async () => {
  const { path, remove } = await tempFolder();
  const { HOME } = process.env;
  // The folder is found when a store is made.
  process.env.HOME = path;
  try {
    return { storage: new DemoStorage(), sibling: new DemoStorage(), close: remove };
  } finally {
    if (HOME === undefined) delete process.env.HOME;
    else process.env.HOME = HOME;
  }
}, { fiveMethods: true });
