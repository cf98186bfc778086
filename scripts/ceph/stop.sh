#!/usr/bin/env bash
# Ends what start.sh started in DIR, by the process ids that it wrote down, and removes DIR. usage: stop.sh DIR
set -uo pipefail
dir=$(realpath -m "${1:?usage: $0 DIR}")
[ -d "$dir/run" ] || exit 0

# A process id may have gone to somebody else since: only a process whose command line names this folder's programs is ended.
alive() {
  [ -r "/proc/$1/environ" ] && tr '\0' '\n' 2>/dev/null <"/proc/$1/environ" | grep -qx "CEPH_CONF=$dir/ceph.conf"
}

for signal in TERM KILL; do
  for _ in $(seq 50); do
    left=0
    for file in "$dir"/run/*.p; do
      [ -e "$file" ] || continue
      read -r pid <"$file"
      if alive "$pid"; then
        left=1
        kill -s "$signal" "$pid" 2>/dev/null
      fi
    done
    [ "$left" -eq 1 ] || break 2
    sleep 0.1
  done
done
rm -rf "$dir"
