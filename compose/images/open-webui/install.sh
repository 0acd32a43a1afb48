#!/bin/sh
# Installs requirements.txt into a new virtual environment, byte-compiled: the container's file
# system is read-only, so what is not compiled now is compiled again at every start.
#   install.sh VENV        with the index settings in PIP_CONFIG_FILE, if that file exists
set -eu
venv=$1
recipe=$(dirname "$0")

pip() {
  PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) python3 -m pip --disable-pip-version-check "$@"
}

# uv reads no pip.conf: hand it the same index.
setting() { pip config get "global.$1" 2>/dev/null | tr '\n' ' ' || true; }
index=$(setting index-url)
extra=$(setting extra-index-url)
trusted=$(setting trusted-host)
[ -z "$index" ] || export UV_DEFAULT_INDEX="${index% }"
[ -z "$extra" ] || export UV_INDEX="$extra" UV_INDEX_STRATEGY=unsafe-best-match
[ -z "$trusted" ] || export UV_INSECURE_HOST="$trusted"
export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt UV_LINK_MODE=copy UV_NO_CONFIG=1 UV_HTTP_TIMEOUT=120

pip install --quiet --no-cache-dir --root-user-action=ignore --require-hashes \
  --target /tmp/uv --requirement "$recipe/uv.txt"
uv() { /tmp/uv/bin/uv "$@"; }

uv venv --quiet --no-python-downloads --python /usr/bin/python3 "$venv"
uv pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes --no-build \
  --compile-bytecode --requirement "$recipe/requirements.txt"

# Source maps serve browser debuggers only: 90 MB. numpy's tests serve numpy.
packages=$(echo "$venv"/lib/python3.*/site-packages)
find "$packages/open_webui/frontend" -name '*.map' -delete
find "$packages/numpy" -depth -type d -name tests -exec rm -rf {} +

# At every start Open WebUI parses this file, and shows the newest five releases of it: 1.2 s saved.
changelog=$packages/open_webui/CHANGELOG.md
awk '/^## \[/ { releases++ } releases <= 5' "$changelog" > /tmp/changelog && cp /tmp/changelog "$changelog"
