// The web server of web_login.ts on Bun, with the sessions as files. Arguments: a folder that is yours
// alone, and the origin at which browsers reach this server.
// bun run examples/web_login_bun.ts ~/.planet-web http://localhost:8080
import process from "node:process";
import { FileStorage } from "../mod.ts";
import { callbackUrl, clientId, environment } from "./_environment.ts";
import { webLogin } from "./_web_login.ts";

declare const Bun: {
  serve(
    options: {
      hostname: string;
      port: number;
      fetch: (request: Request) => Promise<Response>;
    },
  ): { url: URL };
};

const [, , root, origin = new URL(callbackUrl).origin] = process.argv;
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(new URL(origin).port || 8080),
  fetch: webLogin({ clientId: clientId(), origin, store: new FileStorage({ root }), environment }),
});
console.log(`Listening on ${server.url}`);
