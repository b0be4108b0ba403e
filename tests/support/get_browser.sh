#!/bin/sh
# A browser for the console tests: an installed one, else Debian's, else Playwright's own.
# Exit 1 where none can be had.
set -u
installed() {
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null 2>&1 && return 0
  done
  return 1
}
installed && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "→ 安装 Debian 的 chromium 和中文字体 / installing Debian's chromium and Chinese fonts"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >/dev/null 2>&1 &&
    apt-get install -yq --no-install-recommends chromium fonts-noto-cjk >/dev/null 2>&1
  installed && exit 0
fi
.venv/bin/python -m playwright install chromium >/dev/null 2>&1 && exit 0
echo "→ 没有浏览器, 控制台测试将被跳过 / no browser can be had: the console tests will be skipped" >&2
exit 1
