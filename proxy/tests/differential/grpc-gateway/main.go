// A grpc-gateway v2 as its README sets it up, for the services of differential.proto: generated handlers and no options but one.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	// So that it knows the standard details of errors, as most programs do.
	_ "google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"transom.test/gateways/differential"
)

func main() {
	upstream := flag.String("upstream", "", "address of the gRPC server")
	flag.Parse()

	// SEMANTICS 129: what `Grpc-Metadata-*` means to every release before 2.33, and to the clients that rely on it.
	mux := runtime.NewServeMux(runtime.WithIncomingHeaderMatcher(runtime.LegacyHeaderMatcher))
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	for _, register := range []func(context.Context, *runtime.ServeMux, string, []grpc.DialOption) error{
		differential.RegisterPathsHandlerFromEndpoint,
		differential.RegisterBodiesHandlerFromEndpoint,
		differential.RegisterAnswersHandlerFromEndpoint,
		differential.RegisterChosenHandlerFromEndpoint,
	} {
		if err := register(context.Background(), mux, *upstream, options); err != nil {
			log.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, mux))
}
