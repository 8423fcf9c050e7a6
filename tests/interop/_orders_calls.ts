/**
 * The calls of the Orders API that Python and we make.
 *
 * @module
 */
import type { JsonObject, Planet } from "../../mod.ts";
import type { Call, CallTable } from "./_calls.ts";
import { ITEM } from "./_data_calls.ts";

/** Identifier of an order that was made as the `number`th. */
const ID = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;

const PRODUCTS = [{ item_ids: [ITEM], item_type: "PSScene", product_bundle: "analytic_udm2" }];

/** What a builder of Python's makes. */
const by = (name: string, args: unknown[], options: JsonObject = {}) =>
  ({ $: `order_request.${name}`, args, options }) as JsonObject;

const product = by("product", [[ITEM], "analytic_udm2", "PSScene"]);

/** An order as we write it, and as Python's builders make it. */
const order = (ours: JsonObject, theirs: JsonObject): Call => [
  "create_order",
  [{ name: "Fields", products: PRODUCTS, ...ours }],
  {},
  { args: [by("build_request", ["Fields", [product]], theirs)] },
];

function calls(): Call[] {
  return [
    order({}, {}),
    ["get_order", [ID(1)], {}],
    ["get_order", [ID(999)], {}],
    ["get_order", ["mine"], {}],
    ["list_orders", [], {}],
  ];
}

/** The calls of `pl.orders`. */
export const ORDERS_CALLS: CallTable = {
  client: "orders",
  base: "/compute/ops",
  calls,
  prepare: (_pl: Planet, [, args, options]) => Promise.resolve([[...args], options]),
  least: 4,
};
