#!/bin/sh
# Writes the file system of localhost/deployctl/base, made from Debian packages alone, to stdout as a tar.
#   rootfs.sh MIRROR | docker import -c 'ENV LANG=C.UTF-8' -c 'CMD ["bash"]' - localhost/deployctl/base:TAG
# MIRROR is the Debian mirror this host's apt uses, `-` for apt sources on stdin, or nothing for the
# public one. What is given stays out of the image: builds on top mount their apt sources for the
# length of one command. Needs root, mmdebstrap and the Debian keyring.
set -eu
# usr-is-merged, with the hook that makes it true, stands in for usrmerge and its 54 MB of Perl.
mirror=${1-}
suite=${2:-bookworm}
given=
[ -z "$mirror" ] || given='"$1"/etc/apt/sources.list'

exec mmdebstrap --quiet --mode=root --variant=apt \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --include=ca-certificates,curl,libgomp1,python3,python3-venv,tzdata,usr-is-merged \
  --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='force-unsafe-io' \
  --aptopt='Acquire::Languages "none"' \
  --customize-hook="rm -f $given"' "$1"/etc/apt/apt.conf.d/99mmdebstrap' \
  --customize-hook='rm -rf "$1"/etc/hostname "$1"/etc/resolv.conf' \
  "$suite" - ${mirror:+"$mirror"}
