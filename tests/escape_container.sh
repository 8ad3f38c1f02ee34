# The suite of escapes, in a container.
# shellcheck shell=sh
AM_ESCAPE_TIER=container
export AM_ESCAPE_TIER
. "$(dirname "$0")/escape.sh"
