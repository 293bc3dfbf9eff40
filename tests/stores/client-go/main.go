// Command client-go-lease runs for election with k8s.io/client-go on a Lease, beside electors. It logs its terms
// as an elector does with LOG_FORMAT=json. SIGTERM ends it; the lease is released.
package main

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

func main() {
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host:            os.Getenv("API_SERVER"),
		BearerToken:     os.Getenv("API_TOKEN"),
		TLSClientConfig: rest.TLSClientConfig{CAFile: os.Getenv("API_CA_FILE")},
		Timeout:         duration("RENEW_DEADLINE") / 2,
	})
	if err != nil {
		panic(err)
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: os.Getenv("NAMESPACE"), Name: os.Getenv("NAME")},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: os.Getenv("LEADER_NAME")},
	}
	signalled, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	election, giveUp := context.WithCancel(context.Background())
	term := &term{lock: lock}
	context.AfterFunc(signalled, func() {
		// client-go releases the lease before it calls OnStoppedLeading.
		term.close()
		giveUp()
	})
	for election.Err() == nil {
		leaderelection.RunOrDie(election, leaderelection.LeaderElectionConfig{
			Lock:            lock,
			LeaseDuration:   duration("LEASE_DURATION"),
			RenewDeadline:   duration("RENEW_DEADLINE"),
			RetryPeriod:     duration("RETRY_PERIOD"),
			ReleaseOnCancel: true,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: term.begin,
				OnStoppedLeading: term.end,
			},
		})
	}
}

// term is the current term of leadership.
type term struct {
	lock   *resourcelock.LeaseLock
	mutex  sync.Mutex
	leads  bool
	closed bool
	number int
}

// close ends the term, and no other one begins.
func (t *term) close() {
	t.mutex.Lock()
	t.closed = true
	t.mutex.Unlock()
	t.end()
}

// begin logs that a term has begun, unless it has ended already.
func (t *term) begin(leading context.Context) {
	now := time.Now()
	record, _, err := t.lock.Get(leading)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if err != nil || t.closed || leading.Err() != nil || record.HolderIdentity != t.lock.Identity() {
		return
	}
	t.leads, t.number = true, record.LeaderTransitions
	t.log(now, "started_leading")
}

// end logs that the term has ended, if one has begun.
func (t *term) end() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.leads {
		t.log(time.Now(), "workload_stopped")
	}
	t.leads = false
}

func (t *term) log(at time.Time, event string) {
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"time": at.UTC().Format(time.RFC3339Nano), "level": "info", "event": event, "fencing_token": t.number,
	})
}

func duration(name string) time.Duration {
	value, err := time.ParseDuration(os.Getenv(name))
	if err != nil {
		panic(name + ": " + err.Error())
	}
	return value
}
