"""The Planet SDK for Python at the end of a pipe: one JSON object in, one out, line by line.

Every request names the home folder and the variables that it is answered with.
"""

import importlib
import json
import os
import pathlib
import sys
import time
import traceback
import warnings

warnings.simplefilter("ignore")
import logging  # noqa: E402

logging.disable(logging.CRITICAL)

import asyncio  # noqa: E402
import datetime  # noqa: E402

import httpx  # noqa: E402
import planet  # noqa: E402
from planet import data_filter, exceptions  # noqa: E402
from planet_auth import FileBackedJsonObject, FileBackedOidcCredential  # noqa: E402
from planet_auth_utils import PlanetAuthFactory  # noqa: E402

VARIABLES = [
    "PL_API_KEY",
    "PL_AUTH_API_KEY",
    "PL_AUTH_CLIENT_ID",
    "PL_AUTH_CLIENT_SECRET",
    "PL_AUTH_PROFILE",
]

kept = {}


def auth_of(request):
    """The session of a profile; kept between requests where `keep` names it."""
    name = request.get("keep")
    if name in kept:
        return kept[name]
    auth = planet.Auth.from_profile(request["profile"])
    if name is not None:
        kept[name] = auth
    return auth


def call(request):
    """Calls a URL with the session of a profile."""
    auth = auth_of(request)
    with httpx.Client(auth=auth, trust_env=False, timeout=20) as client:
        response = client.get(request["url"])
    return {
        "status": response.status_code,
        "authorization": response.request.headers.get("authorization"),
    }


def ensure(request):
    auth_of(request).ensure_initialized()
    return {}


def is_initialized(request):
    return {"value": auth_of(request).is_initialized()}


def construct(request):
    """Makes a session as the constructors do, for servers of one's own."""
    context = PlanetAuthFactory.initialize_auth_client_context_from_custom_config(
        client_config=request["config"],
        initial_token_data={},
        profile_name=request["profile"],
    )
    kept[request["keep"]] = planet.Auth._from_plauth(context)
    return {}


def login(request):
    auth_of(request).user_login(allow_open_browser=True)
    return {}


def device_initiate(request):
    return auth_of(request).device_user_login_initiate()


def device_complete(request):
    auth_of(request).device_user_login_complete(request["info"])
    return {}


def choose(request):
    """What the default session is here."""
    context = PlanetAuthFactory.initialize_auth_client_context()
    config = context.auth_client().config().data()
    return {
        "profileName": context.profile_name(),
        "clientType": config.get("client_type"),
        "clientId": config.get("client_id"),
        "apiKey": config.get("api_key"),
        "tokenPath": str(context.token_file_path()) if context.token_file_path() else None,
    }


def resave(request):
    """Reads files and writes them again, as the SDK does."""
    for path in request["paths"]:
        storage = FileBackedJsonObject(file_path=pathlib.Path(path))
        storage.load()
        storage.save()
    return {}


def write(request):
    """Writes an object as the SDK does."""
    storage = FileBackedJsonObject(file_path=pathlib.Path(request["path"]))
    storage.set_data(json.loads(request["json"]))
    storage.save()
    return {}


def read_for(request):
    """Reads the tokens of a profile again and again, as the SDK does."""
    path = pathlib.Path(".planet") / request["profile"] / "token.json"
    end = time.monotonic() + request["seconds"]
    reads = 0
    broken = []
    tokens = set()
    while time.monotonic() < end:
        credential = FileBackedOidcCredential(None, path)
        try:
            credential.load()
            tokens.add(credential.access_token())
        except Exception as error:
            broken.append(repr(error))
        reads += 1
    return {"reads": reads, "broken": broken, "tokens": len(tokens)}


def filter_argument(value):
    """An argument of a filter: a time, a filter, a list of filters, or as it is."""
    if isinstance(value, dict) and "time" in value:
        return datetime.datetime.fromisoformat(value["time"])
    if isinstance(value, dict) and "filter" in value:
        return make_filter(value)
    if isinstance(value, list):
        return [filter_argument(one) for one in value]
    return value


def make_filter(spec):
    make = getattr(data_filter, spec["filter"])
    bounds = {name: filter_argument(value) for name, value in spec.get("bounds", {}).items()}
    return make(*[filter_argument(one) for one in spec.get("args", [])], **bounds)


def filters(request):
    """What the filters of the SDK are for these arguments, or the class of the error."""
    made = []
    for spec in request["specs"]:
        try:
            made.append({"filter": make_filter(spec)})
        except (exceptions.PlanetError, ValueError, TypeError, KeyError, AttributeError) as error:
            made.append({"error": type(error).__name__})
    return {"made": made}


