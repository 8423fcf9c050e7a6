"""The same with the Planet SDK for Python: planet.Auth and planet.Session."""
import asyncio
import sys

from planet import Auth, Session

url = sys.argv[2]


async def main():
    auth = Auth.from_oauth_user_device_code(client_id="bench", profile_name="bench-sdk")
    async with Session(auth) as session:
        answer = await session.request("GET", url)
        print(answer.status_code, len(answer._http_response.text), flush=True)


asyncio.run(main())
