# In a network namespace of its own: starts Squid with a plan, and says of each URL what it answers:
# 403 denied, 503 allowed (nobody is there to be connected to).
# Usage: unshare -rn sh squid.sh PLAN HOSTS URL…
# shellcheck shell=sh
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
cp "$1" "$folder/plan.conf"
cp "$2" "$folder/hosts"
shift 2
cat >"$folder/squid.conf" <<END
http_port 127.0.0.1:3128
pid_filename none
cache_log /dev/null
access_log none
cache deny all
coredump_dir /
hosts_file $folder/hosts
netdb_filename none
shutdown_lifetime 0 seconds
connect_timeout 2 seconds
dns_nameservers 127.0.0.1
include $folder/plan.conf
END
ip link set lo up
mkfifo "$folder/said"
# It refuses to be root.
unshare -U --map-user=1000 --map-group=1000 squid -N -d 1 -f "$folder/squid.conf" 2>"$folder/said" &
while read -r line; do
    case $line in
    *Accepting*) break ;;
    *FATAL*) echo "$line" && exit 1 ;;
    esac
done <"$folder/said"
for url in "$@"; do
    # A tunnel that is refused, or a request that is.
    code=$(curl -s -o /dev/null -w '%{http_connect} %{http_code}' --max-time 20 -x http://127.0.0.1:3128 "$url" || :)
    echo "$url $code"
done
kill $!
wait || :
