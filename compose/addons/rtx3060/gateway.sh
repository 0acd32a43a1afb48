#!/bin/sh
# Starts the gateway. Answers lie in the volume; where it cannot be written, the gateway answers all
# the same and keeps nothing.
set -u
volume=/var/cache/gateway
store=$volume

usable() {
  mkdir -p "$volume/answers" "$volume/coming" && : > "$volume/coming/probe"
}
if ! usable 2>/dev/null; then
  echo "the cache's volume cannot be written: answers are not kept" >&2
  store=/tmp/no-store
  mkdir -p "$store/answers" "$store/coming"
fi
# What was on its way when the last one ended is half an answer.
rm -rf "$store"/coming/*
ln -sfn "$store" /tmp/store
exec /usr/bin/openresty -e stderr -c /etc/gateway/nginx.conf
