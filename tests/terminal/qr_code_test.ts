import { assert, assertEquals } from "@std/assert";
import { encode } from "uqr";
import { qrLines } from "../../lib/terminal/screen.ts";
import { test } from "../_support/harness.ts";

const TEXTS = [
  "https://login.test/device?user_code=WDJB-MJHT",
  `https://login.test/activate?user_code=WDJB-MJHT&more=${"x".repeat(150)}`,
];

test("qrLines() draws every square of the code, light ones filled", async () => {
  for (const text of TEXTS) {
    const { data, size } = encode(text, { ecc: "L", border: 2 });
    const lines = await qrLines(text);
    assertEquals(lines.length, Math.ceil(size / 2));
    assert(lines.every((line) => [...line].length === size));
    for (let row = 0; row < size; row++) {
      const drawn = [...lines[row >> 1]!].map((one) =>
        one !== "█" && one !== (row % 2 === 0 ? "▀" : "▄")
      );
      assertEquals(drawn, data[row], `row ${row}`);
    }
  }
});
