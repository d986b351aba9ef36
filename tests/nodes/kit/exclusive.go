package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Work that must not run twice. The kernel judges: the lock on a file of the folder is free only when
// the last process that had it has ended, on whichever node. A line of the folder's log is the time on the
// clock that all nodes of this machine share, in microseconds, what happened, and to whom.
func exclusive(arguments []string) error {
	flags := flag.NewFlagSet("exclusive", flag.ContinueOnError)
	drain := flags.Duration("drain", 0, "how long to go on after SIGTERM")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("exclusive FOLDER")
	}
	folder := flags.Arg(0)
	open := func(name string) (*os.File, error) {
		return os.OpenFile(filepath.Join(folder, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	}
	lock, err := open("lock")
	if err != nil {
		return err
	}
	log, err := open("log")
	if err != nil {
		return err
	}
	say := func(what string) {
		var now unix.Timespec
		_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
		fmt.Fprintf(log, "%d %s %s %s\n", now.Nano()/1000, what, os.Getenv("ELECT_IDENTITY"), os.Getenv("ELECT_TERM"))
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		say("overlap")
	}
	say("start")
	<-told(syscall.SIGTERM, syscall.SIGINT)
	time.Sleep(*drain)
	say("end")
	return nil
}
