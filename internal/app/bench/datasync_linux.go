package bench

import (
	"os"
	"syscall"
)

// datasync waits until the content of a file is on the disk, without its times.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
