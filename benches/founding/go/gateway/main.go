// A grpc-gateway v2 as its README sets it up, and with one option more: how many connections to the server its calls take turns on.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"transom.test/founding/hello"
)

// turns gives each call to the next of several connections.
type turns struct {
	connections []*grpc.ClientConn
	next        atomic.Uint64
}

func (t *turns) pick() *grpc.ClientConn {
	return t.connections[t.next.Add(1)%uint64(len(t.connections))]
}

func (t *turns) Invoke(ctx context.Context, method string, request, reply any, options ...grpc.CallOption) error {
	return t.pick().Invoke(ctx, method, request, reply, options...)
}

func (t *turns) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	return t.pick().NewStream(ctx, desc, method, options...)
}

func main() {
	upstream := flag.String("upstream", "127.0.0.1:9090", "address of the gRPC server")
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	connections := flag.Int("connections", 1, "connections to the server")
	flag.Parse()

	if *connections < 1 {
		log.Fatalf("-connections %d: expected 1 or more", *connections)
	}
	pool := &turns{}
	for range *connections {
		connection, err := grpc.NewClient(*upstream, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			log.Fatal(err)
		}
		pool.connections = append(pool.connections, connection)
	}
	mux := runtime.NewServeMux()
	var err error
	if *connections == 1 {
		// As everyone has it, without a turn to take.
		err = hello.RegisterGreeterHandler(context.Background(), mux, pool.connections[0])
	} else {
		err = hello.RegisterGreeterHandlerClient(context.Background(), mux, hello.NewGreeterClient(pool))
	}
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, mux))
}
