// The client of every row: a closed loop of requests over HTTP/1.1, or of gRPC calls over HTTP/2 in clear text.
//
// Both protocols are spoken by hand over plain sockets, one goroutine a connection, so that the client costs little beside a Python server and the same
// in every row that is compared. Each answer is checked. What was measured is printed as one line of JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// What the servers answer, and what may follow if they stamp their answers.
	greeting  = "Hello Ada!"
	drainTime = 10 * time.Second
)

// sample is one request that was answered within the time measured, in nanoseconds.
type sample struct {
	// From before it was written until its answer was read: total. The parts are 0 unless the server stamps its answers.
	total, there, handler, back int64
}

// recorder keeps the samples of one connection, and says when its next request is due.
type recorder struct {
	begin, end int64
	samples    []sample
	// With a given rate: when the next request is due, and the time to the one after. Without one both are 0: a request follows an answer.
	due, interval int64
}

// next waits until a request is due and returns the time from which its latency counts, which is not later than now: an answer that comes late makes
// the requests behind it late, and they count that too. It returns false when the time is over.
func (r *recorder) next() (int64, bool) {
	current := now()
	if r.interval == 0 {
		return current, current < r.end
	}
	due := r.due
	r.due += r.interval
	time.Sleep(time.Duration(due - current))
	return due, max(due, current) < r.end
}

// record takes a request that was sent at `sent` and answered just now with a text that was found right.
func (r *recorder) record(sent, now int64, text []byte) error {
	started, ended, err := stamps(text)
	if err != nil {
		return err
	}
	if now < r.begin || now >= r.end {
		return nil
	}
	found := sample{total: now - sent}
	if ended != 0 {
		found.there, found.handler, found.back = started-sent, ended-started, now-ended
	}
	r.samples = append(r.samples, found)
	return nil
}

// now is the clock that Python's time.monotonic_ns reads too.
func now() int64 {
	var found unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &found); err != nil {
		log.Fatal(err)
	}
	return found.Nano()
}

// stamps checks a greeting and reads the times that may follow it: `Hello Ada! STARTED ENDED`.
func stamps(text []byte) (started, ended int64, err error) {
	if len(text) < len(greeting) || string(text[:len(greeting)]) != greeting {
		return 0, 0, fmt.Errorf("answered %.100q, expected %q", text, greeting)
	}
	rest := text[len(greeting):]
	if len(rest) == 0 {
		return 0, 0, nil
	}
	if _, err := fmt.Sscanf(string(rest), " %d %d", &started, &ended); err != nil {
		return 0, 0, fmt.Errorf("answered %.100q: %w", text, err)
	}
	return started, ended, nil
}

func main() {
	protocol := flag.String("protocol", "http", "http or grpc")
	target := flag.String("target", "", "HOST:PORT")
	connections := flag.Int("connections", 100, "connections")
	streams := flag.Int("streams", 1, "calls in flight on each connection; 1 with http")
	rate := flag.Float64("rate", 0, "requests a second, sent whether answers come or not, as far as connections go; 0: as many as are answered")
	warmUp := flag.Duration("warm-up", time.Second, "time before measuring")
	duration := flag.Duration("duration", 4*time.Second, "time measured")
	flag.Parse()

	loop := greetOverHTTP
	switch {
	case *protocol == "grpc":
		loop = func(target string, recorder *recorder) error { return greetOverGRPC(target, *streams, recorder) }
	case *protocol != "http":
		log.Fatalf("-protocol %s: expected http or grpc", *protocol)
	case *streams != 1:
		log.Fatal("-streams: HTTP/1.1 has one request in flight on a connection")
	}
	if *rate > 0 && *streams != 1 {
		log.Fatal("-rate: expected 1 stream on a connection")
	}
	if *connections < 1 || *streams < 1 {
		log.Fatal("-connections, -streams: expected 1 or more")
	}
	// One thread runs Go: more of them spin between answers, and take from the servers what they do not use.
	runtime.GOMAXPROCS(1)
	begin := now() + warmUp.Nanoseconds()
	recorders := make([]recorder, *connections)
	failed := make(chan error, *connections)
	var running sync.WaitGroup
	for index := range recorders {
		recorders[index] = recorder{begin: begin, end: begin + duration.Nanoseconds()}
		if *rate > 0 {
			recorders[index].interval = int64(float64(*connections) / *rate * 1e9)
			recorders[index].due = now() + int64(float64(index) / *rate * 1e9)
		}
		running.Go(func() {
			if err := loop(*target, &recorders[index]); err != nil {
				failed <- err
			}
		})
	}
	time.Sleep(*warmUp)
	before := cpu()
	// The parent reads the counters of the servers between these two lines.
	fmt.Println("begin")
	time.Sleep(*duration)
	used := cpu() - before
	fmt.Println("end")

	ended := make(chan struct{})
	go func() { running.Wait(); close(ended) }()
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-time.After(drainTime):
		log.Fatalf("requests are unanswered %v after the end", drainTime)
	case <-ended:
	}
	select {
	case err := <-failed:
		log.Fatal(err)
	default:
	}
	var samples []sample
	for _, recorder := range recorders {
		samples = append(samples, recorder.samples...)
	}
	if len(samples) == 0 {
		log.Fatal("nothing was answered")
	}
	report(samples, duration.Seconds(), used)
}

// cpu is what this process has used so far.
func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func report(samples []sample, seconds float64, used time.Duration) {
	slices.SortFunc(samples, func(a, b sample) int { return int(a.total - b.total) })
	at := func(share float64) float64 { return milliseconds(samples[int(share*float64(len(samples)-1))].total) }
	found := map[string]any{
		"requests": len(samples),
		"rate":     float64(len(samples)) / seconds,
		"mean_ms":  mean(samples, func(s sample) int64 { return s.total }),
		"p50_ms":   at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "p999_ms": at(0.999), "max_ms": at(1),
		"cpu_us": float64(used.Microseconds()) / float64(len(samples)),
	}
	if samples[0].handler != 0 {
		found["typical"] = parts(samples[int(0.4*float64(len(samples))) : int(0.6*float64(len(samples)))+1])
		found["slowest"] = parts(samples[int(0.99*float64(len(samples))):])
	}
	line, err := json.Marshal(found)
	if err != nil {
		log.Fatal(err)
	}
	os.Stdout.Write(append(line, '\n'))
}

// parts is where a group of requests spent their time, on average.
func parts(samples []sample) map[string]float64 {
	return map[string]float64{
		"total_ms":   mean(samples, func(s sample) int64 { return s.total }),
		"there_ms":   mean(samples, func(s sample) int64 { return s.there }),
		"handler_ms": mean(samples, func(s sample) int64 { return s.handler }),
		"back_ms":    mean(samples, func(s sample) int64 { return s.back }),
	}
}

func mean(samples []sample, part func(sample) int64) float64 {
	var sum int64
	for _, one := range samples {
		sum += part(one)
	}
	return milliseconds(sum) / float64(len(samples))
}

func milliseconds(nanoseconds int64) float64 {
	return float64(nanoseconds) / 1e6
}
