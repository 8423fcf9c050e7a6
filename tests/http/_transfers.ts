/**
 * Bodies that move slowly, or stop: uploads and downloads against a server that reads and writes at a
 * given rate, and the time limit of a session, which counts silence only.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { Auth, AuthError, Session } from "../../mod.ts";
import { secret } from "../_support/canaries.ts";

/** How a transfer goes. */
export interface Transfer {
  /** Size of the body in bytes; it must not fit into what the systems hold. */
  readonly size: number;
  /** Bytes in a second; 0: it stops after its beginning. */
  readonly rate: number;
  /** Time limit of the session, in milliseconds. */
  readonly timeoutMs: number;
}

/** What arrived at the server. */
interface Upload {
  requests: number;
  bytes: number;
  headers: string;
}

/** A server below HTTP, which reads no faster than it says: `node:http` of Bun reads on by itself. */
async function slowServer({ rate, size }: Transfer) {
  const sockets = new Set<Socket>();
  const uploads = new Map<string, Upload>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    const since = Date.now();
    let [head, received, path, tail] = ["", 0, "", ""];
    const answer = (headers: string) =>
      socket.write(`HTTP/1.1 200 OK\r\nconnection: close\r\n${headers}\r\n\r\n`);
    const download = async () => {
      answer(`content-length: ${size}`);
      const part = Buffer.alloc(65_536, "x");
      for (let sent = 0; sent < size && !socket.destroyed;) {
        const bytes = Math.min(part.length, size - sent);
        if (!socket.write(part.subarray(0, bytes))) {
          await new Promise<void>((resolve) => {
            socket.once("drain", resolve).once("close", () => resolve());
          });
        }
        sent += bytes;
        if (rate === 0 && sent >= 1 << 20) return;
        const early = sent / rate * 1000 - (Date.now() - since);
        if (rate > 0 && early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      }
      socket.end();
    };
    socket.on("data", (data: Buffer) => {
      if (path === "") {
        head += data.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        path = head.split(" ")[1]!;
        received = head.length - end - 4;
        head = head.slice(0, end);
        const upload = uploads.get(path) ?? { requests: 0, bytes: 0, headers: "" };
        uploads.set(path, { ...upload, requests: upload.requests + 1, headers: head });
        if (head.startsWith("GET")) return void download();
      } else received += data.length;
      uploads.get(path)!.bytes = received;
      tail = (tail + data.subarray(-8).toString("latin1")).slice(-8);
      const length = /content-length: (\d+)/i.exec(head)?.[1];
      if (length === undefined ? tail.endsWith("0\r\n\r\n") : received >= Number(length)) {
        answer("content-length: 4");
        return void socket.end("done");
      }
      if (rate === 0) return void socket.pause();
      const early = received / rate * 1000 - (Date.now() - since);
      if (early > 1) {
        socket.pause();
        setTimeout(() => socket.resume(), early);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    uploads,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Bodies of a size. */
export const BODIES: Readonly<Record<string, (size: number) => RequestInit["body"]>> = {
  text: (size) => "x".repeat(size),
  bytes: (size) => new Uint8Array(size).fill(120),
  blob: (size) => new Blob([new Uint8Array(size).fill(120)]),
  form(size) {
    const form = new FormData();
    form.set("file", new Blob([new Uint8Array(size).fill(120)]), "file.tif");
    return form;
  },
  stream(size) {
    let left = size;
    return new ReadableStream({
      pull(controller) {
        const bytes = Math.min(left, 100_000);
        left -= bytes;
        if (bytes > 0) controller.enqueue(new Uint8Array(bytes).fill(120));
        else controller.close();
      },
    });
  },
};

function sessionAt(origin: string, { timeoutMs }: Transfer): Session {
  const auth = Auth.fromKey(secret("key"), { allowedOrigins: [origin] });
  const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
  return new Session(auth, { clock, maxRetries: 1, requestsPerSecond: 0, timeoutMs });
}

/** Sends bodies, all at the same time. */
export async function upload(names: readonly string[], transfer: Transfer): Promise<void> {
  const server = await slowServer(transfer);
  try {
    const session = sessionAt(server.origin, transfer);
    await Promise.all(names.map(async (name) => {
      const since = performance.now();
      const body = BODIES[name]!(transfer.size);
      const outcome = await session.request("POST", `${server.origin}/${name}`, { body })
        .then((response) => response.text(), (error) => error);
      const ms = performance.now() - since;
      const { bytes, headers, requests } = server.uploads.get(`/${name}`)!;
      assertEquals(requests, 1, name);
      if (transfer.rate === 0) {
        assert(outcome instanceof AuthError && outcome.code === "timeout", `${name}: ${outcome}`);
        assert(ms < transfer.timeoutMs * 4 + 5_000, `${name} ended after ${ms} ms`);
        return;
      }
      assertEquals(outcome, "done", `${name}: ${outcome} after ${ms} ms`);
      assert(bytes >= transfer.size, `${name}: ${bytes} bytes came`);
      assert(ms > transfer.timeoutMs, `${name} took ${ms} ms only`);
      const isForm = /content-type: multipart\/form-data;\s?boundary=/i.test(headers);
      if (name === "form") assert(isForm, headers);
      if (name === "text") {
        assert(/content-type: text\/plain;\s?charset=utf-8/i.test(headers), headers);
      }
      // Deno sends what comes in parts as chunks.
      if (!("Deno" in globalThis) && name !== "stream") {
        assert(/content-length/i.test(headers), headers);
      }
    }));
  } finally {
    await server.close();
  }
}

/** Reads an answer, by `request()`, `fetch()` and `open()`, all at the same time. */
export async function download(transfer: Transfer): Promise<void> {
  const server = await slowServer(transfer);
  try {
    const session = sessionAt(server.origin, { ...transfer });
    const ways: Record<string, (url: string) => Promise<Response>> = {
      fetch: (url) => session.fetch(url),
      open: (url) => session.open(url),
    };
    // It reads no more than 64 MiB.
    if (transfer.size < 1 << 26) {
      ways.request = (url) => session.request("GET", url, { maxRetries: 0 });
    }
    await Promise.all(
      Object.entries(ways).map(async ([name, get]) => {
        const since = performance.now();
        const outcome = await get(`${server.origin}/${name}`).then(async (response) => {
          let size = 0;
          for await (const part of response.body!) size += part.byteLength;
          return size;
        }).catch((error) => error);
        const ms = performance.now() - since;
        if (transfer.rate === 0) {
          assert(outcome instanceof AuthError && outcome.code === "timeout", `${name}: ${outcome}`);
          return;
        }
        assertEquals(outcome, transfer.size, `${name}: ${outcome} after ${ms} ms`);
        assert(ms > transfer.timeoutMs, `${name} took ${ms} ms only`);
      }),
    );
  } finally {
    await server.close();
  }
}
