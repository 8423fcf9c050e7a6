/**
 * Bytes to a port of this computer, as no browser would send them.
 *
 * @module
 */

import { connect, type Socket } from "node:net";

/** A connection that is left open. */
export interface RawConnection {
  /** What came so far. */
  readonly received: () => string;
  /** Sends more. */
  send(text: string): void;
  /** Resolves when the other side is gone. */
  readonly closed: Promise<void>;
  /** Leaves. */
  close(): Promise<void>;
}

/** Connects, says `text`, and stays. */
export async function open(port: number, text = "", host = "127.0.0.1"): Promise<RawConnection> {
  const socket: Socket = connect(port, host);
  let received = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => received += chunk);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", () => {});
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  if (text !== "") socket.write(text);
  return {
    received: () => received,
    send: (more) => void socket.write(more),
    closed,
    close: async () => {
      socket.destroy();
      await closed;
    },
  };
}

/** Connects, says `text`, and returns the status of the answer; 0 where there is none in 5 s. */
export async function say(port: number, text: string, host = "127.0.0.1"): Promise<number> {
  const socket = connect(port, host);
  let received = "";
  const timer = setTimeout(() => socket.destroy(), 5_000);
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    received += chunk;
    if (/^HTTP\/1\.\d \d{3}[\s\S]*?\r\n\r\n/.test(received)) socket.destroy();
  });
  socket.on("error", () => {});
  socket.once("connect", () => socket.write(text));
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  clearTimeout(timer);
  return Number(/^HTTP\/1\.\d (\d{3})/.exec(received)?.[1] ?? 0);
}

/** Whether nothing listens on `port` any more. */
export async function isRefused(port: number, host = "127.0.0.1"): Promise<boolean> {
  try {
    await (await open(port, "", host)).close();
    return false;
  } catch {
    return true;
  }
}
