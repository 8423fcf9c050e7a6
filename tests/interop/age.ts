/**
 * Makes a key pair for `sops`, in the form of age (bech32, BIP 173).
 *
 * @module
 */

const LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

function checksum(values: readonly number[]): number {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    GENERATOR.forEach((term, bit) => (top >> bit) & 1 ? sum ^= term : undefined);
  }
  return sum >>> 0;
}

function bech32(prefix: string, bytes: Uint8Array): string {
  const values: number[] = [];
  let [rest, bits] = [0, 0];
  for (const byte of bytes) {
    rest = ((rest << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5;) values.push((rest >> (bits -= 5)) & 31);
  }
  if (bits > 0) values.push((rest << (5 - bits)) & 31);
  const codes = [...prefix].map((letter) => letter.charCodeAt(0));
  const head = [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)];
  const sum = checksum([...head, ...values, 0, 0, 0, 0, 0, 0]) ^ 1;
  const tail = [25, 20, 15, 10, 5, 0].map((shift) => (sum >>> shift) & 31);
  return `${prefix}1${[...values, ...tail].map((value) => LETTERS[value]).join("")}`;
}

function fromBase64url(text: string): Uint8Array {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

/** Makes a pair: whom to encrypt for, and what opens it. */
export async function ageKey(): Promise<{ recipient: string; identity: string }> {
  const pair = await crypto.subtle.generateKey("X25519", true, ["deriveBits"]) as CryptoKeyPair;
  const { d, x } = await crypto.subtle.exportKey("jwk", pair.privateKey);
  return {
    recipient: bech32("age", fromBase64url(x!)),
    identity: bech32("age-secret-key-", fromBase64url(d!)).toUpperCase(),
  };
}
