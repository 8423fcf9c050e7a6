// Stores of Amazon that can compare and set, for a SharedStorage: a bucket of S3 (or of what speaks
// its HTTP, If-Match on PUT included; SharedStorage finds out), and a table of DynamoDB. `send` signs
// and sends, such as `fetch` of aws4fetch. Tried on moto, not on Amazon.
import type { CompareAndSetStore } from "../mod.ts";

type Send = (url: string, init: RequestInit) => Promise<Response>;

/** Gives the text of an answer, or rejects: what became of the request is not known then. */
async function textOf(response: Response): Promise<string> {
  const text = await response.text();
  if (!response.ok) throw new Error(`status ${response.status}`);
  return text;
}

/**
 * A bucket, by its URL or that of a folder in it. Needs s3:PutObject and s3:GetObject. It has no
 * `delete`, which not all that speak HTTP like S3 do on a condition: an empty record stays.
 */
export function s3Store(send: Send, bucketUrl: string): CompareAndSetStore {
  const url = (key: string) => `${bucketUrl}/${key.split("/").map(encodeURIComponent).join("/")}`;
  return {
    async get(key) {
      const response = await send(url(key), { method: "GET" });
      if (response.status === 404) return void await response.body?.cancel();
      return { value: await textOf(response), version: response.headers.get("etag")! };
    },
    async set(key, body, expected) {
      const condition = expected === undefined
        ? { "if-none-match": "*" }
        : { "if-match": expected };
      const response = await send(url(key), { method: "PUT", body, headers: condition });
      // 404: there is nothing that could match; 409: somebody else writes at this moment. Where nothing
      // is expected, 404 means that there is no such bucket.
      const refusals = expected === undefined ? [409, 412] : [404, 409, 412];
      if (refusals.includes(response.status)) return void await response.body?.cancel();
      await textOf(response);
      return response.headers.get("etag")!;
    },
  };
}

/**
 * A table with the key `key`, a text; by the URL of its region, which all programs must share: another
 * one judges conditions by what it knows. 400 kB a value.
 */
export function dynamoStore(send: Send, url: string, table: string): CompareAndSetStore {
  /** One call; `undefined` where its condition did not hold. */
  // deno-lint-ignore no-explicit-any
  const call = async (name: string, input: object): Promise<any> => {
    const response = await send(url, {
      method: "POST",
      headers: {
        "content-type": "application/x-amz-json-1.0",
        "x-amz-target": `DynamoDB_20120810.${name}`,
      },
      body: JSON.stringify({ TableName: table, ...input }),
    });
    if (response.status === 400) {
      const { __type = "" } = await response.json();
      if (__type.endsWith("ConditionalCheckFailedException")) return undefined;
      throw new Error(`${name}: ${__type}`);
    }
    return JSON.parse(await textOf(response));
  };
  const where = (version: string | undefined) =>
    version === undefined
      ? {
        ConditionExpression: "attribute_not_exists(#k)",
        ExpressionAttributeNames: { "#k": "key" },
      }
      : {
        ConditionExpression: "#v = :v",
        ExpressionAttributeNames: { "#v": "version" },
        ExpressionAttributeValues: { ":v": { S: version } },
      };
  return {
    async get(key) {
      const { Item } = await call("GetItem", { Key: { key: { S: key } }, ConsistentRead: true });
      return Item && { value: Item.value.S, version: Item.version.S };
    },
    async set(key, value, expected) {
      const version = crypto.randomUUID();
      const Item = { key: { S: key }, value: { S: value }, version: { S: version } };
      return await call("PutItem", { Item, ...where(expected) }) && version;
    },
    async delete(key, expected) {
      const done = await call("DeleteItem", { Key: { key: { S: key } }, ...where(expected) });
      return done !== undefined;
    },
  };
}
