package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// tick is the unit of /proc/PID/stat, the same on every Linux.
const tick = 10 * time.Millisecond

// cpuOf returns a function that says how much processor time the process has used, in its own code and in the kernel; false where
// there is no /proc or no such process.
func cpuOf(pid int) func() (time.Duration, bool) {
	if pid == 0 {
		return nil
	}
	path := filepath.Join("/proc", strconv.Itoa(pid), "stat")
	return func() (time.Duration, bool) {
		text, err := os.ReadFile(path)
		if err != nil {
			return 0, false
		}
		return parseStat(text)
	}
}

// parseStat reads utime and stime, the 14th and 15th field. The second is the command's name in brackets and may hold anything.
func parseStat(text []byte) (time.Duration, bool) {
	_, rest, ok := bytes.Cut(text[max(bytes.LastIndexByte(text, ')'), 0):], []byte(" "))
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, false
	}
	var sum time.Duration
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, false
		}
		sum += time.Duration(n) * tick
	}
	return sum, true
}

// FsyncTime is the median time that the disk under a folder needs to make 4 KiB durable, of n tries.
func FsyncTime(folder string, n int) (median time.Duration, err error) {
	f, err := os.CreateTemp(folder, ".fsync-*")
	if err != nil {
		return 0, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() {
		f.Close()
		if removed := os.Remove(f.Name()); err == nil {
			err = removed
		}
	}()
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
