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
# shellcheck disable=SC2086 # words
exec tests/unit/roost-unit ${UNIT_SUITES:-}
