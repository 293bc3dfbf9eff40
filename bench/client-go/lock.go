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

// gistResource is how a gist is called in the errors that leaderelection tells apart.
var gistResource = schema.GroupResource{Group: "github.com", Resource: "gists"}

var errChanged = errors.New("the record is not the one last seen")

// gistLock keeps client-go's record in the only file of a gist. The API has no compare-and-swap: with
// blind unset the lock reads once more before each write and gives up if the file has changed, which leaves
// the time from that read to the write for others to write in; with blind set it just writes.
//
// Like client-go's own locks it is for one LeaderElector, that is for one goroutine at a time; but token
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

// Get reads the record. A file that never held one is NotFound, upon which leaderelection calls Create.
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

// Update writes a record over the one last seen.
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

// compare refuses if somebody else has written since this lock last saw the file.
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

// asConflict gives GitHub's 409 the type by which leaderelection knows to read anew.
func (l *gistLock) asConflict(err error) error {
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusConflict {
		return apierrors.NewConflict(gistResource, l.id, err)
	}
	return err
}

// token is leaderTransitions of the record last written: while leading, that of the term.
func (l *gistLock) token() int64 { return l.written.Load() }

func (l *gistLock) RecordEvent(event string) {
	klog.InfoS("Election", "identity", l.identity, "event", event)
}

func (l *gistLock) Identity() string { return l.identity }

func (l *gistLock) Describe() string { return "gist/" + l.id }

// isEmpty tells a file that was made for a record and holds none yet: GitHub takes no blank ones.
func isEmpty(content string) bool {
	trimmed := strings.TrimSpace(content)
	return trimmed == "" || trimmed == "{}"
}
