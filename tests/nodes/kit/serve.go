package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func told(signals ...os.Signal) <-chan os.Signal {
	told := make(chan os.Signal, 1)
	signal.Notify(told, signals...)
	return told
}

func pause([]string) error {
	<-told(syscall.SIGTERM, syscall.SIGINT)
	return nil
}

// The part of agnhost's netexec that examples/ use. It ends at SIGTERM at once, or serves for
// --delay-shutdown seconds. SIGUSR1 turns its health to bad, and back.
func netexec(arguments []string) error {
	flags := flag.NewFlagSet("netexec", flag.ContinueOnError)
	port := flags.Int("http-port", 8080, "the port")
	delay := flags.Int("delay-shutdown", 0, "seconds to go on serving after SIGTERM")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	var sick atomic.Bool
	answer := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, host) }
	http.HandleFunc("/", answer)
	http.HandleFunc("/hostname", answer)
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			http.Error(w, "told so", http.StatusInternalServerError)
		}
	})
	server := &http.Server{Addr: fmt.Sprintf(":%d", *port)}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	end, turn := told(syscall.SIGTERM, syscall.SIGINT), told(syscall.SIGUSR1)
	for {
		select {
		case err := <-failed:
			return err
		case <-turn:
			sick.Store(!sick.Load())
		case <-end:
			if *delay == 0 {
				return nil
			}
			time.Sleep(time.Duration(*delay) * time.Second)
			within, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return server.Shutdown(within)
		}
	}
}

// Prints the time of the signal before it sends it: a container that ends takes this program with it.
func signalFirst(arguments []string) error {
	signals := map[string]syscall.Signal{"USR1": syscall.SIGUSR1, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}
	if len(arguments) != 1 || signals[arguments[0]] == 0 {
		return errors.New("signal USR1, TERM or KILL")
	}
	const ahead = 100 * time.Millisecond
	fmt.Println(time.Now().Add(ahead).UnixMicro())
	time.Sleep(ahead)
	return syscall.Kill(1, signals[arguments[0]])
}
