"""The same with planet_auth, which reads and writes the file itself."""
import logging
import sys

import requests
from planet_auth import Auth

origin, token_file, kind = sys.argv[1:4]
logging.disable(logging.CRITICAL)
config = {
    "auth_server": origin,
    "client_id": "bench",
    "audiences": ["https://api.bench.test/"],
}
if kind == "service":
    config |= {"client_type": "oidc_client_credentials_secret", "client_secret": "bench-secret"}
else:
    config |= {"client_type": "oidc_device_code", "scopes": ["planet", "offline_access"]}
auth = Auth.initialize_from_config_dict(client_config=config, token_file=token_file)
print("ready", flush=True)
sys.stdin.readline()
try:
    answer = requests.get(f"{origin}/api", auth=auth.request_authenticator(), timeout=30)
    print(answer.status_code, flush=True)
except Exception as error:
    print("failed:", type(error).__name__, flush=True)
