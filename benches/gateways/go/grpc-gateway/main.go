// A grpc-gateway v2 as its README sets it up: generated handlers, no options but the addresses.
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
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"transom.test/gateways/bench"
	"transom.test/gateways/routes"
)

func main() {
	upstream := flag.String("upstream", "127.0.0.1:9090", "address of the gRPC server")
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	flag.Parse()

	connection, err := grpc.NewClient(*upstream, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	mux := runtime.NewServeMux()
	register := append([]routes.Register{bench.RegisterBenchHandler}, routes.Handlers...)
	for _, handler := range register {
		if err := handler(context.Background(), mux, connection); err != nil {
			log.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, mux))
}
