#!/bin/sh
# The law of the house: an include names its floor and never looks up (src/FLOORS, from the ground up); a channel
# class sees nothing but <roost/...> and its own floor; names under src/ are unique, as an archive and a stack trace know
# nothing else.
set -u
cd "${srcdir:-.}/src" || exit 1
bad=0

grep -rn '#include "' --include='*.[ch]' . | awk -F'[/:"]' '
	BEGIN {
		while ((getline line < "FLOORS") > 0) {
			n++
			k = split(line, folders, " ")
			for (i = 1; i <= k; i++)
				floor[folders[i]] = n
		}
	}
	# ./net/ws.c:9:#include "base/buf.h" splits into "." net ws.c 9 #include base buf.h
	!($2 in floor) { print "not in FLOORS: " $0; bad = 1; next }
	!($6 in floor) { print "names no floor: " $0; bad = 1; next }
	$2 != $6 && floor[$6] >= floor[$2] { print "looks up: " $0; bad = 1 }
	$2 == "channels" && $6 != "channels" { print "a class sees only <roost/...>: " $0; bad = 1 }
	END { exit bad }' || bad=1

if grep -rn '#include "' --include='*.h' ../include; then
	echo "an installed header includes what is not installed"
	bad=1
fi

twice=$(find . -name '*.[ch]' | sed 's|.*/||' | sort | uniq -d)
for name in $twice; do
	find . -name "$name" | sed 's|^|two files of one name: |'
	bad=1
done
exit $bad
