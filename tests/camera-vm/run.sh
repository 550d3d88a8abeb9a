#!/bin/bash
# Tests USB cameras on the kernel's own driver: boots a virtual machine whose USB port has a camera made of software
# (device/), and runs tests/camera_vm.rs in it. Without KVM too, where the processor is emulated.
#
# Needs Debian 12 or Ubuntu on x86-64, with apt-get, xz and what builds Snova. Nothing is installed: packages are fetched
# once and unpacked into .cache/ here, which may be deleted at any time. LIMIT is the most seconds that the machine runs.
set -euo pipefail
cd "$(dirname "$0")"
project=$(cd ../.. && pwd)
cache=$PWD/.cache
unpacked=$cache/unpacked
limit=${LIMIT:-300}

say() { printf '== %s\n' "$*"; }

fetch() {
    [ -e "$cache/fetched" ] && return
    say 'fetching a kernel, QEMU and busybox (about 150 MB, once)'
    rm -rf "$cache/packages" "$unpacked"
    mkdir -p "$cache/packages/partial" "$unpacked"
    # The lists are root's to renew; as they are they may do.
    if [ "$(id -u)" = 0 ]; then apt-get update -qq; fi
    local image
    # The kernel for clouds would be smaller, but it has no cameras.
    image=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
    # What QEMU needs as well, in whatever versions this release has.
    apt-get install -qq -y --no-install-recommends --download-only -o Debug::NoLocking=1 \
        -o Dir::Cache::archives="$cache/packages" qemu-system-x86 busybox-static > /dev/null
    # The three themselves, which may be on this machine already and are then not fetched by the line above.
    (cd "$cache/packages" && apt-get download -qq "$image" qemu-system-x86 busybox-static)
    local package
    for package in "$cache"/packages/*.deb; do dpkg-deb -x "$package" "$unpacked"; done
    rm -rf "$cache/packages"
    # Unpacked, the kernel starts seconds earlier where the processor is emulated. It is an xz stream inside its file.
    local kernel at
    kernel=$(ls "$unpacked"/boot/vmlinuz-*)
    at=$(LC_ALL=C grep -abo $'\xFD7zXZ' "$kernel" | head -n 1 | cut -d : -f 1)
    # xz complains of what follows the stream.
    tail -c "+$((at + 1))" "$kernel" | xz -dc --single-stream > "$cache/kernel" 2> /dev/null || true
    [ "$(head -c 4 "$cache/kernel" | tail -c 3)" = ELF ] || { echo 'the kernel was not unpacked' >&2; exit 1; }
    touch "$cache/fetched"
}

build() {
    say 'building the camera, Snova and the tests'
    (cd device && CARGO_TARGET_DIR=$cache/target cargo build --locked --quiet --release)
    (cd "$project" && cargo build --locked --quiet --bin snova)
    driver=$(cd "$project" && cargo test --locked --quiet --test camera_vm --no-run --message-format=json |
        sed -n 's/.*"executable":"\([^"]*camera_vm[^"]*\)".*/\1/p' | tail -n 1)
}

# Puts a module into the list, those it depends on before it.
add_module() {
    local file name needed
    # Files are named with either sign.
    file=$(find "$unpacked/lib/modules" -name "${1//[-_]/[-_]}.ko" | head -n 1)
    # Not there: built into the kernel.
    [ -n "$file" ] || return 0
    name=$(basename "$file")
    if grep -qx "$name" "$root/modules/order"; then return 0; fi
    for needed in $(tr '\0' '\n' < "$file" | sed -n 's/^depends=//p' | tr , ' '); do add_module "$needed"; done
    cp "$file" "$root/modules/"
    echo "$name" >> "$root/modules/order"
}

pack() {
    root=$cache/root
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,proc,sys,run,tmp,modules}
    cp "$unpacked/bin/busybox" "$root/bin/"
    install -m 0755 init.sh "$root/init"
    local program library
    for program in "$cache/target/release/test-camera" "$project/target/debug/snova"; do
        strip -o "$root/bin/$(basename "$program")" "$program"
    done
    strip -o "$root/bin/camera_vm" "$driver"
    for program in test-camera snova camera_vm; do
        for library in $(ldd "$root/bin/$program" | grep -o '/[^ ]*'); do
            install -D -m 0755 "$library" "$root$library"
        done
    done
    : > "$root/modules/order"
    add_module vhci-hcd
    add_module uvcvideo
    (cd "$root" && find . | "$root/bin/busybox" cpio -o -H newc 2> /dev/null) > "$cache/initramfs"
}

qemu() {
    local libraries=$unpacked/usr/lib/x86_64-linux-gnu:$unpacked/lib/x86_64-linux-gnu
    LD_LIBRARY_PATH=$libraries QEMU_MODULE_DIR=$unpacked/usr/lib/x86_64-linux-gnu/qemu \
        timeout "$limit" "$unpacked/usr/bin/qemu-system-x86_64" "$@" < /dev/null 2>&1 | sed -u 's,\r,,g'
}

boot() {
    qemu -accel "$accelerator" -cpu "$processor" -M pc -m 512 -smp 2 \
        -nodefaults -no-user-config -display none -serial stdio -nic none -no-reboot \
        -L "$unpacked/usr/share/seabios" -L "$unpacked/usr/share/qemu" -kernel "$cache/kernel" -initrd "$cache/initramfs" \
        -append 'console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr tsc=reliable random.trust_cpu=on'
}

if [ "$(uname -m)" != x86_64 ]; then
    echo 'this test needs an x86-64 machine' >&2
    exit 1
fi
# Hardware virtualisation only where the processor has it: there is a /dev/kvm that cannot run a usual kernel.
accelerator=tcg,thread=multi
processor=Nehalem-v1
if [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
    accelerator=kvm
    processor=host
fi
mkdir -p "$cache"
fetch
build
pack
say "starting the machine (at most $limit s)"
{
    echo "make test-camera, $(date -u +%Y-%m-%d), commit $(git -C "$project" describe --always --dirty)"
    echo "host: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, $(. /etc/os-release && echo "$PRETTY_NAME")"
} > "$cache/log"
started=$(date +%s)
boot | tee "$cache/screen" || true
echo "machine: $(qemu --version | head -n 1), $accelerator, $(($(date +%s) - started)) s" >> "$cache/log"
# What the firmware and the tests' running text write is no part of the log.
sed -n 's/.*\(guest: \)/\1/p; /^    [a-z0-9_]*$/d; /^test /p; /^  /p' "$cache/screen" >> "$cache/log"
if ! grep -q 'guest: tests ended with 0' "$cache/screen"; then
    echo 'the tests failed, or the machine did not come that far' >&2
    exit 1
fi
cp "$cache/log" "$project/docs/camera-vm.log"
say 'passed; the log is docs/camera-vm.log'
