#!/bin/sh
# Stands in for the process that reads a USB camera. `--device` leads to a folder of the test's: its `plan` is what
# this process does, with the picture in `picture`; it notes its number and how it was started.
folder=$4
echo $$ >> "$folder/started"
echo "$@" > "$folder/arguments"
. "$folder/plan"
