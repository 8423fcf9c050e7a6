/**
 * Bodies that show how far they got, so that the time limit counts silence and not an upload that moves.
 *
 * @module
 */

/** Is told that a part of a body went on its way; at its end, how long the parts under way may take. */
export type Moved = (tailMs?: number) => void;

/** Bytes that are handed over at once. */
const PART = 65_536;

/** How much of a stream is kept until it is clear that the connection was opened, in bytes. */
const KEPT = 1 << 20;

/** From this size on a body is handed over in parts; smaller ones are gone in a moment. */
const LARGE = 1 << 20;

/** How much the systems at both ends may hold that is still under way, in bytes. */
const UNDER_WAY = 8 << 20;

/** A stream over `next`, which is asked for each part as it is needed; `undefined` ends it. */
function inParts(
  next: (index: number) => Promise<Uint8Array | undefined>,
  moved: Moved,
  cancelled: () => void = () => {},
): ReadableStream<Uint8Array> {
  const since = performance.now();
  let [index, sent] = [0, 0];
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      moved();
      const part = await next(index++);
      if (part !== undefined) {
        sent += part.byteLength;
        return controller.enqueue(part);
      }
      // What is under way takes as long as the same amount took before.
      moved((performance.now() - since) * Math.min(1, UNDER_WAY / Math.max(sent, 1)));
      controller.close();
    },
    cancel: cancelled,
  }, { highWaterMark: 0 });
}

/**
 * A body that can be read once: a stream. Its beginning is kept, so that it can be sent again as long
 * as no connection was opened: Deno and Node read before they connect.
 */
export class OneTimeBody {
  /** The body as the caller gave it. */
  readonly given: RequestInit["body"];
  /** What reading it failed with: that is the program's. */
  failure: { readonly error: unknown } | undefined;

  readonly #reader: ReadableStreamDefaultReader<unknown>;
  readonly #kept: Uint8Array[] = [];
  #dropped = 0;
  #size = 0;
  #isDone = false;
  #reading: Promise<void> | undefined;
  #state: "open" | "cancelled" | "final" = "open";

  /** Takes a stream over; a `TypeError` if somebody reads it already. */
  constructor(given: RequestInit["body"]) {
    this.given = given;
    // It checks what a body may be, in the words of the runtime, and takes async iterables as well.
    this.#reader = new Response(given as BodyInit).body!.getReader();
  }

  /** Whether nothing is lost that was read. */
  get isUntouched(): boolean {
    return this.#dropped === 0 && this.failure === undefined;
  }

  /** The body for one attempt, from its beginning. */
  open(moved: Moved): ReadableStream<Uint8Array> {
    return inParts(
      async (index) => {
        while (index - this.#dropped >= this.#kept.length && !this.#isDone) {
          await (this.#reading ??= this.#read().finally(() => this.#reading = undefined));
        }
        const part = this.#kept[index - this.#dropped];
        if (this.#size > KEPT) {
          this.#kept.splice(0, index + 1 - this.#dropped);
          this.#dropped = index + 1;
        }
        return part;
      },
      moved,
      () => {
        if (this.#state === "final" || !this.isUntouched) return this.#close();
        this.#state = "cancelled";
      },
    );
  }

  /** There is no further attempt: what nobody reads any more is let go. */
  end(isAnswered: boolean): void {
    if (!isAnswered || this.#state === "cancelled") this.#close();
    this.#state = "final";
  }

  #close(): void {
    this.#reader.cancel().catch(() => {});
  }

  async #read(): Promise<void> {
    try {
      const { done, value } = await this.#reader.read();
      this.#isDone = done;
      if (done) return;
      if (!(value instanceof Uint8Array)) {
        throw new TypeError("A body's stream must consist of Uint8Array.");
      }
      this.#size += value.byteLength;
      for (let at = 0; at < value.byteLength; at += PART) {
        this.#kept.push(value.subarray(at, at + PART));
      }
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }
}

/** A large body in parts, with the headers that it would have had else; `undefined` for another one. */
export async function largeBody(
  init: RequestInit,
  moved: Moved,
): Promise<RequestInit | undefined> {
  const { body } = init;
  let whole: Blob | Uint8Array;
  let type = "";
  if (typeof body === "string") {
    if (body.length < LARGE) return undefined;
    [whole, type] = [new TextEncoder().encode(body), "text/plain;charset=UTF-8"];
  } else if (body instanceof FormData || body instanceof URLSearchParams) {
    const values = [...(body as FormData).values()];
    const size = values.reduce(
      (sum: number, value) => sum + (typeof value === "string" ? value.length : value.size),
      0,
    );
    if (size < LARGE) return undefined;
    whole = await new Response(body).blob();
    type = whole.type;
  } else if (body instanceof Blob) [whole, type] = [body, body.type];
  else if (body instanceof ArrayBuffer) whole = new Uint8Array(body);
  else if (ArrayBuffer.isView(body)) {
    whole = new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  } else return undefined;
  const size = whole instanceof Blob ? whole.size : whole.byteLength;
  if (size < LARGE) return undefined;
  const headers = new Headers(init.headers);
  if (type !== "" && !headers.has("content-type")) headers.set("content-type", type);
  // Deno leaves it out and sends chunks (2.9.6).
  headers.set("content-length", String(size));
  return {
    ...init,
    headers,
    body: inParts(async (index) => {
      const at = index * PART;
      if (at >= size) return undefined;
      return whole instanceof Blob
        ? new Uint8Array(await whole.slice(at, at + PART).arrayBuffer())
        : whole.subarray(at, at + PART);
    }, moved),
  };
}
