// Signs in as a service account and lists the saved searches. All machines share one session, and one
// renewal, in a table of DynamoDB, by its name in SESSIONS_TABLE and the URL of its region in SESSIONS_REGION.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com,dynamodb.eu-central-1.amazonaws.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET,AWS_REGION,AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,SESSIONS_TABLE,SESSIONS_REGION examples/shared_dynamodb.ts
// deno-lint-ignore no-import-prefix
import { AwsClient } from "npm:aws4fetch@1.0.20";
import process from "node:process";
import { Auth, Planet, Session, SharedStorage } from "../mod.ts";
import { dynamoStore } from "./_aws_stores.ts";
import { environment, serviceAccount } from "./_environment.ts";

const aws = new AwsClient({
  accessKeyId: process.env.AWS_ACCESS_KEY_ID ?? "",
  secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY ?? "",
  sessionToken: process.env.AWS_SESSION_TOKEN ?? "",
  region: process.env.AWS_REGION ?? "",
  service: "dynamodb",
});
const send = (url: string, init: RequestInit) => aws.fetch(url, init);
const auth = Auth.fromOAuthM2M({
  ...serviceAccount(),
  profileName: "example-shared",
  storageProvider: new SharedStorage(
    dynamoStore(send, process.env.SESSIONS_REGION!, process.env.SESSIONS_TABLE!),
  ),
  environment,
});
for await (const search of new Planet(new Session(auth)).data.listSearches()) {
  console.log(JSON.stringify(search, null, 2));
}
