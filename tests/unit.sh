#!/bin/sh
# Runs the unit tests, where they could be built: all suites, or those that UNIT_SUITES names.
if [ ! -x tests/unit/roost-unit ]; then
	echo "skipped: the unit tests need the Check library (package check); install it and configure again"
	exit 77
fi
# Each test is a process; a large quarantine would make each fork of a sanitized one slow.
ASAN_OPTIONS=quarantine_size_mb=8:${ASAN_OPTIONS:-}
CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT:-60}
export ASAN_OPTIONS CK_DEFAULT_TIMEOUT
if [ -n "${UNIT_SUITES:-}" ]; then
	# shellcheck disable=SC2086 # words
	exec tests/unit/roost-unit $UNIT_SUITES
fi

# Suites that mostly wait, for Redis and for timers, do so beside those that compute, and these use two processors.
waiting='broker_redis catchup cluster happenings history_redis inquiry redis store sync tracker_nodes transact'
half='auth chat config devices http json map phoenix_v1 phoenix_v2 presence_class pusher_class pusher_codec signaling url wheel ws'
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
# shellcheck disable=SC2086
tests/unit/roost-unit $waiting >"$out/waiting" 2>&1 &
waiter=$!
# shellcheck disable=SC2086
tests/unit/roost-unit $half >"$out/half" 2>&1 &
computer=$!
# shellcheck disable=SC2086
tests/unit/roost-unit -x $waiting $half >"$out/others" 2>&1
status=$?
wait $computer || status=1
# Their timing is the machine's, too: what fails there is said, and tried once more; what fails twice has failed.
if ! wait $waiter; then
	echo "once more, as these failed:"
	grep -E ':[EF]:' "$out/waiting" | sed 's/:[EF]:/: /'
	# shellcheck disable=SC2086
	tests/unit/roost-unit $waiting >"$out/waiting" 2>&1 || status=1
fi
grep -hv '^unit: ' "$out/waiting" "$out/half" "$out/others"
# A runner that says nothing at its end has failed.
awk '/^unit: [0-9]+ passed, [0-9]+ failed$/ { passed += $2; failed += $4; n++ }
	END { printf "unit: %d passed, %d failed\n", passed, failed + 3 - n }' "$out/waiting" "$out/half" "$out/others"
exit $status
