/**
 * Keeps a program signed in to Planet's APIs: sign in by browser, by device
 * code or as a service account; keep the session in memory, in files shared
 * with the `planet` command line, or in a store of your own; call the APIs.
 *
 * @example List the saved searches
 * ```ts
 * import { Auth, Planet, Session } from "@planet-community/planet";
 *
 * const auth = Auth.fromOAuthUserAuthCode({
 *   clientId: "my-client-id",
 *   callbackUrl: "http://localhost:8080",
 *   profileName: "my-app",
 * });
 * await auth.ensureInitialized({ allowOpenBrowser: true, allowTtyPrompt: true });
 * const pl = new Planet(new Session(auth));
 * for await (const search of pl.data.listSearches()) console.log(search.name);
 * ```
 *
 * @module
 */

export { Auth } from "./lib/auth.ts";
export type {
  AuthCodeOptions,
  DefaultSessionOptions,
  DeviceCodeOptions,
  ListProfilesOptions,
  M2MOptions,
  SessionOptions,
  SessionOrigin,
} from "./lib/setup.ts";
export { type PlanetEnvironment, PlanetOAuthScopes, PRODUCTION, VERSION } from "./lib/setup.ts";
export type { SessionReport } from "./lib/report.ts";
export type {
  ClientOptions,
  DownloadAssetOptions,
  ListCallOptions,
  UnknownState,
  WaitOptions,
} from "./lib/clients/calls.ts";
export type {
  Asset,
  AssetLinks,
  AssetStatus,
  CoverageRequest,
  DataAPI,
  FetchAssetsOptions,
  FetchedAsset,
  Item,
  ItemCoverage,
  ItemProperties,
  ItemSort,
  ListSearchesOptions,
  PageOptions,
  QuickSearchRequest,
  RunSearchOptions,
  Search,
  SearchListSort,
  SearchRequest,
  SearchType,
  Stats,
  StatsInterval,
  StatsRequest,
} from "./lib/clients/data.ts";
export type {
  BasemapProduct,
  CancelledOrders,
  Composite,
  Coregister,
  DownloadOrderOptions,
  FinalOrderState,
  ListOrdersOptions,
  Order,
  OrderArchive,
  OrderChecksum,
  OrderClouds,
  OrderCounts,
  OrderDelivery,
  OrderHosting,
  OrderLinks,
  OrderNotifications,
  OrderRequest,
  OrderResult,
  OrdersAPI,
  OrderState,
  OrderStats,
  OrderTool,
  OrderTools,
  SceneProduct,
  Tile,
  WaitOrderOptions,
} from "./lib/clients/orders.ts";
export type {
  AmazonS3,
  AzureBlobStorage,
  BandMath,
  Clip,
  DestinationReference,
  FileFormat,
  GoogleCloudStorage,
  GoogleEarthEngine,
  Harmonize,
  Kernel,
  OneOf,
  OracleCloudStorage,
  PathPrefix,
  Reproject,
  S3Compatible,
  Toar,
} from "./lib/clients/requests.ts";
export {
  type Bounds,
  collect,
  type DataFilter,
  dataFilter,
  type FeatureCollection,
  type FeatureLike,
  type FilterBounds,
  type FilterTime,
  type Geometry,
  type GeometryLike,
  type GeometryRelation,
  type SearchFilter,
} from "./lib/clients/data_filter.ts";
export type {
  Destination,
  DestinationKinds,
  DestinationList,
  DestinationPatch,
  DestinationRequest,
  DestinationsAPI,
  ListDestinationsOptions,
} from "./lib/clients/destinations.ts";
export type {
  AddItemsOptions,
  Collection,
  CollectionFeature,
  CreateCollectionOptions,
  FeaturesAPI,
  ListFeaturesOptions,
  NewFeature,
  NewFeatures,
} from "./lib/clients/features.ts";
export type {
  BoundingBox,
  DownloadQuadOptions,
  DownloadQuadsOptions,
  ListMosaicsOptions,
  ListQuadsOptions,
  ListSeriesMosaicsOptions,
  Mosaic,
  MosaicPageOptions,
  MosaicsAPI,
  Quad,
  QuadArea,
  QuadSummary,
  Series,
  SummarizeQuadsOptions,
} from "./lib/clients/mosaics.ts";
export type {
  CreatedReservation,
  ListProductsOptions,
  ListQuotaOptions,
  QuotaAPI,
  QuotaPageOptions,
  QuotaProduct,
  QuotaState,
  Reservation,
  ReservationEstimate,
  ReservationJob,
  ReservationJobStarted,
  ReservationRequest,
} from "./lib/clients/quota.ts";
export type {
  BulkSubscriptions,
  CatalogSource,
  CloudFilter,
  GetResultsCsvOptions,
  GetResultsOptions,
  ListSubscriptionsOptions,
  PercentBounds,
  ProductSource,
  ResultsFilter,
  Subscription,
  SubscriptionClouds,
  SubscriptionDelivery,
  SubscriptionHosting,
  SubscriptionNotifications,
  SubscriptionRequest,
  SubscriptionResult,
  SubscriptionResultStatus,
  SubscriptionsAPI,
  SubscriptionSource,
  SubscriptionsSummary,
  SubscriptionStatus,
  SubscriptionSummary,
  SubscriptionTool,
  SubscriptionTools,
  SubscriptionTopic,
  SuspendOptions,
  Typed,
  WhichSubscriptions,
} from "./lib/clients/subscriptions.ts";
export type { CallbackPage, CallbackPageKind, RenderCallbackPage } from "./lib/callback/handler.ts";
export type { Clock } from "./lib/runtime.ts";
export {
  ApiError,
  type ApiErrorOptions,
  AuthError,
  type AuthErrorCode,
  type AuthErrorOptions,
  BadGateway,
  BadQuery,
  ClientError,
  Conflict,
  DownloadError,
  type DownloadErrorCode,
  FeatureError,
  GeoJSONError,
  IncompleteError,
  InvalidAPIKey,
  MissingResource,
  NoPermission,
  PagingError,
  type PartFailure,
  PlanetError,
  ServerError,
  TooManyRequests,
} from "./lib/errors.ts";
export type { AuthEvent, LoginStep, RequestEvent, SessionEvent } from "./lib/events.ts";
export type { FetchLike } from "./lib/exchange.ts";
export type { LoginOptions } from "./lib/sign_in/person.ts";
export type {
  AuthorizationRequest,
  DeviceAuthorization,
  LoginProgress,
} from "./lib/sign_in/steps.ts";
export type { TokenState } from "./lib/keeper/keeper.ts";
export type { TokenChecks } from "./lib/oauth/client.ts";
export { Planet, terminalProgress } from "./lib/session.ts";
export type {
  DownloadedFile,
  DownloadOptions,
  DownloadProgress,
  OpenDownloadOptions,
  OpenedDownload,
} from "./lib/download/download.ts";
export type { ProfileEntry } from "./lib/profiles/profiles.ts";
export type { Authorizer } from "./lib/http/plan.ts";
export type {
  CallOptions,
  ListOptions,
  OpenOptions,
  Parameter,
  RequestOptions,
  SessionLike,
} from "./lib/http/requester.ts";
export {
  type ClientClass,
  type Clients,
  DataClient,
  Session,
  type SessionHttpOptions,
} from "./lib/session.ts";
export {
  type DeriveOptions,
  deriveStorageKey,
  EncryptedStorage,
  type EncryptedStorageOptions,
  KvStorage,
  type KvStorageOptions,
  MemoryStorage,
  redisStore,
  SharedStorage,
  type SharedStorageOptions,
  sqlStore,
  type SqlStoreOptions,
  type StorageKey,
} from "./lib/storage/select.ts";
export type {
  KvAtomic,
  KvEntry,
  KvKey,
  KvLike,
  RedisLike,
  RedisSend,
  SqlLike,
  SqlQuery,
} from "./lib/storage/engines.ts";
export { FileStorage, type FileStorageOptions } from "./lib/storage/file.ts";
export { defaultStorage } from "./lib/storage/select.ts";
export type {
  CompareAndSetStore,
  JsonObject,
  JsonValue,
  Lease,
  LockOptions,
  ObjectStorageProvider,
  Versioned,
} from "./lib/storage/objects.ts";
export type { LoginUI } from "./lib/terminal/ui.ts";
