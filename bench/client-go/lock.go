package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"
)

// gistResource names a gist in the errors that leaderelection distinguishes.
var gistResource = schema.GroupResource{Group: "github.com", Resource: "gists"}

var errChanged = errors.New("the record is not the observed one")

// gistLock keeps client-go's record in the only file of a gist. The API has no compare-and-swap: with
// blind unset the lock reads once more before each write and gives up if the file has changed, which leaves
// a gap between that read and the write; with blind set it writes without comparing.
//
// Like client-go's own locks it must be used by one LeaderElector, so by one goroutine at a time; only token
// may be called by any.
type gistLock struct {
	gist     *gist
	id       string
	identity string
	blind    bool
	seen     string       // the file's content, as this lock last read or wrote it
	written  atomic.Int64 // leaderTransitions of the record last written
}

var _ resourcelock.Interface = (*gistLock)(nil)

// Get reads the record. A file that never held one is NotFound, so leaderelection calls Create.
func (l *gistLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	content, err := l.gist.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	l.seen = content
	if isEmpty(content) {
		return nil, nil, apierrors.NewNotFound(gistResource, l.id)
	}
	var record resourcelock.LeaderElectionRecord
	if err := json.Unmarshal([]byte(content), &record); err != nil {
		return nil, nil, fmt.Errorf("the file does not hold a record: %w", err)
	}
	return &record, []byte(content), nil
}

// Create writes the first record.
func (l *gistLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.replace(ctx, record)
}

// Update writes a record over the one last observed.
func (l *gistLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.replace(ctx, record)
}

func (l *gistLock) replace(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	content, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if err := l.compare(ctx); err != nil {
		return err
	}
	if err := l.gist.write(ctx, string(content)); err != nil {
		return l.asConflict(err)
	}
	l.seen = string(content)
	l.written.Store(int64(record.LeaderTransitions))
	return nil
}

// compare returns a conflict if the file has changed since this lock last read or wrote it.
func (l *gistLock) compare(ctx context.Context) error {
	if l.blind {
		return nil
	}
	content, err := l.gist.read(ctx)
	if err != nil {
		return err
	}
	if content != l.seen {
		return apierrors.NewConflict(gistResource, l.id, errChanged)
	}
	return nil
}

// asConflict converts GitHub's 409 to the error type that makes leaderelection read again.
func (l *gistLock) asConflict(err error) error {
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusConflict {
		return apierrors.NewConflict(gistResource, l.id, err)
	}
	return err
}

// token returns leaderTransitions of the record last written: while leading, the fencing token of the term.
func (l *gistLock) token() int64 { return l.written.Load() }

func (l *gistLock) RecordEvent(event string) {
	klog.InfoS("Election", "identity", l.identity, "event", event)
}

func (l *gistLock) Identity() string { return l.identity }

func (l *gistLock) Describe() string { return "gist/" + l.id }

// isEmpty returns whether a file was created for a record but holds none yet; GitHub accepts no blank files.
func isEmpty(content string) bool {
	trimmed := strings.TrimSpace(content)
	return trimmed == "" || trimmed == "{}"
}
