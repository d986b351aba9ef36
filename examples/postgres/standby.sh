#!/bin/sh
# Runs the standby of this pod, unless the pod leads. It is prepared anew for each primary: what the former primary had
# written and nobody else had is undone.
set -u
. /postgres/common.sh
server=
followed=$(cat "$followed_file" 2>/dev/null)

read_role() {
	role=$(cat "$role_file" 2>/dev/null)
	term=${role#*\"term\":}
	term=${term%%,*}
}
leads() { case $role in *'"self":true'*) ;; *) return 1 ;; esac; }
knows_leader() { case $role in *'"leader":""'* | '') return 1 ;; esac; }

# Fenced by term: the server behind the Service is the primary of this very term, and no earlier one.
is_primary() { # term
	[ "$(ask "$leader_host" "select current_setting('election.term', true) || pg_is_in_recovery()" 2>&1)" = "$1false" ]
}

# Makes the data those of the primary, as they were some time ago: what is missing is streamed.
prepare() {
	if has_data; then
		own=$(pg_controldata | sed -n 's/^Database system identifier: *//p')
		if [ "$own" != "$(ask "$leader_host" "select system_identifier from pg_control_system()")" ]; then
			echo "the data are of another database than the primary's: they are not touched" >&2
			return 1
		fi
		rm -f "$PGDATA/postmaster.pid"
		mkdir "$new_data"
		pg_rewind --target-pgdata "$PGDATA" --source-server "$leader dbname=postgres" && rmdir "$new_data" && return
		echo "the data cannot be rewound: they are copied anew" >&2
	fi
	mkdir -p "$new_data"
	find "$new_data" -mindepth 1 -delete
	pg_basebackup --pgdata "$new_data" --dbname "$leader" --checkpoint fast || return
	rm -rf "$PGDATA"
	mv "$new_data" "$PGDATA"
}

start() {
	exec 9>"$lock"
	flock 9 # until the last process of the primary has ended
	if [ "$followed" = "$term" ] || prepare; then
		touch "$PGDATA/standby.signal"
		serve -c "primary_conninfo=$leader application_name=$HOSTNAME" &
		server=$!
		followed=$term
		echo "$followed" >"$followed_file"
		echo "standby in term $followed"
	fi
	exec 9>&-
}

stop() {
	[ -n "$server" ] || return 0
	# Again and again: a server that has just been started does not hear it yet.
	while kill -INT "$server" 2>/dev/null; do sleep 0.1; done
	server=
}

trap 'stop; exit 0' TERM
while :; do
	read_role
	if leads; then
		stop
		followed=
	elif [ -n "$server" ] && ! kill -0 "$server" 2>/dev/null; then
		echo "the standby has ended by itself" >&2
		exit 1
	elif knows_leader && { [ -z "$server" ] || [ "$term" != "$followed" ]; } && is_primary "$term"; then
		stop
		start
	fi
	sleep 0.5 &
	wait $!
done
