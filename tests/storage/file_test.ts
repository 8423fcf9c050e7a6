import { FileStorage } from "../../lib/storage/file.ts";
import { storeContract } from "../_support/store_contract.ts";
import { tempFolder } from "../_support/temp_folder.ts";

storeContract("FileStorage", async () => {
  const { path, remove } = await tempFolder();
  const storage = new FileStorage({ root: path });
  return { storage, sibling: new FileStorage({ root: path }), close: remove };
}, { dropsNulls: true });
