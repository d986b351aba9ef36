// Acts only while its pod leads, by the role file of `election-operator follow`.
//
//	main FILE
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"
)

// CLOCK_BOOTTIME: all containers of a node share it, and it goes on while the machine sleeps.
const clockBoottime = 7

// What an act takes at most. A claim that ends sooner is not enough for it.
const longestAct = time.Second

type role struct {
	Self  bool  `json:"self"`
	Term  int64 `json:"term"`
	Until int64 `json:"until_boottime_ns"`
}

func bootTime() int64 {
	var now syscall.Timespec
	if _, _, failed := syscall.Syscall(
		syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&now)), 0); failed != 0 {
		panic(failed) // A program that cannot tell the time must not act.
	}
	return now.Nano()
}

// mayAct reads the file anew, because only its last version counts. It gives the term of this pod, and
// whether the pod leads for long enough. The clock decides, not the file: nothing may write it any more.
func mayAct(file string) (term int64, may bool) {
	content, err := os.ReadFile(file)
	var role role
	if err != nil || json.Unmarshal(content, &role) != nil || !role.Self {
		return 0, false
	}
	return role.Term, bootTime()+longestAct.Nanoseconds() < role.Until
}

// act is where your work goes. Send the term along: a receiver can refuse a lower one.
func act(term int64) { fmt.Printf("acted in term %d\n", term) }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "main FILE")
		os.Exit(2)
	}
	end, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	next := time.NewTicker(time.Second)
	acted := false
	for {
		select {
		case <-end.Done():
			return
		case <-next.C:
		}
		term, may := mayAct(os.Args[1]) // Before each act, not once.
		if may {
			act(term)
		} else if acted {
			fmt.Println("acts no longer")
		}
		acted = may
	}
}
