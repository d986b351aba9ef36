package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How long one request may take. The kernel sends a lost SYN again after a second, within this time.
const patience = 3 * time.Second

// How many connections the client with kept ones has.
const kept = 4

// Asks RATE times a second. The line of a request is printed when it ends: when it began, when it ended
// (microseconds since 1970), and the answer, or "-" and the error.
func client(arguments []string) error {
	if len(arguments) != 4 || (arguments[3] != "new" && arguments[3] != "kept") {
		return errors.New("client URL RATE SECONDS new|kept")
	}
	rate, err := strconv.Atoi(arguments[1])
	if err != nil || rate < 1 {
		return fmt.Errorf("the rate %q is no number", arguments[1])
	}
	seconds, err := strconv.Atoi(arguments[2])
	if err != nil {
		return fmt.Errorf("the seconds %q are no number", arguments[2])
	}
	end, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if arguments[3] == "new" {
			askAnew(end, arguments[0], time.Second/time.Duration(rate))
		} else {
			askAgain(end, arguments[0], kept*time.Second/time.Duration(rate))
		}
	}()
	select {
	case <-done:
	case <-told(os.Interrupt):
	}
	return nil
}

// A connection for each request, whether earlier requests have ended or not. The rate does not fall when
// answers do not come, so the lines tell how long they did not.
func askAnew(end context.Context, url string, period time.Duration) {
	asker := http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	var asking sync.WaitGroup
	next := time.NewTicker(period)
	defer next.Stop()
	for {
		select {
		case <-end.Done():
			asking.Wait()
			return
		case <-next.C:
			asking.Go(func() { ask(&asker, url) })
		}
	}
}

// A few connections that are kept. Each has one request at a time, as those of a pool. After an error or a
// time-out it is closed, and the next request opens another.
func askAgain(end context.Context, url string, period time.Duration) {
	var asking sync.WaitGroup
	for range kept {
		asking.Go(func() {
			asker := http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dial}}
			next := time.NewTicker(period)
			defer next.Stop()
			for {
				select {
				case <-end.Done():
					return
				case <-next.C:
					ask(&asker, url)
				}
			}
		})
	}
	asking.Wait()
}

// The source ports, one after the other: at 200 requests a second each is used again after four minutes.
const firstPort, ports = 10_000, 50_000

var dialled atomic.Uint32

// Connects from a port that was not used for long. conntrack remembers for ten seconds where it has sent a
// connection that was refused, and for two minutes one that was not answered. It sends a new connection from the
// same port there, too.
func dial(until context.Context, network, address string) (net.Conn, error) {
	for {
		from := net.TCPAddr{Port: firstPort + int(dialled.Add(1)%ports)}
		connection, err := (&net.Dialer{LocalAddr: &from}).DialContext(until, network, address)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return connection, err
		}
	}
}

var printing sync.Mutex

func ask(asker *http.Client, url string) {
	began := time.Now()
	who := answer(asker, url)
	ended := time.Now()
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(began.UnixMicro(), ended.UnixMicro(), who)
}

func answer(asker *http.Client, url string) string {
	response, err := asker.Get(url)
	if err != nil {
		return "- " + strings.ReplaceAll(err.Error(), "\n", " ")
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 256))
	switch {
	case err != nil:
		return "- " + err.Error()
	case response.StatusCode != http.StatusOK:
		return "- " + response.Status
	}
	return strings.TrimSpace(string(body))
}
