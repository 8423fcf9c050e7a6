// The example server of zitadel/oidc on loopback only, with clients for the tests: zitadel PORT
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// The example's own service user has a secret that is too short to be searched for.
type longSecrets struct{ *storage.Storage }

func (s longSecrets) ClientCredentials(ctx context.Context, id, secret string) (op.Client, error) {
	if secret != "service-s3cret" {
		return nil, errors.New("wrong service user or password")
	}
	return s.Storage.ClientCredentials(ctx, id, "verysecret")
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
	stored := longSecrets{storage.NewStorage(storage.NewUserStore(issuer))}
	router := exampleop.SetupServer(issuer, stored, logger, false)
	fmt.Fprintln(os.Stderr, http.ListenAndServe(address, router))
}
