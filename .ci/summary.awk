# Passes the lines of "go test" on and ends with how many packages passed, failed and have no tests.
{ print; fflush() }
/^ok[ \t]/ { ok++ }
/^FAIL\t/ { failed = failed "\n  " $2; bad++ }
/\[no test files\]/ { none++ }
END {
	printf "\n%d ok, %d failed, %d without tests%s\n", ok, bad, none, failed
}
