#!/bin/sh
# A server for the sinks' tests: an installed mariadb-server, else Debian's. Nothing is left running.
# Exit 1 where none can be had.
set -u
installed() {
  command -v mariadbd >/dev/null 2>&1 || test -x /usr/sbin/mariadbd
}
installed && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "→ 安装 Debian 的 mariadb-server / installing Debian's mariadb-server"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >/dev/null 2>&1
  apt-get install -yq --no-install-recommends mariadb-server >/dev/null 2>&1
  service mariadb stop >/dev/null 2>&1
  installed && exit 0
fi
echo "→ 没有 mariadb-server, 相关测试将被跳过 / no mariadb-server can be had: its tests will be skipped" >&2
exit 1
