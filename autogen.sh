#!/bin/sh
# Makes ./configure from configure.ac, in a checkout that has none yet.
set -e
cd "$(dirname "$0")"
exec autoreconf --force --install
