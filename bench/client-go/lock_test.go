package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// service is a gist whose content tests read and change at will. Its requests come one after the other.
type service struct {
	content string
	status  int // of the next answers
	methods []string
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.methods = append(s.methods, r.Method)
	if s.status != http.StatusOK {
		http.Error(w, "no", s.status)
		return
	}
	type files struct {
		Files map[string]map[string]string `json:"files"`
	}
	if r.Method == http.MethodPatch {
		body, _ := io.ReadAll(r.Body)
		var patch files
		if json.Unmarshal(body, &patch) != nil || len(patch.Files) != 1 {
			http.Error(w, "what?", http.StatusUnprocessableEntity)
			return
		}
		s.content = patch.Files["leader.json"]["content"]
	}
	_ = json.NewEncoder(w).Encode(files{map[string]map[string]string{"leader.json": {"content": s.content}}})
}

func open(t *testing.T, content string, blind bool) (*gistLock, *service) {
	t.Helper()
	s := &service{content: content, status: http.StatusOK}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return &gistLock{gist: newGist(server.URL, "g", "token", time.Minute), id: "g", identity: "a", blind: blind}, s
}

func record(holder string, transitions int) resourcelock.LeaderElectionRecord {
	return resourcelock.LeaderElectionRecord{HolderIdentity: holder, LeaderTransitions: transitions}
}

func TestMissingRecordIsNotFoundThenCreated(t *testing.T) {
	for _, content := range []string{"{}", " {}\n", ""} {
		lock, _ := open(t, content, false)
		if _, _, err := lock.Get(context.Background()); !apierrors.IsNotFound(err) {
			t.Fatalf("Get of %q: %v", content, err)
		}
		if err := lock.Create(context.Background(), record("a", 0)); err != nil {
			t.Fatal(err)
		}
		if found, _, err := lock.Get(context.Background()); err != nil || found.HolderIdentity != "a" {
			t.Fatalf("after Create of %q: %v, %v", content, found, err)
		}
	}
}

func TestLeaderRenewsItsOwnWrite(t *testing.T) {
	lock, s := open(t, "{}", false)
	_, _, _ = lock.Get(context.Background())
	for transitions := range 3 {
		if err := lock.Update(context.Background(), record("a", transitions)); err != nil {
			t.Fatal(err)
		}
	}
	if lock.token() != 2 || len(s.methods) != 1+3*2 {
		t.Fatalf("token %d after %v", lock.token(), s.methods)
	}
}

func TestComparingUpdateConflictsAfterForeignWrite(t *testing.T) {
	lock, s := open(t, "{}", false)
	_, _, _ = lock.Get(context.Background())
	s.content = `{"holderIdentity":"b"}`
	if err := lock.Update(context.Background(), record("a", 1)); !apierrors.IsConflict(err) {
		t.Fatalf("not a conflict: %v", err)
	}
	if s.content != `{"holderIdentity":"b"}` || lock.token() != 0 {
		t.Fatalf("token %d, file %s", lock.token(), s.content)
	}
}

func TestBlindUpdateOverwritesForeignWrite(t *testing.T) {
	lock, s := open(t, "{}", true)
	_, _, _ = lock.Get(context.Background())
	s.content = `{"holderIdentity":"b"}`
	if err := lock.Update(context.Background(), record("a", 1)); err != nil {
		t.Fatal(err)
	}
	if found, _, _ := lock.Get(context.Background()); found.HolderIdentity != "a" {
		t.Fatalf("the file holds %s", s.content)
	}
}

func TestUnexpectedStatusIsAnError(t *testing.T) {
	lock, s := open(t, "{}", true)
	_, _, _ = lock.Get(context.Background())
	for _, status := range []int{http.StatusNotFound, http.StatusConflict, http.StatusBadGateway} {
		s.status = status
		if _, _, err := lock.Get(context.Background()); err == nil || apierrors.IsNotFound(err) {
			t.Fatalf("Get answered %d: %v", status, err)
		}
		err := lock.Update(context.Background(), record("a", 1))
		if err == nil || apierrors.IsConflict(err) != (status == http.StatusConflict) {
			t.Fatalf("Update answered %d: %v", status, err)
		}
	}
}

func TestUnrelatedTextIsAnError(t *testing.T) {
	lock, _ := open(t, "shopping list", false)
	if _, _, err := lock.Get(context.Background()); err == nil || apierrors.IsNotFound(err) {
		t.Fatalf("Get: %v", err)
	}
}
