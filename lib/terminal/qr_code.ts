/**
 * A QR code in characters, two squares in each; the package that computes it is loaded here.
 *
 * @module
 */

/** Width of the quiet edge, in squares. */
const EDGE = 2;

/** Lines of equal width that show `text`; `inverted` fills the light squares instead of the dark. */
export async function qrLines(
  text: string,
  options: { inverted: boolean },
): Promise<string[]> {
  const { encode } = await import("uqr");
  const { data, size } = encode(text, { ecc: "L", border: EDGE });
  const filled = (row: number, column: number) =>
    row < size && (data[row]![column] === true) !== options.inverted;
  const lines: string[] = [];
  for (let row = 0; row < size; row += 2) {
    let line = "";
    for (let column = 0; column < size; column++) {
      const [upper, lower] = [filled(row, column), filled(row + 1, column)];
      line += upper ? lower ? "█" : "▀" : lower ? "▄" : " ";
    }
    lines.push(line);
  }
  return lines;
}
