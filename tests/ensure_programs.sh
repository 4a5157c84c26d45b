#!/bin/sh
# Try to have the programs that some tests use: pandoc, which prints citations, fish, which completes, and Firefox, the
# second browser for what pages look like (Debian calls it firefox-esr).
# Without one of them its tests are skipped, and say so.  Never fails.
set -u
missing=""
for program in pandoc fish; do command -v "$program" >/dev/null 2>&1 || missing="$missing $program"; done
{ command -v firefox-esr || command -v firefox; } >/dev/null 2>&1 || missing="$missing firefox-esr"
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null 2>&1 || exit 0
as_root=""
[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null && as_root="sudo -n"; } || exit 0
echo "Not here, installing the system's packages for the tests that use them:$missing ..." >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
{ $as_root apt-get install -y -qq --no-install-recommends $missing ||
  { $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends $missing; }; } >/dev/null 2>&1 ||
    echo "could not be installed; the tests that need them are skipped:$missing" >&2
exit 0
