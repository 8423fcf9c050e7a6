/**
 * Orders against the sandbox: created, listed, waited for, downloaded, cancelled; and what is wrong.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Auth, type OrderRequest, Planet, Session, type SessionEvent } from "../../mod.ts";
import { test } from "../_support/harness.ts";
import { tempFolder } from "../_support/temp_folder.ts";
import { seeEvent } from "../_support/watch_library.ts";
import { type Sandbox, withSandbox } from "../sandbox/sandbox.ts";

interface World {
  readonly sandbox: Sandbox;
  readonly orders: Planet["orders"];
  readonly directory: string;
  readonly events: SessionEvent[];
}

const ITEM = "20260101_100000_psscene";
const REQUEST: OrderRequest = {
  name: "Fields",
  products: [{ item_ids: [ITEM], item_type: "PSScene", product_bundle: "analytic_udm2" }],
};

/** Runs `body` with a sandbox, a client and a folder. */
async function withOrders(body: (world: World) => Promise<void>): Promise<void> {
  const { path, remove } = await tempFolder();
  try {
    await withSandbox(async (sandbox) => {
      const events: SessionEvent[] = [];
      const auth = Auth.fromKey(sandbox.apiKey, { environment: sandbox.environment });
      const session = new Session(auth, {
        requestsPerSecond: 0,
        onEvent(event) {
          events.push(event);
          seeEvent(event as never);
        },
      });
      await body({ sandbox, orders: new Planet(session).orders, directory: path, events });
      assertEquals(sandbox.storage.counters.authorizations, 0, "the storage saw credentials");
      assert(!/token|signature/i.test(JSON.stringify(events)), "a link was told");
    });
  } finally {
    await remove();
  }
}

test("createOrder(), getOrder(), listOrders() and wait(): an order from its start to its end", () =>
  withOrders(async ({ orders }) => {
    const order = await orders.createOrder(REQUEST);
    assertEquals([order.name, order.state], ["Fields", "queued"]);
    for (let count = 1; count < 7; count++) {
      await orders.createOrder({ ...REQUEST, name: `Woods ${count}` });
    }
    const listed = await Array.fromAsync(orders.listOrders({ nameContains: "Wood", limit: 0 }));
    assertEquals(listed.map(({ name }) => name), [6, 5, 4, 3, 2, 1].map((n) => `Woods ${n}`));
    const states: string[] = [];
    const state = await orders.wait(order.id, {
      delayMs: 1,
      onState: (state) => states.push(state),
    });
    assertEquals([state, states], ["success", ["queued", "running", "success"]]);
    const { _links: { results } } = await orders.getOrder(order.id);
    assertEquals(results?.map(({ name }) => name), [
      `${order.id}/PSScene/${ITEM}_AnalyticMS.tif`,
      `${order.id}/PSScene/${ITEM}_udm2.tif`,
      `${order.id}/manifest.json`,
    ]);
    await assertRejects(() => orders.getOrder("mine"), Error, "UUID");
  }));
