#!/bin/sh
# Installs JupyterLab and takes away what only costs room.
#   install.sh VENV
set -eu
venv=$1
sh /python/venv.sh "$venv" "$(dirname "$0")/requirements.txt"

# Tests serve those who make these packages.
packages=$(echo "$venv"/lib/python3.*/site-packages)
for package in numpy pandas matplotlib; do
  find "$packages/$package" -depth -type d -name tests -exec rm -rf {} +
done
