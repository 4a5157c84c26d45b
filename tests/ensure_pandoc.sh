#!/bin/sh
# Try to have pandoc for the tests that print a citation; without it they are skipped, and say so.  Never fails.
set -u
command -v pandoc >/dev/null 2>&1 && exit 0
command -v apt-get >/dev/null 2>&1 || exit 0
as_root=""
[ "$(id -u)" = 0 ] || { command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null && as_root="sudo -n"; } || exit 0
echo "No pandoc here: installing the system's package for the tests of citations ..." >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
{ $as_root apt-get install -y -qq --no-install-recommends pandoc ||
  { $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends pandoc; }; } >/dev/null 2>&1 ||
    echo "pandoc could not be installed; the tests that need it are skipped" >&2
exit 0
