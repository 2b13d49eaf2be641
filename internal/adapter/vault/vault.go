// Package vault fetches the key-encryption key from where an operator keeps it: a file or the environment.
//
// The key never stands in the database: whoever has only the database, or only a backup of it, has no secrets. What
// the key is good for is kit/seal's business.
package vault

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/seal"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

const (
	keySize = 32
	maxFile = 4096 // bytes of a key file; more is some other file
)

var (
	// ErrNoKey says that there is no key at the place.
	ErrNoKey = errors.New("no key-encryption key")
	// ErrNotKey says that what stands at the place is no key.
	ErrNotKey = errors.New("not a key-encryption key: 32 bytes in hexadecimal or base64 are wanted")
	// ErrExposed says that others than the owner can read the key.
	ErrExposed = errors.New("the key-encryption key can be read by others")
)

// FileKey reads the key from a file that only its owner may read. With create it makes the file, with a new key, when
// there is none; without, a missing file is ErrNoKey.
func FileKey(path string, create bool) (seal.KEK, error) {
	key, err := readFile(path)
	if create && errors.Is(err, ErrNoKey) {
		if err := makeFile(path); err != nil {
			return seal.KEK{}, fmt.Errorf("make key file %s: %w", path, err)
		}
		key, err = readFile(path)
	}
	if err != nil {
		return seal.KEK{}, err
	}
	return seal.NewKEK(key)
}

// Key reads the key from its text, which was kept elsewhere.
func Key(text secret.Text) (seal.KEK, error) {
	key, err := decode(text.Reveal())
	if err != nil {
		return seal.KEK{}, err
	}
	return seal.NewKEK(key)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the file %s is missing", ErrNoKey, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read key-encryption key: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read key-encryption key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("key file %s: %w", path, ErrNotKey)
	}
	// On Windows the mode says nothing about other users.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: the mode of %s is %04o; run chmod 600 on it", ErrExposed, path, mode)
	}
	text := make([]byte, info.Size())
	n, err := f.ReadAt(text, 0)
	if n < len(text) {
		return nil, fmt.Errorf("read key-encryption key: %w", err)
	}
	key, err := decode(string(text))
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// makeFile writes a new key so that the file is there whole or not at all. When another process made one meanwhile,
// that one stays.
func makeFile(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".key-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(hex.EncodeToString(chance.System().Bytes(keySize)) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		// Link, unlike Rename, does not replace.
		if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return errors.Join(err, os.Remove(f.Name()), syncFolder(folder))
}

// syncFolder makes a new name in the folder durable: sealed data without its key would be lost.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// decode reads 64 hexadecimal digits, or base64 of either alphabet with or without padding. White space around it does
// not count.
func decode(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if key, err := hex.DecodeString(text); err == nil && len(key) == keySize {
		return key, nil
	}
	text = strings.TrimRight(text, "=")
	for _, encoding := range [...]*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(text); err == nil && len(key) == keySize {
			return key, nil
		}
	}
	return nil, ErrNotKey
}
