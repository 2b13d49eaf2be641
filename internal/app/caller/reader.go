package caller

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// A Reader reads HTTP/1.1 replies. Those that state their length, which are all that this API sends, cost next to nothing; any other
// is left to the library.
type Reader struct {
	conn net.Conn
	buf  []byte
	// Last is true when the connection takes no request after the reply that was read.
	Last bool
}

// NewReader returns a reader of a connection.
func NewReader(conn net.Conn) *Reader { return &Reader{conn: conn} }

// Reset makes the reader read another connection.
func (r *Reader) Reset(conn net.Conn) { r.conn, r.buf, r.Last = conn, r.buf[:0], false }

// Begun reports whether any byte of the reply came that was asked for last.
func (r *Reader) Begun() bool { return len(r.buf) > 0 }

var (
	headEnd      = []byte("\r\n\r\n")
	lengthHeader = []byte("\r\ncontent-length:")
	closeHeader  = []byte("\r\nconnection: close")
)

const (
	firstBuffer = 4 << 10
	maxHead     = 64 << 10
	maxBody     = 64 << 20
)

// Reply reads one reply; the body is valid until the next call.
func (r *Reader) Reply() (status int, body []byte, err error) {
	r.buf = r.buf[:0]
	end := -1
	for end < 0 {
		if len(r.buf) > maxHead {
			return 0, nil, errors.New("a reply without an end of its head")
		}
		if err := r.more(); err != nil {
			return 0, nil, err
		}
		end = bytes.Index(r.buf, headEnd)
	}
	head := r.buf[:end+2]
	if len(head) < 12 || !bytes.HasPrefix(head, []byte("HTTP/1.")) {
		return 0, nil, fmt.Errorf("a reply without a status: %q", head)
	}
	if status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return 0, nil, fmt.Errorf("a reply without a status: %q", head)
	}
	length, known, err := contentLength(head)
	if err != nil {
		return 0, nil, err
	}
	if !known || status < 200 {
		return r.unusual()
	}
	r.Last = head[7] == '0' || closes(head)
	end += len(headEnd)
	for len(r.buf) < end+length {
		if err := r.more(); err != nil {
			return 0, nil, err
		}
	}
	if len(r.buf) > end+length {
		return 0, nil, fmt.Errorf("a reply with %d bytes too many", len(r.buf)-end-length)
	}
	return status, r.buf[end:], nil
}

func (r *Reader) more() error {
	if len(r.buf) == cap(r.buf) {
		grown := make([]byte, len(r.buf), max(firstBuffer, 2*cap(r.buf)))
		copy(grown, r.buf)
		r.buf = grown
	}
	n, err := r.conn.Read(r.buf[len(r.buf):cap(r.buf)])
	r.buf = r.buf[:len(r.buf)+n]
	if n > 0 {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// unusual reads a reply of which the head is here by the library: in chunks, to the end of the connection, or after 100 Continue. What
// might stand behind it is lost, so the connection is not used again.
func (r *Reader) unusual() (int, []byte, error) {
	r.Last = true
	from := bufio.NewReader(io.MultiReader(bytes.NewReader(bytes.Clone(r.buf)), r.conn))
	for {
		reply, err := http.ReadResponse(from, nil)
		if err != nil {
			return 0, nil, err
		}
		body, err := io.ReadAll(io.LimitReader(reply.Body, maxBody))
		if err := errors.Join(err, reply.Body.Close()); err != nil {
			return 0, nil, err
		}
		if reply.StatusCode >= http.StatusOK {
			return reply.StatusCode, body, nil
		}
	}
}

// closes finds the word of the other side that the connection ends. It looks for the usual spelling first, which needs no copy.
func closes(head []byte) bool {
	at := bytes.Index(head, []byte("\r\nConnection:"))
	if at < 0 && !bytes.Contains(head, []byte("\r\nconnection:")) {
		return false
	}
	return bytes.Contains(bytes.ToLower(head), closeHeader)
}

// contentLength finds the length in a head. It looks for the usual spelling first, which needs no copy.
func contentLength(head []byte) (n int, known bool, err error) {
	at := bytes.Index(head, []byte("\r\nContent-Length:"))
	if at < 0 {
		at = bytes.Index(bytes.ToLower(head), lengthHeader)
	}
	if at < 0 {
		return 0, false, nil
	}
	rest := head[at+len(lengthHeader):]
	line, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, err = strconv.Atoi(string(bytes.TrimSpace(line)))
	if err != nil || n < 0 || n > maxBody {
		return 0, false, fmt.Errorf("a reply with a bad Content-Length: %q", line)
	}
	return n, true, nil
}
