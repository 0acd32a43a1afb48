#!/bin/sh
# Installs Open WebUI and takes away what only costs room and time.
#   install.sh VENV
set -eu
venv=$1
sh /python/venv.sh "$venv" "$(dirname "$0")/requirements.txt"

# Source maps serve browser debuggers only: 90 MB. numpy's tests serve numpy.
packages=$(echo "$venv"/lib/python3.*/site-packages)
find "$packages/open_webui/frontend" -name '*.map' -delete
find "$packages/numpy" -depth -type d -name tests -exec rm -rf {} +

# At every start Open WebUI parses this file, and shows the newest five releases of it: 1.2 s saved.
changelog=$packages/open_webui/CHANGELOG.md
awk '/^## \[/ { releases++ } releases <= 5' "$changelog" > /tmp/changelog && cp /tmp/changelog "$changelog"
