package bolt

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

// holder finds the process that has the file locked in /proc, which shows those of its own
// pid namespace. One in another container isn't there, and so isn't named: a wrong name
// would be worse than none.
func holder(path string) process {
	info, err := os.Stat(path)
	if err != nil {
		return process{}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return process{}
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return process{}
	}
	defer locks.Close()
	inode := strconv.FormatUint(st.Ino, 10)
	// 1: FLOCK  ADVISORY  WRITE 2517 fd:01:2363 0 EOF
	// Who waits for a lock has a line "1: -> FLOCK …", which has one field more.
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) != 8 || f[1] != "FLOCK" {
			continue
		}
		device, ok := strings.CutSuffix(f[5], ":"+inode)
		pid, err := strconv.Atoi(f[4])
		if !ok || err != nil || pid <= 0 {
			continue
		}
		if p, ok := inspectProcess(pid, info, device == deviceName(uint64(st.Dev))); ok {
			return p
		}
	}
	return process{}
}

// deviceName is a device as /proc/locks has it.
func deviceName(dev uint64) string {
	major := dev>>8&0xfff | dev>>32&^0xfff
	minor := dev&0xff | dev>>12&^0xff
	return fmt.Sprintf("%02x:%02x", major, uint32(minor))
}

// inspectProcess looks whether a process that has a lock on an inode of that number has it on this
// file. Its open files tell, if this user may look at them. Else the device must be the same,
// which on some file systems (btrfs) it isn't, as stat has another one than /proc/locks.
//
// The number in /proc/locks is that of the process that took the lock, which may have ended and
// left the open file to a child of its own.
func inspectProcess(pid int, file os.FileInfo, sameDevice bool) (process, bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if _, err := os.Stat(dir); err != nil {
		return process{}, false
	}
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	has := sameDevice && err != nil
	for _, fd := range open {
		if info, err := os.Stat(filepath.Join(dir, "fd", fd.Name())); err == nil && os.SameFile(info, file) {
			has = true
			break
		}
	}
	if !has {
		return process{}, false
	}
	self, _ := os.Readlink("/proc/self") // not Getpid: /proc may be that of an outer namespace
	return process{pid: pid, command: command(dir), self: self == strconv.Itoa(pid)}, true
}

// command returns the name of a process's program. The kernel keeps 15 bytes of it; the
// command line has the rest, but may have been overwritten by the process.
func command(dir string) string {
	data, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return ""
	}
	name := strings.TrimSuffix(string(data), "\n")
	if line, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		first, _, _ := bytes.Cut(line, []byte{0})
		if base := filepath.Base(string(first)); len(name) == 15 && strings.HasPrefix(base, name) {
			name = base
		}
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '?'
		}
		return r
	}, name)
}
