//go:build unix

package httpd

import "syscall"

// spare are the file descriptors that are not for connections: databases, logs, and calls to others.
const spare = 256

// descriptors is how many connections the process's file descriptors allow.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > unbounded {
		return unbounded
	}
	return max(int(limit.Cur)-spare, int(limit.Cur)/2)
}
