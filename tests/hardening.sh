#!/bin/sh
# The daemon is position independent, its relocations are read-only and bound at start, and its stack is not executable.
# Usage: hardening.sh [PROGRAM]
set -u
program=${1:-src/roostd}
readelf=${READELF:-readelf}

if ! command -v "$readelf" >/dev/null; then
	echo "skipped: no readelf"
	exit 77
fi
headers=$("$readelf" -hlW "$program") || exit 1
dynamic=$("$readelf" -dW "$program") || exit 1
bad=0

expect() {
	if ! printf '%s\n' "$2" | grep -qE "$3"; then
		echo "$program: $1"
		bad=1
	fi
}

expect "not position independent" "$headers" 'Type:[[:space:]]+DYN'
expect "no RELRO" "$headers" 'GNU_RELRO'
expect "relocations are bound late" "$dynamic" '(BIND_NOW|Flags:.*NOW)'
expect "the stack is executable" "$headers" 'GNU_STACK.* RW +0x'
if printf '%s\n' "$headers" | grep -qE 'LOAD.* RWE '; then
	echo "$program: a segment is writable and executable"
	bad=1
fi
expect "modules cannot see channel_*" "$("$readelf" --dyn-syms -W "$program")" ' channel_'
if [ "${SANITIZERS:-no}" = no ]; then
	symbols=$("$readelf" --dyn-syms -W "$program")
	expect "no stack protector" "$symbols" '__stack_chk_fail'
	expect "nothing is fortified" "$symbols" '_chk@'
fi
exit $bad
