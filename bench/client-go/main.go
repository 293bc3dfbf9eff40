// Command client-go-gist runs for election with the real k8s.io/client-go/tools/leaderelection on a record in a
// GitHub gist, as a contender in the bench. Its README describes its limits.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/klog/v2"
)

func main() {
	settings, err := settingsFromEnvironment()
	if err != nil {
		fmt.Fprintln(os.Stderr, "client-go-gist:", err)
		os.Exit(2)
	}
	signalled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(signalled, stop) // a second signal kills
	if err := runForElection(signalled, settings); err != nil {
		fmt.Fprintln(os.Stderr, "client-go-gist:", err)
		os.Exit(1)
	}
	klog.Flush()
}

// runForElection runs for election, and rejoins after each lost lease, until signalled.
func runForElection(signalled context.Context, s *settings) error {
	work := &workload{out: os.Stdout, beats: s.beats}
	// ReleaseOnCancel releases the lease as soon as the election's context ends, whether or not the work has
	// stopped. So a signal stops the work first, and the election after it.
	election, giveUp := context.WithCancel(context.Background())
	context.AfterFunc(signalled, func() {
		work.wait()
		giveUp()
	})
	for election.Err() == nil {
		lock := s.newLock()
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock:            lock,
			LeaseDuration:   s.leaseDuration,
			RenewDeadline:   s.renewDeadline,
			RetryPeriod:     s.retryPeriod,
			ReleaseOnCancel: true,
			Name:            lock.Describe(),
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(leading context.Context) { work.run(leading, signalled, lock.token()) },
				OnStoppedLeading: func() {},
			},
		})
		if err != nil {
			return err
		}
		elector.Run(election)
		work.wait() // Run has only ended its context
	}
	return nil
}

type settings struct {
	apiURL, gistID, apiToken, name            string
	leaseDuration, renewDeadline, retryPeriod time.Duration
	blind, beats                              bool
}

func (s *settings) newLock() *gistLock {
	// Like client-go's own locks, so that one hanging request does not cost the lease.
	timeout := max(time.Second, s.renewDeadline/2)
	return &gistLock{
		gist:     newGist(s.apiURL, s.gistID, s.apiToken, timeout),
		id:       s.gistID,
		identity: s.name,
		blind:    s.blind,
	}
}

func settingsFromEnvironment() (*settings, error) {
	var wrong []error
	text := func(name, fallback string) string {
		if value := os.Getenv(name); value != "" {
			return value
		}
		if fallback == "" {
			wrong = append(wrong, fmt.Errorf("%s is not set", name))
		}
		return fallback
	}
	duration := func(name, fallback string) time.Duration {
		value, err := time.ParseDuration(text(name, fallback))
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
		}
		return value
	}
	choice := func(name, unset, set string) bool {
		value := text(name, unset)
		if value != unset && value != set {
			wrong = append(wrong, fmt.Errorf("%s is %q, and can be %s or %s", name, value, unset, set))
		}
		return value == set
	}
	host, _ := os.Hostname()
	s := &settings{
		apiURL:        text("GITHUB_API_URL", "https://api.github.com"),
		gistID:        text("GIST_ID", ""),
		apiToken:      text("GITHUB_API_TOKEN", ""),
		name:          text("LEADER_NAME", host),
		leaseDuration: duration("LEASE_DURATION", "30s"),
		renewDeadline: duration("RENEW_DEADLINE", "16s"),
		retryPeriod:   duration("RETRY_PERIOD", "8s"),
		blind:         choice("GIST_LOCK", "compare", "blind"),
		beats:         choice("BEATS", "false", "true"),
	}
	return s, errors.Join(wrong...)
}
