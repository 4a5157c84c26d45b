#!/bin/sh
# Try to have the programs that some tests compare with: pandoc, which prints citations, fish, which completes, and
# Firefox, whose mathematics is laid beside Chromium's.  Without one of them its tests are skipped, and say so.  Never fails.
set -u
missing=""
for program in pandoc fish; do command -v "$program" >/dev/null 2>&1 || missing="$missing $program"; done
command -v firefox-esr >/dev/null 2>&1 || command -v firefox >/dev/null 2>&1 || missing="$missing firefox-esr"
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null 2>&1 || exit 0
as_root=""
[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null && as_root="sudo -n"; } || exit 0
echo "Not here, installing the system's packages for the tests that use them:$missing ..." >&2
export DEBIAN_FRONTEND=noninteractive
updated=""
for package in $missing; do # one by one: a package that this system does not have costs itself only
  $as_root apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 && continue
  [ -n "$updated" ] || { $as_root apt-get update -qq >/dev/null 2>&1 || true; updated=yes; }
  $as_root apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 ||
    echo "could not be installed; the tests that need it are skipped: $package" >&2
done
exit 0
