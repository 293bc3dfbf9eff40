package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// beatPeriod is the precision to which the end of a killed workload is known.
const beatPeriod = 20 * time.Millisecond

// workload runs while leading: it prints its start, that it runs, and its end.
type workload struct {
	out     io.Writer
	beats   bool
	running sync.Mutex // held while it runs
}

// run runs until either context ends. leaderelection calls it in a goroutine without waiting, so a
// context may have ended before it begins; then it does nothing.
func (w *workload) run(leading, signalled context.Context, token int64) {
	w.running.Lock()
	defer w.running.Unlock()
	if leading.Err() != nil || signalled.Err() != nil {
		return
	}
	w.print("leads", token)
	defer w.print("stops", token)
	var beat <-chan time.Time // nil: never
	if w.beats {
		ticker := time.NewTicker(beatPeriod)
		defer ticker.Stop()
		beat = ticker.C
	}
	for {
		select {
		case <-leading.Done():
			return
		case <-signalled.Done():
			return
		case <-beat:
			w.print("beats", token)
		}
	}
}

// wait returns when the workload has stopped. Call it after the end of either context.
func (w *workload) wait() {
	w.running.Lock()
	defer w.running.Unlock()
}

// print writes one line with a single call, stamped with the time since boot, which all processes share.
func (w *workload) print(event string, token int64) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		panic(err) // Linux has had this clock since 2.6.39
	}
	fmt.Fprintf(w.out, "%d %s %d\n", now.Nano(), event, token)
}
