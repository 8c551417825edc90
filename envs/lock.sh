#!/usr/bin/env bash
# Let named packages of a lock change: envs/lock.sh core pandas requests. uv resolves the lock anew; what the named
# packages newly need is added, all others keep their versions. Without names it checks that the lock resolves.
# A lock has plain pins only, one for the CPU and the CUDA builds of torch: no local versions (+cpu), and none of the
# packages that a CUDA build brings along.
set -euo pipefail
cd "$(dirname "$0")"
lock=$1.txt named=$(IFS='|'; echo "${*:2}")
base=$(sed -n 's/^-r //p' "$lock")
for name in "${@:2}"; do
  grep -qix "$name==.*" "$lock" || { echo "envs/$lock: $name is not in this lock; add a line for it first" >&2; exit 2; }
done
comments=$(grep -E '^(#|-r )' "$lock")
pins=$(sed -E "/^(#|-r )/d; s/^(${named:-none})==.*/\1/I" "$lock" |
  uv pip compile --quiet --no-header --no-annotate --python-version 3.11 ${base:+--constraint "$base"} - |
  grep -vE '^(cuda-|nvidia-|triton=)' | sed 's/+.*//' | grep -vxFf <(cat ${base:-/dev/null}))
diff <(grep == "$lock") <(echo "$pins") || true
printf '%s\n' "$comments" "$pins" > "$lock"
