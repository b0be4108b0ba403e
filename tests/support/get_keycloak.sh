#!/bin/sh
# A Keycloak for the identity tests: unpacked and built once into a cache folder, which it prints.
# Needs Java 17 or newer, and Maven for the archive. Exit 1 where none can be had.
set -u
VERSION=26.4.5
CACHE="${ANDON_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/andon-tests}"
HERE="$CACHE/keycloak-$VERSION"
ZIP="${MAVEN_REPOSITORY:-$HOME/.m2/repository}/org/keycloak/keycloak-quarkus-dist/$VERSION/keycloak-quarkus-dist-$VERSION.zip"
give_up() {
  echo "→ 没有 Keycloak ($1), 身份测试将被跳过 / no Keycloak ($1): its tests will be skipped" >&2
  exit 1
}
[ -f "$HERE/.ready" ] && { echo "$HERE"; exit 0; }
command -v java >/dev/null 2>&1 || give_up "no Java"
java -version 2>&1 | grep -Eq 'version "(1[7-9]|[2-9][0-9])' || give_up "Java is older than 17"
if [ ! -f "$ZIP" ]; then
  command -v mvn >/dev/null 2>&1 || give_up "no Maven"
  timeout 300 mvn -q -B dependency:get -Dtransitive=false \
    -Dartifact="org.keycloak:keycloak-quarkus-dist:$VERSION:zip" >&2 || give_up "Maven failed"
fi
[ -f "$ZIP" ] || give_up "the archive is not where Maven keeps it"
mkdir -p "$CACHE" || give_up "no cache folder"
NEW=$(mktemp -d "$CACHE/keycloak-new-XXXXXX") || give_up "no cache folder"
trap 'rm -rf "$NEW"' EXIT
if command -v unzip >/dev/null 2>&1; then unzip -q "$ZIP" -d "$NEW"
else python3 -m zipfile -e "$ZIP" "$NEW"; fi || give_up "the archive cannot be unpacked"
BUILT="$NEW/keycloak-$VERSION"
chmod +x "$BUILT"/bin/*.sh
# Built ahead, its start takes seconds instead of half a minute; the database is in memory.
timeout 240 "$BUILT/bin/kc.sh" build --db=dev-mem --health-enabled=true >"$NEW/build.log" 2>&1 \
  || { tail -5 "$NEW/build.log" >&2; give_up "its build failed"; }
touch "$BUILT/.ready"
mv "$BUILT" "$HERE" 2>/dev/null || [ -f "$HERE/.ready" ] || give_up "the cache folder is taken"
echo "$HERE"
