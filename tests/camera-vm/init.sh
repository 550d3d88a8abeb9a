#!/bin/busybox sh
# The first and only program of the virtual machine: loads the drivers, plugs the camera in, runs the tests, ends.
/bin/busybox --install -s /bin
export PATH=/bin TMPDIR=/tmp
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mkdir -p /dev/pts
mount -t devpts none /dev/pts
while read -r module; do
    insmod "/modules/$module" || echo "guest: the module $module was not loaded"
done < /modules/order
mkfifo /run/camera
test-camera /run/camera &
waited=0
while [ ! -e /dev/video0 ] && [ $waited -lt 300 ]; do
    usleep 100000
    waited=$((waited + 1))
done
echo "guest: Linux $(uname -r), $(echo /dev/video*) after $(cut -d ' ' -f 1 /proc/uptime) s"
SNOVA=/bin/snova CAMERA_COMMANDS=/run/camera camera_vm --test-threads 1 --show-output
status=$?
if [ $status != 0 ]; then dmesg | tail -30; fi
echo "guest: tests ended with $status after $(cut -d ' ' -f 1 /proc/uptime) s"
poweroff -f
