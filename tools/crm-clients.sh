#!/bin/sh
# Puts the CRMs' client libraries, written by others, where tests/crm_clients.rs drives our fake CRMs with them:
# .cache/crm-clients. What is fetched, and the sums by which it is checked, is in requirements.txt. Needs python3 with
# pip, no root, and the internet only once: when all is there, nothing is done.
set -eu
cd "$(dirname "$0")/.."
cache=.cache/crm-clients
wanted=tests/support/clients/crm/requirements.txt

if ! python3 -m pip --version > /dev/null 2>&1; then
    echo "python3 with pip is missing, which the tests with CRM clients need; install it: sudo apt-get install python3-pip" >&2
    exit 1
fi
# What was installed for another list or another Python does not do.
state=$(python3 -c 'import hashlib, platform, sys
print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest(), platform.python_version(), platform.machine())' "$wanted")
if [ "$(cat "$cache/state" 2> /dev/null)" = "$state" ]; then exit 0; fi

echo "fetching client libraries of CRMs for the tests (about 60 MB, once)"
mkdir -p .cache
# Beside its goal, so that the last step is a rename: a run that breaks off leaves nothing that looks whole.
fetched=$(mktemp -d .cache/crm-clients-XXXXXX)
trap 'rm -rf "$fetched"' EXIT
trap 'exit 1' HUP INT TERM
export PIP_ROOT_USER_ACTION=ignore
if ! python3 -m pip install --quiet --disable-pip-version-check --no-warn-script-location \
    --no-deps --require-hashes --only-binary=:all: --target "$fetched/lib" --requirement "$wanted"; then
    echo "the CRM clients were not fetched; check the internet and run it again: tools/crm-clients.sh" >&2
    exit 1
fi
echo "$state" > "$fetched/state"
rm -rf "$cache"
mv "$fetched" "$cache"
chmod 755 "$cache"
echo "the CRM clients are in $cache"
