#!/bin/sh
# Runs the primary of term $ELECT_TERM. `elect --nominated` starts this in the pod that holds the Lease, and kills all
# of it before another pod may hold the Lease.
set -eu
. /postgres/common.sh

# The first term makes the database. A later one must have it: else a pod that lost its volume would begin anew, and the
# others would throw away what they have.
make_database() {
	rm -rf "$new_data"
	printf '%s\n' "$PGPASSWORD" | initdb --pgdata "$new_data" --username "$PGUSER" --pwfile /dev/stdin \
		--auth scram-sha-256 --encoding UTF8 --no-locale --data-checksums
	printf 'host %s all all scram-sha-256\n' all replication >>"$new_data/pg_hba.conf"
	mv "$new_data" "$PGDATA"
}

exec 9>"$lock"
flock 9 # until the last process of the standby has ended
rm -f "$followed_file"
if ! has_data && [ "$ELECT_TERM" != 1 ]; then
	echo "this pod has no whole data, and term $ELECT_TERM is not the first" >&2
	mkdir -p "$new_data" # From now on it is Ready only once it has been copied.
	exit 1
fi
has_data || make_database

# It starts as a standby of no server, and is promoted: so each primary has a timeline of its own.
touch "$PGDATA/standby.signal"
serve -c primary_conninfo= -c "election.term=$ELECT_TERM" &
server=$!
trap 'kill -INT "$server"' TERM
until pg_isready --quiet --host localhost; do
	kill -0 "$server"
	sleep 0.1
done
pg_ctl promote
psql --host localhost --quiet --command checkpoint # pg_rewind of other pods reads the timeline from it
echo "primary of term $ELECT_TERM"
while kill -0 "$server" 2>/dev/null; do wait "$server" || :; done
