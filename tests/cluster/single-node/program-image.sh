#!/usr/bin/env bash
# An image of one static program, as an OCI archive on standard output: program-image.sh NAME:TAG PROGRAM [PATH]
# The program is the entrypoint, for a user that is not root. Its path in the image is PATH, by default its name in the root folder.
set -eo pipefail

name=$1 program=$2 path=${3:-/$(basename "$2")}
work=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/oci/blobs/sha256"

blob() { # file: move it below its digest, and print that
    local digest
    digest=$(sha256sum "$1" | cut -d' ' -f1)
    mv "$1" "$work/oci/blobs/sha256/$digest"
    echo "$digest"
}

install -D "$program" "$work/root$path"
tar -C "$work/root" -cf "$work/layer" .
rm -r "$work/root"
layer_size=$(stat -c%s "$work/layer")
layer=$(blob "$work/layer")
cat >"$work/config" <<X
{"architecture":"amd64","os":"linux","config":{"User":"65532:65532","Entrypoint":["$path"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
X
config_size=$(stat -c%s "$work/config")
config=$(blob "$work/config")
cat >"$work/manifest" <<X
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
 "config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$config_size},
 "layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:$layer","size":$layer_size}]}
X
manifest_size=$(stat -c%s "$work/manifest")
manifest=$(blob "$work/manifest")
echo '{"imageLayoutVersion":"1.0.0"}' >"$work/oci/oci-layout"
cat >"$work/oci/index.json" <<X
{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$manifest",
 "size":$manifest_size,
 "annotations":{"io.containerd.image.name":"$name","org.opencontainers.image.ref.name":"${name##*:}"}}]}
X
tar -C "$work/oci" -c .
