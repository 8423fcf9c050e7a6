"""The same with planet_auth, the library below the Planet SDK for Python, and requests."""
import sys

import requests
from planet_auth import Auth

token_file, url = sys.argv[1:3]
origin = url.rsplit("/", 1)[0]
auth = Auth.initialize_from_config_dict(
    client_config={
        "client_type": "oidc_device_code",
        "auth_server": origin,
        "client_id": "bench",
        "scopes": ["planet", "offline_access"],
        "audiences": ["https://api.bench.test/"],
    },
    token_file=token_file,
)
answer = requests.get(url, auth=auth.request_authenticator(), timeout=10)
print(answer.status_code, len(answer.text), flush=True)
