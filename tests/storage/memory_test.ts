import { MemoryStorage } from "../../lib/storage/stores.ts";
import { storeContract } from "../_support/store_contract.ts";

storeContract("MemoryStorage", () => ({ storage: new MemoryStorage(), close: () => {} }));
