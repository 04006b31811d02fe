#!/bin/sh
# Every source and test is in the build or its tarball, every unit test in its runner, and no file uses a function of the ban list.
set -u
cd "${srcdir:-.}" || exit 1
bad=0

for file in src/*/*.[ch] include/*/*.h man/*.[1-9] tests/unit/*.[ch] tests/e2e/*.mjs; do
	grep -qE "(^|[[:space:]])$file( |\$)" Makefile.am || {
		echo "not in Makefile.am: $file"
		bad=1
	}
done

for file in tests/unit/test_*.c; do
	[ -e "$file" ] || continue
	suite=${file#tests/unit/test_}
	suite=${suite%.c}
	grep -qF "X($suite)" tests/unit/main.c || {
		echo "not in tests/unit/main.c: $suite"
		bad=1
	}
done

for file in tests/fuzz/fuzz_*.c; do
	[ -e "$file" ] || continue
	name=${file#tests/fuzz/fuzz_}
	name=${name%.c}
	grep -qE "(^|[[:space:]])tests/fuzz/fuzz_$name( |\$)" Makefile.am || {
		echo "not in Makefile.am: $file"
		bad=1
	}
	[ -d "tests/fuzz/corpus/$name" ] || {
		echo "no corpus: $file"
		bad=1
	}
done

if grep -rnE '(^|[^_[:alnum:]])(strcpy|sprintf|strcat|alloca|atoi|rand|strtok)[[:space:]]*\(' --include='*.[ch]' src include tests; then
	echo "use of a banned function"
	bad=1
fi
exit $bad
