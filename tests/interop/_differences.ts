/**
 * Where our clients differ from the Planet SDK for Python on purpose: the one list, with
 * the reasons. The tests beside it show that each difference is there, and that there are no others.
 *
 * @module
 */

/** A difference. */
export interface Difference {
  /** What differs. */
  readonly what: string;
  /** Why. */
  readonly why: string;
}

/** Differences of `dataFilter`. */
export const FILTER_DIFFERENCES = {
  update: {
    what: "update() keeps lt and lte",
    why: "Python takes them and drops them, so that a search finds what was not asked for.",
  },
  field: {
    what: "an empty name of a field is refused",
    why: "Python sends it, and the API answers 400.",
  },
  vertices: {
    what: "a geometry of more than 1,500 vertices is refused",
    why: "That is Planet's documented limit; Python leaves it to the API.",
  },
  rings: {
    what: "a polygon without rings, and positions of rings that are none, are refused",
    why: "The package geojson looks at the length and the ends of a ring only.",
  },
} as const satisfies Record<string, Difference>;

/** Differences of the calls. */
export const CALL_DIFFERENCES = {
  spec: {
    what: "no GET /compute/ops/bundles/spec before a call with item types",
    why: "Python checks item types against that list; here the API says which it knows.",
  },
  updateGeometry: {
    what: "updateSearch() sends the geometry of a Feature, as createSearch() does",
    why: "Python reduces it in create_search() and forgets it in update_search().",
  },
  accept: {
    what: "downloads ask for `accept-encoding: identity`",
    why: "A body that is encoded on the way cannot be resumed.",
  },
  once: {
    what: "createOrder() is sent once",
    why: "After a 502 Python sends it up to five times more, and each may make an order.",
  },
  cancelNone: {
    what: "cancelOrders() of nothing is refused",
    why: "Python cancels every order if the list is empty.",
  },
  zeros: {
    what: "0 and false of a tool are sent",
    why: "Python drops them, so that tiles begin somewhere else.",
  },
  there: {
    what: "a file that is there under the name that was given is not asked for",
    why: "Python sends the request, which counts as a download, and drops its body.",
  },
  credentials: {
    what: "the JSON of a subscription or destination has `(secret)` where its credentials are",
    why: "What is logged must not hold them, nor does it matter what an API puts in their place.",
  },
  all: {
    what: "bulk calls without identifiers are refused; all must be said",
    why: "Python suspends or reactivates all subscriptions of the account then.",
  },
} as const satisfies Record<string, Difference>;
