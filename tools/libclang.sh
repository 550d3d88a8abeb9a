#!/bin/sh
# Sees to it that the build finds libclang, which reads the kernel's header for the crates that speak to USB cameras
# (v4l2-sys-mit, through bindgen). Where the machine has one, nothing is done. Else the one of the PyPI package
# "libclang" is put into .cache/libclang, where .cargo/config.toml lets the build look. Needs no root, and the
# internet only once.
set -eu
cd "$(dirname "$0")/.."
cache=.cache/libclang
version=18.1.1

[ ! -s "$cache/libclang.so" ] || exit 0

# Where bindgen looks by itself: what llvm-config names, LIBCLANG_PATH, and the usual folders. libclang-cpp is another.
is_there() {
    for library in "$1"/libclang.so "$1"/libclang-*.so "$1"/libclang.so.* "$1"/libclang-*.so.*; do
        case $library in *-cpp.*) continue ;; esac
        if [ -e "$library" ]; then return 0; fi
    done
    return 1
}
if [ "${SNOVA_OWN_LIBCLANG:-}" = "" ]; then
    llvm=$(llvm-config --prefix 2>/dev/null || true)
    for folder in ${LIBCLANG_PATH:-} ${llvm:+"$llvm/lib"} /usr/local/llvm*/lib* /usr/local/lib* /usr/local/lib*/* \
        /usr/local/lib*/*/* /usr/lib* /usr/lib*/* /usr/lib*/*/*; do
        if [ -d "$folder" ] && is_there "$folder"; then exit 0; fi
    done
fi

# The sums are of the package's wheels for Linux; pip refuses every other file.
case $(uname -m) in
x86_64) sum=c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b ;;
aarch64) sum=54dda940a4a0491a9d1532bf071ea3ef26e6dbaf03b5000ed94dd7174e8f9592 ;;
*)
    echo "libclang is missing; install it: sudo apt-get install libclang-dev" >&2
    exit 1
    ;;
esac
if ! python3 -m pip --version > /dev/null 2>&1; then
    echo "libclang is missing, and python3 with pip to fetch it; install one: sudo apt-get install libclang-dev" >&2
    exit 1
fi
echo "fetching libclang $version for the build (25 MB, once)"
mkdir -p "$cache"
# Beside its goal, so that the last step is a rename: a run that breaks off leaves nothing that looks whole.
fetched=$(mktemp -d "$cache/fetched-XXXXXX")
trap 'rm -rf "$fetched"' EXIT
trap 'exit 1' HUP INT TERM
echo "libclang==$version --hash=sha256:$sum" > "$fetched/wanted.txt"
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
    --dest "$fetched" --requirement "$fetched/wanted.txt"; then
    echo "libclang $version was not fetched; check the internet, or install it: sudo apt-get install libclang-dev" >&2
    exit 1
fi
python3 - "$fetched" <<'PYTHON'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
wheel, = folder.glob("libclang-*.whl")
with zipfile.ZipFile(wheel) as package:
    member, = (name for name in package.namelist() if name.endswith("clang/native/libclang.so"))
    (folder / "libclang.so").write_bytes(package.read(member))
PYTHON
mv "$fetched/libclang.so" "$cache/libclang.so"