# The SDK asks Planet for these before a search or an order; the sandbox has no such call.
ITEM_TYPES = ["PSScene", "SkySatScene", "REOrthoTile"]
BUNDLES = ["analytic_udm2", "analytic_8b_udm2", "visual"]
planet.specs.PRODUCT_BUNDLES.cache = {
    "item_types": set(ITEM_TYPES),
    "bundles": {name: {"assets": {one: [] for one in ITEM_TYPES}} for name in BUNDLES},
    "bundle_names": BUNDLES,
}


def made(value):
    """An argument: what a function of the SDK makes (`$`), or as it is."""
    if isinstance(value, list):
        return [made(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "$" not in value:
        return {name: made(one) for name, one in value.items()}
    module, name = value["$"].split(".")
    function = getattr(importlib.import_module(f"planet.{module}"), name)
    return function(*made(value.get("args", [])), **made(value.get("options", {})))


def plain(value):
    """A result as JSON has it."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, pathlib.Path) else value


async def one_call(client, method, args, options):
    if "asset" in options:
        asset = await client.get_asset(*options.pop("asset"))
        args = [asset, *args]
    if "ready" in options:
        asset = await client.get_asset(*options.pop("ready"))
        await client.activate_asset(asset)
        args = [await client.wait_asset(asset, delay=0), *args]
    if "result_of" in options:
        order = await client.get_order(options.pop("result_of"))
        args = [order["_links"]["results"][0]["location"], *args]
    if "first" in options:
        name, *given = options.pop("first")
        args = [await getattr(client, name)(*given), *args]
    if method == "validate_checksum":
        places = [pathlib.Path(one) if isinstance(one, str) and "/" in one else one for one in args]
        return client.validate_checksum(*places)
    states = []
    if method in ("wait", "wait_asset"):
        options = {**options, "callback": states.append}
    if method == "download_asset":
        options = {**options, "progress_bar": False}
    if "directory" in options:
        options = {**options, "directory": pathlib.Path(options["directory"])}
    result = getattr(client, method)(*args, **options)
    if hasattr(result, "__aiter__"):
        return [one async for one in result]
    result = await result
    return [result, states] if method == "wait" else plain(result)


loop = asyncio.new_event_loop()
clients = {}
CLASSES = {
    "data": planet.DataClient,
    "destinations": planet.clients.DestinationsClient,
    "features": planet.clients.FeaturesClient,
    "mosaics": planet.clients.MosaicsClient,
    "orders": planet.OrdersClient,
    "quota": planet.clients.QuotaClient,
    "subscriptions": planet.SubscriptionsClient,
}


async def answered(request):
    """One session for all calls: making one takes a while."""
    client = clients.get(request["base"])
    if client is None:
        session = planet.Session(auth=planet.Auth.from_key(request["key"]))
        kind = CLASSES[request["client"]]
        client = clients[request["base"]] = kind(session, base_url=request["base"])
    method, args, options = request["ask"]
    try:
        return {"result": await one_call(client, method, made(args), made(options))}
    except exceptions.PlanetError as error:
        return {"error": type(error).__name__}


def client_call(request):
    """Calls an API by its client."""
    return loop.run_until_complete(answered(request))


def asked_before(request):
    """What the SDK asks for before a call with item types, which goes no further here."""
    asked = []

    def refuse(url):
        asked.append(url)
        raise httpx.ConnectError("not here")

    kept_cache, kept_get = planet.specs.PRODUCT_BUNDLES.cache, httpx.get
    planet.specs.PRODUCT_BUNDLES.cache = None
    httpx.get = refuse
    try:
        client_call(request)
    except planet.specs.FetchBundlesSpecError:
        pass
    finally:
        planet.specs.PRODUCT_BUNDLES.cache = kept_cache
        httpx.get = kept_get
    return {"asked": asked}


def answer(request):
    os.environ["HOME"] = request["home"]
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(request.get("env", {}))
    return globals()[request["call"]](request)


replies = sys.stdout
# What the SDK prints must not get between the answers.
sys.stdout = sys.stderr
for line in sys.stdin:
    try:
        reply = {"ok": answer(json.loads(line))}
    except BaseException as error:  # noqa: BLE001
        if isinstance(error, KeyboardInterrupt):
            raise
        reply = {
            "error": type(error).__name__,
            "message": str(error),
            "trace": traceback.format_exc(),
        }
    print(json.dumps(reply), file=replies, flush=True)
