/**
 * moto, which stands in for S3 and DynamoDB, on the loopback interface.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { PYTHON_BIN } from "../_tools/python.ts";
import { loadExtra } from "../_tools/extra.ts";
import { freePort } from "./free_port.ts";
import { type Break, noteServers } from "./watch.ts";

/** Credentials, which moto does not look at. */
export const AWS_VARIABLES = {
  AWS_REGION: "us-east-1",
  AWS_ACCESS_KEY_ID: "a-key-id",
  AWS_SECRET_ACCESS_KEY: "a-key-that-is-none",
} as const;

interface Aws4Fetch {
  AwsClient: new (options: object) => { fetch(url: string, init: RequestInit): Promise<Response> };
}

/** Signs and sends, by aws4fetch; once, since it leaves the answers unread that it tries again after. */
export function sender(service: "s3" | "dynamodb"): (
  url: string,
  init: RequestInit,
) => Promise<Response> {
  const { AwsClient } = loadExtra<Aws4Fetch>("aws4fetch");
  const client = new AwsClient({
    region: AWS_VARIABLES.AWS_REGION,
    accessKeyId: AWS_VARIABLES.AWS_ACCESS_KEY_ID,
    secretAccessKey: AWS_VARIABLES.AWS_SECRET_ACCESS_KEY,
    service,
    retries: 0,
  });
  return (url, init) => client.fetch(url, init);
}

/** The watch takes every signature for a key. */
export const SIGNED: readonly Break[] = [{
  rule: "request",
  where: "Authorization of",
  why: "A signature of Amazon's kind, made of a key that is none, goes to the moto of the test.",
}];

/** A running moto, with a bucket `sessions` and a table `sessions`. */
export interface Moto {
  /** Host and port. */
  readonly host: string;
  /** Ends it. */
  close(): Promise<void>;
}

/** One request at a time: of two threads of moto that compare and set, both can win. */
const SERVE = `
from moto import server
run = server.run_simple
server.run_simple = lambda *given, **named: run(*given, **{**named, "threaded": False})
server.main()
`;

/** Starts moto. */
export async function startMoto(): Promise<Moto> {
  const port = await freePort();
  const host = `127.0.0.1:${port}`;
  const child: ChildProcess = spawn(
    `${PYTHON_BIN}/python`,
    ["-c", SERVE, "-H", "127.0.0.1", "-p", `${port}`],
    { stdio: "ignore", env: { PATH: process.env.PATH } },
  );
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let isOver = false;
  void ended.then(() => isOver = true);
  const close = async () => {
    child.kill("SIGKILL");
    await ended;
  };
  noteServers({ authorization: [], api: [], stores: [`http://${host}/`] });
  try {
    let bucket: Response | undefined;
    while (bucket === undefined) {
      if (isOver) throw new Error("moto ended.");
      try {
        bucket = await sender("s3")(`http://${host}/sessions`, { method: "PUT" });
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    if (!bucket.ok) throw new Error(`moto: ${bucket.status} ${await bucket.text()}`);
    await bucket.body?.cancel();
    const made = await sender("dynamodb")(`http://${host}/`, {
      method: "POST",
      headers: {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": "DynamoDB_20120810.CreateTable",
      },
      body: JSON.stringify({
        TableName: "sessions",
        KeySchema: [{ AttributeName: "key", KeyType: "HASH" }],
        AttributeDefinitions: [{ AttributeName: "key", AttributeType: "S" }],
        BillingMode: "PAY_PER_REQUEST",
      }),
    });
    if (!made.ok) throw new Error(`moto: ${made.status} ${await made.text()}`);
    await made.body?.cancel();
    return { host, close };
  } catch (error) {
    await close();
    throw error;
  }
}
