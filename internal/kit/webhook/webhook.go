// Package webhook posts to addresses that the operator has set: without redirects, with a bounded answer, and
// with a signature by which the receiver knows us. What is posted and what an answer means is the caller's business.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// SignatureHeader carries the signature of a post, as Sign makes it.
const SignatureHeader = "Poolhouse-Signature"

// ErrTooLarge says that an answer is longer than allowed.
var ErrTooLarge = errors.New("the answer is too large")

// NewClient returns a client of its own that follows no redirect: a redirect could lead to an address that nobody has
// set. Its requests are bounded by their contexts.
func NewClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxIdleConns:           64,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        time.Minute,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Sign is "t=<seconds since 1970>,v1=<hex>": the HMAC-SHA-256 of the time as it stands there and the parts, joined by
// dots. A receiver recomputes it and refuses old times.
func Sign(key []byte, at time.Time, parts ...[]byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(t))
	for _, part := range parts {
		mac.Write([]byte{'.'})
		mac.Write(part)
	}
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Post sends a body, JSON unless the header says otherwise, and reads at most limit bytes of the answer; ErrTooLarge when there are
// more. Its errors do not repeat the address, which may hold a token.
func Post(ctx context.Context, client *http.Client, address string, header http.Header, body []byte, limit int64) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return Answer{}, errors.New("the address is no URL")
	}
	if header != nil {
		req.Header = header.Clone()
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("User-Agent", "poolhouse")
	resp, err := client.Do(req)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return Answer{}, fmt.Errorf("post: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return Answer{}, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(text)) > limit {
		return Answer{}, ErrTooLarge
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: text}, nil
}
