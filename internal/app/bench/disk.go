package bench

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// FsyncTime is the median time that the disk under a folder needs to make 4 KiB durable, of n tries.
func FsyncTime(folder string, n int) (median time.Duration, err error) {
	f, err := os.CreateTemp(folder, ".fsync-*")
	if err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4096)
	times := make([]time.Duration, n)
	for i := range times {
		if _, err := f.WriteAt(block, int64(i*len(block))); err != nil {
			return 0, fmt.Errorf("measure the disk: %w", err)
		}
		begin := time.Now()
		if err := f.Sync(); err != nil {
			return 0, fmt.Errorf("measure the disk: %w", err)
		}
		times[i] = time.Since(begin)
	}
	slices.Sort(times)
	return times[n/2], nil
}

// A diskLoop is the least that a durable change can be: write 1 KiB into space that the file has already, and wait until it is on
// the disk. One change after the other, as a single connection makes them.
type diskLoop struct {
	f     *os.File
	block []byte
	at    int64
}

// diskSpace is the size of the file, which the loop overwrites round after round.
const diskSpace = 8 << 20

func newDiskLoop(folder string) (*diskLoop, error) {
	f, err := os.CreateTemp(folder, ".disk-*")
	if err != nil {
		return nil, fmt.Errorf("measure the disk: %w", err)
	}
	d := &diskLoop{f: f, block: make([]byte, 1024)}
	// Written, not only reserved: a block that was never written costs the file system a change of its own later.
	if _, err = f.Write(make([]byte, diskSpace)); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("measure the disk: %w", err), d.close())
	}
	return d, nil
}

func (d *diskLoop) close() error { return errors.Join(d.f.Close(), os.Remove(d.f.Name())) }

// run returns how many changes a second the disk makes durable, and records how long each took.
func (d *diskLoop) run(duration time.Duration, times *histogram) (rate float64, err error) {
	begin := time.Now()
	for n := 1; ; n++ {
		d.block[n%len(d.block)]++
		start := time.Now()
		if _, err := d.f.WriteAt(d.block, d.at); err != nil {
			return 0, fmt.Errorf("measure the disk: %w", err)
		}
		if err := datasync(d.f); err != nil {
			return 0, fmt.Errorf("measure the disk: %w", err)
		}
		times.record(time.Since(start))
		d.at = (d.at + int64(len(d.block))) % diskSpace
		if spent := time.Since(begin); spent >= duration {
			return float64(n) / spent.Seconds(), nil
		}
	}
}
