// Package srpclient is kit/srpclient under the name that tests know.
package srpclient

import "github.com/poolhouse/poolhouse/internal/kit/srpclient"

// Client is one exchange.
type Client = srpclient.Client

// New begins an exchange with a secret exponent.
func New(exponent []byte) *Client { return srpclient.New(exponent) }

// Multiple is k times the modulus: a public value that no server may take.
func Multiple(k int64) string { return srpclient.Multiple(k) }
