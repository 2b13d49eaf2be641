package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A Machine is what one has to know of a machine to judge figures from it. What the system does not tell is empty.
type Machine struct {
	Cores     int           `json:"cores"`
	Processor string        `json:"processor,omitempty"`
	Memory    uint64        `json:"memory_bytes,omitempty"`
	System    string        `json:"system"`
	Go        string        `json:"go"`
	Fsync     time.Duration `json:"fsync_ns,omitempty"` // of 4 KiB that make the file longer
}

// machine asks the system.
func machine() Machine {
	m := Machine{Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.Processor = field(text, "model name")
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = kibibytes(field(text, "MemTotal"))
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.System += ", kernel " + string(bytes.TrimSpace(text))
	}
	return m
}

// field finds "name : value" in a file of /proc.
func field(text []byte, name string) string {
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kibibytes reads "123 kB"; 0 when that is not what stands there.
func kibibytes(text string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSuffix(text, " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return n << 10
}

// Resident is the memory in bytes that a process holds now; 0 where there is no /proc or no such process.
func Resident(pid int) uint64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	return kibibytes(field(text, "VmRSS"))
}

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
