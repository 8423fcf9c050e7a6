/**
 * Members of the requests of orders and subscriptions, as Planet's APIs document them. Types only.
 *
 * What a delivery holds are credentials: they are sent, and get into no error and no event.
 *
 * @module
 */

import type { GeometryLike } from "./data_filter.ts";

/**
 * An object that has exactly one of the members of `Kinds`.
 *
 * @category Tools and deliveries
 */
export type OneOf<Kinds> = {
  [Name in keyof Kinds]:
    & { [One in Name]: Kinds[One] }
    & { [Other in Exclude<keyof Kinds, Name>]?: never };
}[keyof Kinds];

/**
 * Where in a bucket results go.
 *
 * @category Tools and deliveries
 */
export interface PathPrefix {
  /** Put before the name of each file; `/` makes a folder. */
  path_prefix?: string;
}

/**
 * A bucket of Amazon S3.
 *
 * @category Tools and deliveries
 */
export interface AmazonS3 extends PathPrefix {
  /** Access key. */
  aws_access_key_id: string;
  /** Secret key. */
  aws_secret_access_key: string;
  /** Name of the bucket. */
  bucket: string;
  /** Region of the bucket. */
  aws_region: string;
}

/**
 * A container of Azure Blob Storage.
 *
 * @category Tools and deliveries
 */
export interface AzureBlobStorage extends PathPrefix {
  /** Account. */
  account: string;
  /** Name of the container. */
  container: string;
  /** Shared access signature, without `?` before it. */
  sas_token: string;
  /** Suffix of a sovereign cloud. */
  storage_endpoint_suffix?: string;
}

/**
 * A bucket of Google Cloud Storage.
 *
 * @category Tools and deliveries
 */
export interface GoogleCloudStorage extends PathPrefix {
  /** Name of the bucket. */
  bucket: string;
  /** Key of a service account, as JSON text. */
  credentials: string;
}

/**
 * An image collection of Google Earth Engine.
 *
 * @category Tools and deliveries
 */
export interface GoogleEarthEngine {
  /** Project. */
  project: string;
  /** Image collection. */
  collection: string;
}

/**
 * A bucket of Oracle Cloud Storage.
 *
 * @category Tools and deliveries
 */
export interface OracleCloudStorage extends PathPrefix {
  /** Access key. */
  customer_access_key_id: string;
  /** Secret key. */
  customer_secret_key: string;
  /** Name of the bucket. */
  bucket: string;
  /** Region of the bucket. */
  region: string;
  /** Namespace of the object storage. */
  namespace: string;
}

/**
 * A bucket of another storage that speaks S3.
 *
 * @category Tools and deliveries
 */
export interface S3Compatible extends PathPrefix {
  /** Where the storage is. */
  endpoint: string;
  /** Name of the bucket. */
  bucket: string;
  /** Region of the bucket. */
  region: string;
  /** Access key. */
  access_key_id: string;
  /** Secret key. */
  secret_access_key: string;
  /** Whether the bucket's name is in the path of URLs; default false. */
  use_path_style?: boolean;
}

/**
 * A destination of the Destinations API.
 *
 * @category Tools and deliveries
 */
export interface DestinationReference extends PathPrefix {
  /** Reference, such as `pl:destinations/my-bucket`; `pl:destinations/default` is the default one. */
  ref: string;
}

/**
 * Expressions over the bands of the image; none may be left out before another one.
 *
 * @category Tools and deliveries
 */
export interface BandMath {
  /** First band. */
  b1: string;
  /** Next band. */
  b2?: string;
  /** Next band. */
  b3?: string;
  /** Next band. */
  b4?: string;
  /** Next band. */
  b5?: string;
  /** Next band. */
  b6?: string;
  /** Next band. */
  b7?: string;
  /** Next band. */
  b8?: string;
  /** Next band. */
  b9?: string;
  /** Next band. */
  b10?: string;
  /** Next band. */
  b11?: string;
  /** Next band. */
  b12?: string;
  /** Next band. */
  b13?: string;
  /** Next band. */
  b14?: string;
  /** Next band. */
  b15?: string;
  /** Kind of the values; default `Auto`. */
  pixel_type?: "Auto" | "8U" | "16U" | "16S" | "32R";
}

/**
 * Cuts an area out.
 *
 * @category Tools and deliveries
 */
export interface Clip {
  /** The area: a Polygon, a MultiPolygon, or a reference to a feature. */
  aoi?: GeometryLike;
}

/**
 * Changes the format of files.
 *
 * @category Tools and deliveries
 */
export interface FileFormat {
  /** Format: cloud-optimized GeoTIFF or NITF. */
  format: "COG" | "PL_NITF";
}

/**
 * Makes values comparable to those of another sensor.
 *
 * @category Tools and deliveries
 */
export interface Harmonize {
  /** The sensor. */
  target_sensor: "Sentinel-2";
}

/**
 * How values are interpolated.
 *
 * @category Tools and deliveries
 */
export type Kernel =
  | "near"
  | "bilinear"
  | "cubic"
  | "cubicspline"
  | "lanczos"
  | "average"
  | "mode"
  | "min"
  | "max"
  | "med"
  | "q1"
  | "q3";

/**
 * Changes the projection.
 *
 * @category Tools and deliveries
 */
export interface Reproject {
  /** Projection, such as `EPSG:4326`. */
  projection: string;
  /** Size of a pixel, in units of the projection; default: that of the image. */
  resolution?: number;
  /** How values are interpolated; default `near`. */
  kernel?: Kernel;
}

/**
 * Makes top-of-atmosphere reflectances.
 *
 * @category Tools and deliveries
 */
export interface Toar {
  /** What reflectances are multiplied with; default 10000. */
  scale_factor?: number;
}
