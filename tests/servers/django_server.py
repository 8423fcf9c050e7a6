# Django OAuth Toolkit as one file: PORT=… FOLDER=… python django_server.py seed, then … serve
import os
import secrets
import sys

import django
from django.conf import settings

FOLDER, PORT = os.environ["FOLDER"], os.environ["PORT"]
HERE = os.path.dirname(os.path.abspath(__file__))
SCOPES = ["planet", "offline_access", "openid", "profile", "email", "introspection"]
settings.configure(
    DEBUG=False,
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY=secrets.token_hex(32),
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    # The others take a second of CPU for every login and every client secret.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{FOLDER}/db.sqlite3",
            "OPTIONS": {"timeout": 20},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "DIRS": [f"{HERE}/templates"],
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                ]
            },
        }
    ],
    LOGIN_URL="/login/",
    LOGIN_REDIRECT_URL="/",
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": open(f"{FOLDER}/key.pem").read(),
        "PKCE_REQUIRED": True,
        "SCOPES": {scope: scope for scope in SCOPES},
        "ACCESS_TOKEN_EXPIRE_SECONDS": 5,
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "REFRESH_TOKEN_EXPIRE_SECONDS": 3600,
        "OAUTH_DEVICE_VERIFICATION_URI": f"http://127.0.0.1:{PORT}/o/device/",
        "OAUTH_DEVICE_USER_CODE_GENERATOR": lambda: secrets.token_hex(4).upper(),
        "ALLOWED_REDIRECT_URI_SCHEMES": ["http"],
    },
)
django.setup()

from django.contrib.auth import views  # noqa: E402
from django.core.management import execute_from_command_line  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.urls import metadata_urlpatterns  # noqa: E402

urlpatterns = [
    path("", include(metadata_urlpatterns)),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("login/", views.LoginView.as_view(template_name="login.html")),
]

CALLBACK = "http://127.0.0.1/callback"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
CLIENTS = [
    ("app", "public", "authorization-code", "RS256", CALLBACK, ""),
    ("app-device", "public", DEVICE, "", "", ""),
    ("svc", "confidential", "client-credentials", "", "", "svc-s3cret-s3cret"),
    ("svc-hard", "confidential", "client-credentials", "", "", "p%40ss+w:ord/é=1"),
    ("web", "confidential", "authorization-code", "RS256", CALLBACK, "web-s3cret-s3cret"),
]


def seed():
    from django.contrib.auth.models import User
    from oauth2_provider.models import Application

    execute_from_command_line(["django", "migrate", "--verbosity=0"])
    user = User.objects.create_user("person", "person@example.test", "person-pw")
    for client_id, client_type, grant, algorithm, redirect_uris, secret in CLIENTS:
        Application.objects.create(
            client_id=client_id,
            name=client_id,
            client_type=client_type,
            authorization_grant_type=grant,
            algorithm=algorithm,
            redirect_uris=redirect_uris,
            client_secret=secret,
            user=user,
        )


if sys.argv[1] == "seed":
    seed()
else:
    execute_from_command_line(["django", "runserver", f"127.0.0.1:{PORT}", "--noreload"])
