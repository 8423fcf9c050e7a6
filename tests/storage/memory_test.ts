import { MemoryStorage } from "../../lib/storage/select.ts";
import { storeContract } from "../_support/store_contract.ts";

storeContract("MemoryStorage", () => ({ storage: new MemoryStorage(), close: () => {} }));
