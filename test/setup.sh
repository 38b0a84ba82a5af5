#!/usr/bin/env bash
# Installs what the tests need and npm does not bring: a MySQL or MariaDB server, which the tests run
# privately, Chromium, 7-Zip, which opens the ZIP files, wrk, which puts the benches under load, and galera-4 and rsync
# for the cluster of `npm run prove`. What is there already is left alone, so this can be run any number of times.
set -euo pipefail
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

has_any() {
  local name
  for name in "$@"; do
    if command -v "$name" >/dev/null; then return 0; fi
  done
  return 1
}

has_server() { has_any mariadbd mysqld; }
has_browser() { has_any chromium chromium-browser google-chrome google-chrome-stable; }
has_zip() { has_any 7z 7zz; }
is_maria() { has_any mariadbd || ! has_any mysqld; }
has_galera() { compgen -G '/usr/lib*/galera*/libgalera_smm.so' >/dev/null; }
has_load() { has_any wrk; }

# Without these the tests skip what needs them. That is for the person at this machine to weigh; a
# build machine must not.
stop_short() {
  echo "test:setup: $1" >&2
  if [[ "${CI:-}" == true ]]; then exit 1; fi
  exit 0
}

packages=()
has_server || packages+=(mariadb-server)
has_browser || packages+=(chromium)
has_zip || packages+=(7zip)
# Only recommended by mariadb-server; another system's MariaDB has its own.
if is_maria && [[ -f /etc/debian_version ]]; then
  has_galera || packages+=(galera-4)
  has_any rsync || packages+=(rsync)
fi
has_load || packages+=(wrk)
if [[ ${#packages[@]} -eq 0 ]]; then
  echo 'test:setup: a database server, a browser, 7-Zip and wrk are here; nothing to install'
  exit 0
fi

if [[ ! -f /etc/debian_version ]] || ! has_any apt-get; then
  stop_short "please install: ${packages[*]} (Debian's names; MySQL 8 or Chrome will do as well)"
fi

as_root=()
if [[ $EUID -ne 0 ]]; then
  has_any sudo || stop_short "please install, as root: apt-get install ${packages[*]}"
  as_root=(sudo)
fi
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=120)

echo "test:setup: installing ${packages[*]}"
server_is_new=$(has_server && echo no || echo yes)
"${apt[@]}" update || echo 'test:setup: the package lists could not be refreshed; going on with the old ones' >&2
"${apt[@]}" install --no-install-recommends "${packages[@]}" || stop_short "could not install ${packages[*]}"

# The package starts a server for the whole machine; the tests start their own.
if [[ "$server_is_new" == yes ]]; then
  if has_any systemctl && systemctl is-active --quiet mariadb; then
    "${as_root[@]}" systemctl disable --now mariadb
  elif [[ -x /etc/init.d/mariadb ]] && /etc/init.d/mariadb status >/dev/null 2>&1; then
    "${as_root[@]}" /etc/init.d/mariadb stop
  fi
fi

has_server || stop_short 'there is still no database server'
has_browser || stop_short 'there is still no browser'
has_zip || stop_short 'there is still no 7-Zip'
has_load || stop_short 'there is still no wrk'
