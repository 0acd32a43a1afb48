#!/usr/bin/env bash
# Starts Open WebUI. Same place and name as in the official image, so that one compose file fits both.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Signs the sign-in tokens. Kept with the data when the operator gives none: a key made anew at
# every start would sign everybody out.
if [ -z "${WEBUI_SECRET_KEY:-}" ]; then
  key_file="${WEBUI_SECRET_KEY_FILE:-$DATA_DIR/.webui_secret_key}"
  [ -s "$key_file" ] || (umask 077 && head -c 32 /dev/urandom | base64 > "$key_file")
  WEBUI_SECRET_KEY="$(cat "$key_file")"
  export WEBUI_SECRET_KEY
fi

mkdir -p "$STATIC_DIR"
exec python serve.py
