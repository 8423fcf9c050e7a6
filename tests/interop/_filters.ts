/**
 * Filters from random arguments, made by us and by the Planet SDK for Python.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { dataFilter, type JsonObject, PlanetError, type SearchFilter } from "../../mod.ts";
import { FILTER_DIFFERENCES } from "./_differences.ts";
import type { InteropWorld } from "./python.ts";

/** A filter as both languages make it: the function's name in Python, arguments, bounds. */
interface Spec {
  readonly filter: string;
  readonly args?: readonly unknown[];
  readonly bounds?: Readonly<Record<string, unknown>>;
  /** In what the two differ here. */
  readonly difference?: keyof typeof FILTER_DIFFERENCES | undefined;
}

/** A source of chance that can be repeated. */
export function chance(seed: number) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 4294967296;
  };
  const whole = (most: number) => Math.floor(next() * (most + 1));
  const pick = <T>(list: readonly T[]): T => list[whole(list.length - 1)]!;
  return { next, whole, pick, maybe: (share: number) => next() < share };
}

type Chance = ReturnType<typeof chance>;

const FIELDS = ["cloud_cover", "acquired", "gsd", "quality_category", "größe", "a b", "x.y"];
const NUMBERS = [0, 1, -1, 0.5, 1e-9, 123456789.25, -180, 90, 1e21];
const WORDS = ["PS2", "standard", "", "ä", "true", 'a"b', "line\nbreak"];

const list = <T>(random: Chance, most: number, make: () => T): T[] =>
  Array.from({ length: random.whole(most) }, make);

function position(random: Chance): number[] {
  const made = [random.next() * 360 - 180, random.next() * 180 - 90].map((n) =>
    Math.round(n * 1e5) / 1e5
  );
  return random.maybe(0.1) ? [...made, random.whole(100)] : made;
}

function ring(random: Chance): number[][] {
  const positions = Array.from({ length: 3 + random.whole(3) }, () => position(random));
  return [...positions, positions[0]!];
}

const SHAPES: Record<string, (random: Chance) => unknown> = {
  Point: position,
  MultiPoint: (random) => list(random, 4, () => position(random)),
  LineString: (random) => [position(random), position(random)],
  MultiLineString: (random) => list(random, 3, () => [position(random), position(random)]),
  Polygon: (random) => [ring(random), ...list(random, 1, () => ring(random))],
  MultiPolygon: (random) => list(random, 3, () => [ring(random)]),
};

/** Things that are no geometry, in both languages. */
const NONE: readonly unknown[] = [
  {},
  { type: "Circle", coordinates: [0, 0] },
  { type: "Point" },
  { type: "Point", coordinates: [0] },
  { type: "Point", coordinates: [0, 0, 0, 0] },
  { type: "Point", coordinates: ["0", 0] },
  { type: "LineString", coordinates: [[0, 0]] },
  { type: "Polygon", coordinates: [[[0, 0], [1, 1], [0, 0]]] },
  { type: "Polygon", coordinates: [[[0, 0], [1, 0], [1, 1], [5, 5]]] },
  { type: "FeatureCollection", features: [{ type: "Feature" }, { type: "Feature" }] },
  { type: "GeometryCollection", geometries: [] },
  { type: "ref", content: "pl:features/a/b" },
  "pl:features/a/b",
];

function geometry(random: Chance): Pick<Spec, "difference"> & { given: unknown } {
  if (random.maybe(0.15)) return { given: random.pick(NONE) };
  if (random.maybe(0.03)) {
    const big = Array.from({ length: 1_501 }, () => position(random));
    return { given: { type: "MultiPoint", coordinates: big }, difference: "vertices" };
  }
  if (random.maybe(0.03)) {
    const coordinates = random.pick([[], [[[0, 0, 0, 0], [1, 0], [1, 1], [0, 0, 0, 0]]]]);
    return { given: { type: "Polygon", coordinates }, difference: "rings" };
  }
  const type = random.pick(Object.keys(SHAPES));
  const shape = { type, coordinates: SHAPES[type]!(random) };
  const feature = { type: "Feature", properties: {}, geometry: shape };
  return {
    given: random.pick([shape, feature, { type: "FeatureCollection", features: [feature] }]),
  };
}

/** A time: UTC without a zone, which we are given as a `Date`, or with one, as text. */
function time(random: Chance): { time: string } {
  const fraction = random.pick(["", ".000", ".120", ".007"]);
  const second = String(random.whole(59)).padStart(2, "0");
  const day = String(1 + random.whole(27)).padStart(2, "0");
  const zone = random.pick(["", "", "+00:00", "+05:30", "-03:00"]);
  // Python writes no fraction of zero, and six digits of any other.
  const text = zone === "" ? fraction : fraction === ".000" ? "" : fraction && `${fraction}000`;
  return {
    time: `20${10 + random.whole(20)}-0${1 + random.whole(8)}-${day}T12:30:${second}${text}${zone}`,
  };
}

function bounds(random: Chance, value: () => unknown): Record<string, unknown> {
  const made: Record<string, unknown> = {};
  for (const name of ["gt", "lt", "gte", "lte"]) {
    if (random.maybe(0.35)) made[name] = random.maybe(0.1) ? null : value();
  }
  return made;
}

