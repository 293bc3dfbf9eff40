package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// mostBytes bounds the size of an answer. Each contains the gist's history, at up to
// 1 kB a revision, and a day of renewals every 8 s makes some 10,000.
const mostBytes = 32 << 20

// gist is a gist with one file on GitHub's API. It must be used by one goroutine at a time.
type gist struct {
	http  *http.Client
	url   string
	token string
	file  string // the name of the only file, as the last answer gave it
}

// statusError is an answer other than 200.
type statusError struct {
	method string
	status int
	text   string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s of the gist was answered %d: %s", e.method, e.status, e.text)
}

// newGist returns a client whose requests end after timeout, even if the caller's context never ends.
func newGist(apiURL, id, token string, timeout time.Duration) *gist {
	return &gist{
		http:  &http.Client{Timeout: timeout},
		url:   strings.TrimRight(apiURL, "/") + "/gists/" + id,
		token: token,
	}
}

// read returns the content of the only file.
func (g *gist) read(ctx context.Context) (string, error) {
	return g.do(ctx, http.MethodGet, nil)
}

// write overwrites the only file, whatever it holds, because the API has no precondition. It must follow a read.
func (g *gist) write(ctx context.Context, content string) error {
	type file struct {
		Content string `json:"content"`
	}
	body, err := json.Marshal(map[string]any{"files": map[string]file{g.file: {content}}})
	if err != nil {
		return err
	}
	_, err = g.do(ctx, http.MethodPatch, body)
	return err
}

// do sends one request and returns the content of the only file in its answer.
func (g *gist) do(ctx context.Context, method string, body []byte) (string, error) {
	request, err := http.NewRequestWithContext(ctx, method, g.url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("Authorization", "Bearer "+g.token)
	request.Header.Set("User-Agent", "client-go-gist")
	request.Header.Set("X-GitHub-Api-Version", "2022-11-28")

	response, err := g.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	// Reads to the end, because otherwise the connection is not reused.
	answer, err := io.ReadAll(io.LimitReader(response.Body, mostBytes))
	if err != nil {
		return "", fmt.Errorf("%s of the gist: the answer broke off: %w", method, err)
	}
	if response.StatusCode != http.StatusOK {
		text := string(answer[:min(len(answer), 200)])
		return "", &statusError{method, response.StatusCode, text}
	}
	return g.content(answer)
}

// content finds the only file in an answer, and keeps its name for the next write.
func (g *gist) content(answer []byte) (string, error) {
	var found struct {
		Files map[string]struct {
			Content   string `json:"content"`
			Truncated bool   `json:"truncated"`
		} `json:"files"`
	}
	if err := json.Unmarshal(answer, &found); err != nil {
		return "", fmt.Errorf("the answer is not a gist: %w", err)
	}
	if len(found.Files) != 1 {
		return "", fmt.Errorf("the gist has %d files, and the lock needs one with exactly one", len(found.Files))
	}
	for name, file := range found.Files {
		if file.Truncated {
			return "", fmt.Errorf("the file %s is too large for a record", name)
		}
		g.file = name
		return file.Content, nil
	}
	panic("unreachable: a map of one entry has one")
}
