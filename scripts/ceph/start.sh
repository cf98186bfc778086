#!/usr/bin/env bash
# Starts a Ceph cluster of one monitor, one OSD in memory and one S3 gateway, on loopback, for tests. Needs root for nothing, but the
# Debian packages ceph-mon ceph-osd radosgw ceph-common ceph-base. usage: start.sh DIR [PORT]
# DIR is made anew. The gateway listens on PORT (default: a free one), which is written to DIR/port; stop.sh DIR ends it all.
set -euo pipefail
dir=$(realpath -m "${1:?usage: $0 DIR [PORT]}")
[ ! -e "$dir" ] || { echo "$dir is there already" >&2; exit 1; }

missing=()
for program in ceph ceph-mon ceph-osd radosgw radosgw-admin monmaptool; do
  command -v "$program" >/dev/null || missing+=("$program")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "not found: ${missing[*]}" >&2
  echo "install them: apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common ceph-base" >&2
  exit 3
fi

# free_port: a port that nothing listens on now.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  echo 'found no free port' >&2
  return 1
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || { echo "gave up waiting for: $*; the logs are in $dir/log" >&2; return 1; }
    sleep 0.1
  done
}

port=${2:-$(free_port)}
monitor=$(free_port)
mkdir -m 700 "$dir"
mkdir "$dir"/{mon,osd,run,log,rgw}
# Whatever goes wrong from here on, nothing keeps running.
trap '"$(dirname "$0")/stop.sh" "$dir"' ERR

fsid=$(cat /proc/sys/kernel/random/uuid)
export CEPH_CONF=$dir/ceph.conf
cat >"$CEPH_CONF" <<CONF
[global]
fsid = $fsid
mon_host = [v2:127.0.0.1:$monitor/0]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr1 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_supported = none
# Without these the gateway waits for an encrypted connection, for ever.
ms_mon_client_mode = crc
ms_mon_cluster_mode = crc
ms_mon_service_mode = crc
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
mon_warn_on_insecure_global_id_reclaim = false
mon_warn_on_insecure_global_id_reclaim_allowed = false
mon_warn_on_pool_no_redundancy = false
run_dir = $dir/run
admin_socket = $dir/run/\$name.asok
log_file = $dir/log/\$name.log
log_to_stderr = false
pid_file = $dir/run/\$name.pid
crash_dir = $dir/run
keyring = $dir/keyring
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
mon_max_pg_per_osd = 2000
[mon]
mon_data = $dir/mon
mon_osd_reporter_subtree_level = osd
mon_data_avail_warn = 2
mon_data_avail_crit = 1
mon_initial_members = a
[osd]
osd_data = $dir/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_class_load_list = *
osd_class_default_list = *
[client]
rgw_frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw_data = $dir/rgw
rgw_thread_pool_size = 32
rgw_gc_obj_min_wait = 5
CONF

# start NAME COMMAND…: in the background, its pid in run/NAME.p.
start() {
  local name=$1
  shift
  "$@" >"$dir/log/$name.out" 2>&1 </dev/null &
  echo $! >"$dir/run/$name.p"
}

cd "$dir"
monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$monitor]" monmap >/dev/null
ceph-mon --mkfs -i a --monmap monmap
start mon ceph-mon -i a -f
osd_id=$(cat /proc/sys/kernel/random/uuid)
wait_for 30 timeout 5 ceph --connect-timeout 3 osd new "$osd_id"
ceph-osd -i 0 --mkfs --osd-uuid "$osd_id" 2>"$dir/log/osd-mkfs"
start osd ceph-osd -i 0 -f
wait_for 60 sh -c "timeout 5 ceph osd stat | grep -q '1 up'"
start rgw radosgw -f -n client.rgw
wait_for 60 bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
# These open nothing but this server, which only this machine reaches.
timeout 60 radosgw-admin user create --uid molt --display-name molt \
  --access-key "${AWS_ACCESS_KEY_ID:-moltaccess}" --secret-key "${AWS_SECRET_ACCESS_KEY:-moltsecret}" \
  -n client.rgw >/dev/null 2>"$dir/log/user"
echo "$port" >"$dir/port"
