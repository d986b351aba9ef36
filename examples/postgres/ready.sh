#!/bin/sh
# Whether the pod may be chosen: its server runs, and streams if it is a standby and there is a leader. Without a leader
# whole data are enough, and before the first one nothing is needed.
set -u
. /postgres/common.sh
if pg_isready --quiet --host localhost; then
	streams="exists (select from pg_stat_wal_receiver where status = 'streaming')"
	[ "$(ask localhost "select not pg_is_in_recovery() or $streams")" != t ] || exit 0
elif [ -e "$new_data" ]; then
	exit 1
fi
grep -q '"leader":""' "$role_file"
