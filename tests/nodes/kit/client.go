package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How long one request may take. The kernel sends a lost SYN again after a second, within this time.
const patience = 3 * time.Second

// How many connections the client with kept ones has at most.
const kept = 4

// Asks RATE times a second, whether earlier requests have ended or not. The rate does not fall when
// answers do not come, so the lines tell how long they did not. The line of a request is printed when
// it ends: when it began, when it ended (microseconds since 1970), and the answer, or "-" and the error.
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
	transport := &http.Transport{DialContext: (&net.Dialer{}).DialContext}
	if arguments[3] == "kept" {
		transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost = kept, kept
	} else {
		transport.DisableKeepAlives = true
	}
	asker := http.Client{Timeout: patience, Transport: transport}
	var asking sync.WaitGroup
	var printing sync.Mutex
	next := time.NewTicker(time.Second / time.Duration(rate))
	defer next.Stop()
	end := time.After(time.Duration(seconds) * time.Second)
	stop := told(os.Interrupt)
	for {
		select {
		case <-end:
			asking.Wait()
			return nil
		case <-stop:
			return nil
		case <-next.C:
			asking.Go(func() {
				began := time.Now()
				who := ask(&asker, arguments[0])
				ended := time.Now()
				printing.Lock()
				defer printing.Unlock()
				fmt.Println(began.UnixMicro(), ended.UnixMicro(), who)
			})
		}
	}
}

func ask(asker *http.Client, url string) string {
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
