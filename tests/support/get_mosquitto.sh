#!/bin/sh
# A broker for the MQTT tests: an installed mosquitto, else Debian's. Nothing is left running.
# Exit 1 where none can be had.
set -u
installed() {
  command -v mosquitto >/dev/null 2>&1 || test -x /usr/sbin/mosquitto
}
installed && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "→ 安装 Debian 的 mosquitto / installing Debian's mosquitto"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >/dev/null 2>&1
  apt-get install -yq --no-install-recommends mosquitto >/dev/null 2>&1
  service mosquitto stop >/dev/null 2>&1
  installed && exit 0
fi
echo "→ 没有 mosquitto, MQTT 测试将被跳过 / no mosquitto can be had: its tests will be skipped" >&2
exit 1
