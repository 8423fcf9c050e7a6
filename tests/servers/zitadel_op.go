// The example server of zitadel/oidc on loopback only, with clients for the tests: zitadel PORT
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// How long access tokens live: as long as those of the other servers of the tests.
const life = 5 * time.Second

// What the example stores, with two differences.
type testStorage struct{ *storage.Storage }

// The example's own service user has a secret that is too short to be searched for.
func (s testStorage) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	if secret != "service-s3cret" {
		return nil, errors.New("wrong service user or password")
	}
	return s.Storage.ClientCredentials(ctx, id, "verysecret")
}

// The example's access tokens live for 5 minutes.
func (s testStorage) CreateAccessToken(ctx context.Context, request op.TokenRequest) (string, time.Time, error) {
	id, _, err := s.Storage.CreateAccessToken(ctx, request)
	return id, time.Now().Add(life), err
}

// The same, with a refresh token.
func (s testStorage) CreateAccessAndRefreshTokens(ctx context.Context, request op.TokenRequest, current string) (string, string, time.Time, error) {
	id, refresh, _, err := s.Storage.CreateAccessAndRefreshTokens(ctx, request, current)
	return id, refresh, time.Now().Add(life), err
}

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	address := "127.0.0.1:" + os.Args[1]
	issuer := "http://" + address
	storage.RegisterClients(
		storage.NativeClient("app", "http://127.0.0.1/callback"),
		storage.WebClient("web", "web-s3cret-s3cret", "http://127.0.0.1:8977/callback"),
		storage.DeviceClient("device", "device-s3cret"),
	)
	stored := testStorage{storage.NewStorage(storage.NewUserStore(issuer))}
	router := exampleop.SetupServer(issuer, stored, logger, false)
	fmt.Fprintln(os.Stderr, http.ListenAndServe(address, router))
}
