// What an edge function answers: the names of the latest saved searches, by a service account.
import { Auth, type M2MOptions, Planet, Session } from "../mod.ts";

/** Makes the handler of one isolate: all its requests share one session, and one renewal. */
export function edgeHandler(options: M2MOptions): () => Promise<Response> {
  const auth = Auth.fromOAuthM2M(options);
  return async () => {
    const names: string[] = [];
    // A Session for each request: a request that is cut off takes no place of another's.
    for await (const search of new Planet(new Session(auth)).data.listSearches({ limit: 5 })) {
      names.push(search.name);
    }
    return Response.json(names);
  };
}
