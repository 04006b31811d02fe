#!/bin/sh
# Runs the unit tests, where they could be built.
if [ ! -x tests/unit/roost-unit ]; then
	echo "skipped: the unit tests need the Check library (package check); install it and configure again"
	exit 77
fi
exec tests/unit/roost-unit
