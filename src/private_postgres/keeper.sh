# Runs one PostgreSQL server and outlives whoever started it just long enough to stop that server.
#
# Standard input is a pipe that the starting process holds open and never writes to. However that process ends,
# kill -9 included, the pipe closes, and then the server is interrupted until it is gone.
# Standard output is a pipe that the server inherits as descriptor 4: it closes when the last server process is gone.
# Standard error is no output at all but the open, locked folder, which the server inherits as descriptor 5: the
# folder stays locked exactly as long as a server process lives. The current folder is that folder.
# A throw-away folder is not there yet, and not locked: it is made here, so that nobody can be killed between making it
# and the duty to remove it.
#
# Arguments: folder with the programs, yes|no (is the data durable?), tenths of a second until force,
# socket folder to make and to remove at the end (or empty), folder likewise (or empty), the server's arguments.

# Only the pipe decides; a signal to everything at once must not take the keeper away before the server, nor must the
# first word, if whoever should hear it is gone by then.
trap '' HUP INT QUIT TERM PIPE

bin=$1 durable=$2 patience=$3 socket_folder=$4 remove=$5
shift 5

[ -z "$socket_folder" ] || mkdir -m 0700 "$socket_folder" || exit
if [ -n "$remove" ]; then
    mkdir -m 0700 "$remove" || { rmdir "$socket_folder"; exit 1; }
    cd "$remove" || exit
fi

(
    exec 4>&1 5<&2 >server.log 2>&1 </dev/null
    if [ ! -e data ]; then
        sync=
        [ "$durable" = yes ] || sync=--no-sync
        # Under another name first, so that a half-made cluster is never taken for a whole one.
        "$bin/initdb" --pgdata="new-$$" --username=postgres --auth-local=trust --auth-host=reject \
            --encoding=UTF8 --locale=C $sync || exit
        mv "new-$$" data || exit
    fi
    exec "$bin/postgres" "$@"
) &
server=$!
echo "$server"
exec >/dev/null 2>&1

while read -r _; do :; done

# A loop and not one signal: a job that a shell starts in the background ignores interrupts until the server has set
# its own handlers. Interrupt is PostgreSQL's fast shutdown, quit its immediate one.
signal=INT tries=0
while kill -s "$signal" "$server"; do
    tries=$((tries + 1))
    [ "$tries" -gt "$patience" ] && signal=QUIT
    [ "$tries" -gt $((patience + 100)) ] && signal=KILL
    sleep 0.1 || sleep 1
done

[ -z "$socket_folder" ] || rm -rf -- "$socket_folder"
tries=0
while [ -n "$remove" ] && [ -e "$remove" ] && [ "$tries" -lt 100 ]; do
    cd /
    rm -rf -- "$remove"
    [ "$tries" -eq 0 ] || sleep 0.1
    tries=$((tries + 1))
done
