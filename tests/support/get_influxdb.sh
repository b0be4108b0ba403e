#!/bin/sh
# A server for the sinks' tests: an installed influxdb, else Debian's. Nothing is left running.
# Exit 1 where none can be had.
set -u
installed() {
  command -v influxd >/dev/null 2>&1 || test -x /usr/sbin/influxd
}
installed && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "→ 安装 Debian 的 influxdb / installing Debian's influxdb"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >/dev/null 2>&1
  apt-get install -yq --no-install-recommends influxdb >/dev/null 2>&1
  service influxdb stop >/dev/null 2>&1
  installed && exit 0
fi
echo "→ 没有 influxdb, 相关测试将被跳过 / no influxdb can be had: its tests will be skipped" >&2
exit 1
