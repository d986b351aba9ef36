// The one program inside the images of these tests, and the one that makes the images.
//
//	kit pause                                        waits until it is told to end
//	kit netexec --http-port=8080                     the application of examples/: /healthz, /hostname
//	kit client URL RATE SECONDS new|kept             asks, each time with a new connection or with kept ones
//	kit exclusive [--drain TIME] FOLDER              work that must not run twice: says so if it does
//	kit signal USR1|TERM|KILL                        sends a signal to process 1 of the container, for kubectl exec
//	kit dns ADDRESS KUBECTL…                         answers for the names of Services
//	kit image OUT.tar NAME LAYER-ROOT CONFIG-JSON    packs a folder as an image, from nothing
package main

import (
	"fmt"
	"os"
)

func main() {
	commands := map[string]func([]string) error{
		"pause": pause, "netexec": netexec, "client": client, "exclusive": exclusive, "signal": signalFirst,
		"dns": dns, "image": image,
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "kit: pause, netexec, client, exclusive, signal, dns or image")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "kit:", err)
		os.Exit(1)
	}
}
