# shellcheck shell=bash
# What contrib/run and contrib/check share. Sourced from the top of the tree.

PHOENIX=1.8.16

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "installing packages needs root, and there is no sudo; as root: apt-get install -y --no-install-recommends ${missing[*]}"
	fi
}

# install PACKAGE...: installs those that are missing.
install() {
	missing=()
	local package
	for package; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "this needs Debian or a relative of it (apt-get); install by hand: ${missing[*]}"
	say "installing ${missing[*]}"
	as_root apt-get update -qq || say "the package lists could not be updated; going on with those that are here"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
		die "apt-get could not install: ${missing[*]}"
}

install_build_tools() {
	install build-essential autoconf automake pkg-config libevent-dev libjson-c-dev libjwt-dev libssl-dev zlib1g-dev \
		libconfuse-dev libhiredis-dev libcurl4-openssl-dev
}

# Node 18 or later with npm: the one on PATH, or Debian's.
install_node() {
	if command -v node >/dev/null && command -v npm >/dev/null && [ "$(node -p 'parseInt(process.versions.node)')" -ge 18 ]; then
		return
	fi
	install ca-certificates nodejs npm
	hash -r
}

# configured DIR FLAGS...: ./configure in DIR, unless it was done with the same flags and is still fresh.
configured() {
	local dir=$1 top=$PWD
	shift
	if [ ! -x configure ] || [ configure.ac -nt configure ] || [ Makefile.am -nt Makefile.in ]; then
		say "autogen"
		./autogen.sh >autogen.log 2>&1 || { cat autogen.log >&2; die "autogen.sh failed"; }
		rm -f autogen.log
	fi
	mkdir -p "$dir"
	if [ "$(cat "$dir/flags" 2>/dev/null)" = "$*" ] && [ -f "$dir/Makefile" ] && [ ! configure -nt "$dir/Makefile" ]; then
		return
	fi
	say "configure${*:+ $*} (in $dir)"
	rm -f "$dir/flags"
	(cd "$dir" && "$top/configure" "$@" >configure.out 2>&1) || { tail -20 "$dir/configure.out" >&2; die "configure failed: see $dir/config.log"; }
	# Objects do not depend on the flags that they were made with.
	make -C "$dir" -s clean
	echo "$*" >"$dir/flags"
}

# build DIR [TARGET...]
build() {
	local dir=$1
	shift
	say "make${*:+ $*} (in $dir)"
	make -C "$dir" -j"$(nproc)" --no-print-directory -s "$@"
}

# The official client of the demo page, from npm.
fetch_phoenix() {
	local vendor=contrib/demo/vendor
	[ "$(cat $vendor/version 2>/dev/null)" != $PHOENIX ] || return 0
	say "fetching phoenix $PHOENIX from npm"
	local work
	work=$(mktemp -d)
	(cd "$work" && npm pack --silent "phoenix@$PHOENIX" >/dev/null && tar xzf phoenix-*.tgz) || {
		rm -rf "$work"
		return 1
	}
	mkdir -p $vendor
	cp "$work/package/priv/static/phoenix.mjs" "$work/package/LICENSE.md" $vendor/
	echo $PHOENIX >$vendor/version
	rm -rf "$work"
}
