# Downloads an asset by the SDK for Python; prints time and memory.
import asyncio, json, resource, sys, time
from planet import Auth, Session
from planet.clients.data import DataClient

url, folder = sys.argv[1:]


def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def main():
    async with Session(auth=Auth.from_key("bench")) as session:
        before, since = rss(), time.perf_counter()
        await DataClient(session).download_asset({"location": url}, directory=folder, progress_bar=False)
        ms = (time.perf_counter() - since) * 1000
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"ms": ms, "mib": (most - before) / 2**20}))


asyncio.run(main())
