# What the scripts of this folder share.
umask 077
export PGDATA=/data/postgres PGCONNECT_TIMEOUT=2
# The Service that selects the leader. Kubernetes gives its address to pods that start after it.
leader_host=${POSTGRES_LEADER_SERVICE_HOST:?is not set: create the Service postgres-leader before the pods}
# A connection to a server whose node is lost ends, too.
leader="host=$leader_host user=$PGUSER keepalives_idle=10 keepalives_interval=5 keepalives_count=3"
role_file=/run/role/role.json
# Data in the making. While it is there, what is in $PGDATA is not whole.
new_data=/data/new
# The term whose primary the data were prepared to follow. A primary's data have none.
followed_file=/data/followed-term
# All processes of PostgreSQL hold the lock on this file, in whichever container of the pod they run.
lock=/data/lock

# Becomes PostgreSQL. All settings stand here: a standby's data are a copy of another pod's. The caller has the lock,
# so the file with a process id is of a process that was killed.
serve() { # further settings…
	rm -f "$PGDATA/postmaster.pid"
	chmod 0700 "$PGDATA" # as PostgreSQL demands, whatever fsGroup made of it
	exec postgres -c listen_addresses='*' -c unix_socket_directories= -c wal_keep_size=1GB "$@"
}

# Asks a server, and prints the bare answer.
ask() { # host statement
	timeout 10 psql --host "$1" --no-psqlrc --no-align --tuples-only --quiet --command "$2"
}

has_data() { [ -e "$PGDATA/PG_VERSION" ] && [ ! -e "$new_data" ]; }
