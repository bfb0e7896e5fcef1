package bolt

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// holder names the process that has the file locked, as well as it can be known.
func holder(path string) string {
	const another = "another process"
	info, err := os.Stat(path)
	if err != nil {
		return another
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return another
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return another
	}
	defer locks.Close()
	// 1: FLOCK  ADVISORY  WRITE 2517 fd:01:2363 0 EOF
	inode := fmt.Sprintf(":%d", st.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 8 || f[1] != "FLOCK" || !strings.HasSuffix(f[5], inode) || f[4] == "-1" || f[4] == "0" {
			continue
		}
		if f[4] == strconv.Itoa(os.Getpid()) {
			return "this process"
		}
		return another + " (pid " + f[4] + ")"
	}
	return another
}

// networkFS names the network or user-space file system that the path is on, or
// returns "".
func networkFS(path string) string {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return ""
	}
	switch uint32(st.Type) {
	case 0x6969:
		return "NFS"
	case 0xff534d42:
		return "CIFS"
	case 0xfe534d42:
		return "SMB2"
	case 0x517b:
		return "SMB"
	case 0x65735546:
		return "FUSE"
	case 0x01021997:
		return "9P"
	case 0x00c36400:
		return "Ceph"
	case 0x5346414f:
		return "AFS"
	}
	return ""
}

// datasync makes what was written to a file durable, without its times.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
