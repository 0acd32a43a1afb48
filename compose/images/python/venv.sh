#!/bin/sh
# Installs a locked list of packages into a new virtual environment, byte-compiled: a container's
# file system is read-only, so what is not compiled now is compiled again at every start.
#   venv.sh VENV REQUIREMENTS [WHEELS]    with the index settings in PIP_CONFIG_FILE, if it exists
set -eu
venv=$1
requirements=$2
wheels=${3:-}
here=$(dirname "$0")

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
  --target /tmp/uv --requirement "$here/uv.txt"
uv() { /tmp/uv/bin/uv "$@"; }

uv venv --quiet --no-python-downloads --python /usr/bin/python3 "$venv"
uv pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes --no-build \
  ${wheels:+--find-links "$wheels"} --compile-bytecode --requirement "$requirements"
