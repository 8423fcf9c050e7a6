// Signs in as a service account and lists the saved searches. All machines share one session, and one
// renewal, in a bucket of S3, by its URL in SESSIONS_BUCKET.
// deno run --allow-net=services.sentinel-hub.com,api.planet.com,my-bucket.s3.eu-central-1.amazonaws.com --allow-env=PLANET_SANDBOX,PL_CLIENT_ID,PL_CLIENT_SECRET,AWS_REGION,AWS_ACCESS_KEY_ID,AWS_SECRET_ACCESS_KEY,AWS_SESSION_TOKEN,SESSIONS_BUCKET examples/shared_s3.ts
// deno-lint-ignore no-import-prefix
import { AwsClient } from "npm:aws4fetch@1.0.20";
import process from "node:process";
import { Auth, Planet, Session, SharedStorage } from "../mod.ts";
import { s3Store } from "./_aws_stores.ts";
import { environment, serviceAccount } from "./_environment.ts";

const aws = new AwsClient({
  accessKeyId: process.env.AWS_ACCESS_KEY_ID ?? "",
  secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY ?? "",
  sessionToken: process.env.AWS_SESSION_TOKEN ?? "",
  region: process.env.AWS_REGION ?? "",
  service: "s3",
});
const send = (url: string, init: RequestInit) => aws.fetch(url, init);
const auth = Auth.fromOAuthM2M({
  ...serviceAccount(),
  profileName: "example-shared",
  storageProvider: new SharedStorage(s3Store(send, process.env.SESSIONS_BUCKET!)),
  environment,
});
for await (const search of new Planet(new Session(auth)).data.listSearches()) {
  console.log(JSON.stringify(search, null, 2));
}
