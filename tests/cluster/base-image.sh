#!/usr/bin/env bash
# Makes a base image with Python 3.11 from Debian packages, for machines that reach a Debian mirror but no image
# registry. Needs root, buildah and debootstrap; does nothing when the image is there.
#   tests/cluster/base-image.sh [NAME]        default localhost/python:3.11
set -euo pipefail

name=${1:-localhost/python:3.11}
buildah="buildah --storage-driver ${STORAGE_DRIVER:-overlay}"
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

if $buildah inspect --type image "$name" >/dev/null 2>&1; then
    exit 0
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
echo "==> Making $name from Debian packages: about 2 minutes, once"
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" "$mirror" >/dev/null
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
container=$($buildah from scratch)
$buildah add --quiet "$container" "$root" / >/dev/null
$buildah config --cmd python3 --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
$buildah commit --quiet --rm "$container" "$name" >/dev/null
