// A load generator with a constant schedule, free of coordinated omission.
//
// One request is due every 1/rate seconds, whatever became of those before it. It is sent by the connection that has been
// free the longest, or by the next that becomes free, and its latency counts from the moment when it was due: a gateway
// that stalls for 100 ms is charged with all the requests that were due in them. With -rate 0 every connection sends as soon
// as it is answered, which finds the peak. One thread; the result is a line of JSON.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	address := flag.String("address", "", "host:port to load")
	method := flag.String("method", "GET", "HTTP method")
	path := flag.String("path", "/", "HTTP path, or /package.Service/Method with -grpc")
	bodyFile := flag.String("body", "", "file with the body; with -grpc, the message on the wire")
	status := flag.Int("status", 200, "status that an answer must have; not with -grpc")
	length := flag.Int("length", 0, "bytes that an answer's body must have; 0 is any, with -grpc the message that was sent")
	isGRPC := flag.Bool("grpc", false, "plain gRPC calls instead of HTTP/1.1 requests")
	rate := flag.Float64("rate", 0, "requests a second; 0 is as many as are answered")
	connections := flag.Int("connections", 64, "connections, each with one request at a time")
	lanes := flag.Int("lanes", 1, "with -grpc: calls at a time on each connection")
	warmUp := flag.Duration("warm-up", time.Second, "time before latencies count")
	duration := flag.Duration("duration", 5*time.Second, "time in which they count")
	flag.Parse()

	var body []byte
	if *bodyFile != "" {
		var err error
		if body, err = os.ReadFile(*bodyFile); err != nil {
			log.Fatal(err)
		}
	}
	dial := func() conversation {
		return &http1{request: httpRequest(*method, *path, *address, body), wantedStatus: *status, wantedLength: *length}
	}
	if *isGRPC {
		dial = func() conversation { return newGRPC(*path, *address, body, *length, *lanes) }
	} else if *lanes != 1 {
		log.Fatal("-lanes: a connection of HTTP/1.1 has one request at a time")
	}
	result, err := drive(*address, *connections, *lanes, dial, schedule{rate: *rate, warmUp: *warmUp, duration: *duration})
	if err != nil {
		log.Fatal(err)
	}
	line, err := json.Marshal(result)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

func httpRequest(method, path, address string, body []byte) []byte {
	var request bytes.Buffer
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, address)
	if len(body) > 0 || strings.EqualFold(method, "POST") {
		fmt.Fprintf(&request, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	request.WriteString("\r\n")
	request.Write(body)
	return request.Bytes()
}