/** A random filter. */
function spec(random: Chance, depth = 3): Spec {
  const kinds = ["range", "date_range", "update", "geometry", "number_in", "string_in", "asset"];
  const nested = depth > 0 ? ["and", "or", "not"] : [];
  const kind = random.pick([...kinds, ...nested, "permission", "std_quality", "empty"]);
  const filter = `${kind}_filter`;
  const field = random.maybe(0.02) ? "" : random.pick(FIELDS);
  const wrongField = field === "" ? "field" : undefined;
  switch (kind) {
    case "range":
      return {
        filter,
        args: [field],
        bounds: bounds(random, () => random.pick(NUMBERS)),
        difference: wrongField,
      };
    case "date_range":
      return {
        filter,
        args: [field],
        bounds: bounds(random, () => time(random)),
        difference: wrongField,
      };
    case "update": {
      const made = bounds(random, () => time(random));
      const keeps = (made.lt ?? made.lte ?? null) !== null;
      return { filter, args: [field], bounds: made, difference: keeps ? "update" : wrongField };
    }
    case "geometry": {
      const { difference, given } = geometry(random);
      const relations = ["intersects", "contains", "disjoint", "within", "touches"];
      return {
        filter,
        args: random.maybe(0.5) ? [given] : [given, random.pick(relations)],
        difference,
      };
    }
    case "number_in":
      return {
        filter,
        args: [field, list(random, 4, () => random.pick(NUMBERS))],
        difference: wrongField,
      };
    case "string_in":
      return {
        filter,
        args: [field, list(random, 4, () => random.pick(WORDS))],
        difference: wrongField,
      };
    case "asset":
      return { filter, args: [list(random, 3, () => random.pick(WORDS))] };
    case "and":
    case "or": {
      const inner = list(random, 3, () => spec(random, depth - 1));
      return {
        filter,
        args: [inner],
        difference: inner.find(({ difference }) => difference)?.difference,
      };
    }
    case "not": {
      const inner = spec(random, depth - 1);
      return { filter, args: [inner], difference: inner.difference };
    }
    default:
      return { filter };
  }
}

function argument(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(argument);
  if (typeof value !== "object" || value === null) return value;
  if ("time" in value) {
    const text = String(value.time);
    return /[+-]\d\d:\d\d$/.test(text) ? text : new Date(`${text}Z`);
  }
  return "filter" in value ? make(value as Spec) : value;
}

/** Makes a filter as we do. */
function make({ args = [], bounds, filter }: Spec): SearchFilter {
  const name = filter.replace(/_filter$/, "").replace(
    /_(\w)/g,
    (_, letter) => letter.toUpperCase(),
  );
  const given = args.map(argument);
  if (bounds !== undefined) {
    given.push(
      Object.fromEntries(Object.entries(bounds).map(([name, value]) => [name, argument(value)])),
    );
  }
  if (name === "geometry" && given.length === 2) given[1] = { relation: given[1] };
  const make = dataFilter[name as keyof typeof dataFilter] as (...args: unknown[]) => SearchFilter;
  return make(...given);
}

/** Errors of a geometry have the same name in both languages; of the others that there is one counts. */
const named = (name: string) => name === "GeoJSONError" ? name : "another error";

function made(spec: Spec): JsonObject {
  try {
    return { filter: make(spec) as JsonObject };
  } catch (error) {
    assert(error instanceof PlanetError || error instanceof TypeError, String(error));
    return { error: error.name };
  }
}

/** Makes `count` random filters in both languages and compares them; returns a line of figures. */
export async function compareFilters(
  { python }: InteropWorld,
  count: number,
  seed: number,
): Promise<string> {
  const random = chance(seed);
  const figures = { equal: 0, "refused by both": 0 };
  const differing: Record<string, number> = {};
  for (let at = 0; at < count; at += 500) {
    const specs = Array.from({ length: Math.min(500, count - at) }, () => spec(random));
    const theirs = (await python({ call: "filters", specs })).made as JsonObject[];
    for (const [index, one] of specs.entries()) {
      const [ours, other] = [made(one), theirs[index]!];
      const what = JSON.stringify(one);
      if (one.difference !== undefined) {
        if (JSON.stringify(ours) !== JSON.stringify(other)) {
          differing[one.difference] = (differing[one.difference] ?? 0) + 1;
        }
        if (one.difference !== "update") assert("error" in ours, what);
        else if (one.filter === "update_filter" && one.args![0] !== "") {
          const given = Object.entries(one.bounds!).filter(([, value]) => value !== null);
          const { config } = ours.filter as JsonObject;
          assertEquals(Object.keys(config!).sort(), given.map(([name]) => name).sort(), what);
        }
        continue;
      }
      if ("error" in other) {
        assert("error" in ours, `Python refuses it with ${other.error}: ${what}`);
        if (one.filter === "geometry_filter" && !/Attribute|Key|Type/.test(String(other.error))) {
          assertEquals(named(String(ours.error)), named(String(other.error)), what);
        }
        figures["refused by both"]++;
      } else {
        assertEquals(ours, other, what);
        figures.equal++;
      }
    }
  }
  assertEquals(Object.keys(differing).sort(), Object.keys(FILTER_DIFFERENCES).sort());
  assert(figures.equal > count / 2, JSON.stringify(figures));
  return JSON.stringify({ count, seed, ...figures, ...differing });
}
