#!/usr/bin/env bash
# The cluster tests, on a real Kubernetes: `make test-cluster` calls this.
#
# Without KUBECONFIG it starts a node on this machine (root; single-node/), builds the images, runs the tests and takes
# the node away again; KEEP=1 leaves it. With KUBECONFIG the tests use that cluster, which must be able to pull
# <REPOSITORY>/{extractor,trainer,worker,converter,cli,objectstore-dev}:<TAG> and FACEFOUNDRY_CLUSTER_IMAGE, any image
# with a busybox shell. Where pods reach this machine, FACEFOUNDRY_CLUSTER_HOST is its address for them: tests then run
# S3 servers here.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
single_node=$here/single-node/single-node.sh
programs=${XDG_CACHE_HOME:-$HOME/.cache}/facefoundry/single-node
tools=${XDG_CACHE_HOME:-$HOME/.cache}/facefoundry/bin
servers=versitygw
[ -z "${FACEFOUNDRY_CLUSTER_FULL:-}" ] || servers="versitygw minio garage"
images=(extractor trainer worker converter cli objectstore-dev)
buildah="buildah --storage-driver ${STORAGE_DRIVER:-overlay}"

busybox_image() {
    local container links
    $buildah inspect --type image localhost/busybox:1 >/dev/null 2>&1 && return
    echo "==> Making localhost/busybox:1"
    links=$(mktemp -d)
    mkdir "$links/bin"
    cp /bin/busybox "$links/bin/busybox"
    for applet in $(/bin/busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$links/bin/$applet"; done
    container=$($buildah from scratch)
    $buildah add --quiet "$container" "$links" / >/dev/null
    $buildah config --cmd sh --env PATH=/bin "$container"
    $buildah commit --quiet --rm "$container" localhost/busybox:1 >/dev/null
    rm -r "$links"
}

bring() { # images: all in one archive, so that layers that they share travel once
    local image
    echo "==> Bringing the images onto the node"
    layout=$(mktemp -d -p /var/tmp)
    for image; do $buildah push --quiet --disable-compression "$image" "oci:$layout:$image"; done
    tar -C "$layout" -c . | "$single_node" load -
    rm -r "$layout"
}

clean_up() {
    [ -z "${building:-}" ] || kill -- "-$building" 2>/dev/null || true
    [ -z "${layout:-}" ] || rm -rf "$layout"
    [ -z "${started:-}" ] || [ -n "${KEEP:-}" ] || "$single_node" down
}

own_node() {
    [ "$(id -u)" = 0 ] || { echo "Set KUBECONFIG to a cluster, or be root to start one here." >&2; exit 1; }
    if ! dpkg-query --show buildah debootstrap busybox-static >/dev/null 2>&1; then
        echo "==> Installing Debian packages that build images"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            buildah debootstrap busybox-static ca-certificates >/dev/null
    fi
    command -v go >/dev/null || { echo "Go 1.26 is needed to build Kubernetes." >&2; exit 1; }
    trap clean_up EXIT
    setsid "$single_node" build &
    building=$!
    make --no-print-directory base-image
    make --no-print-directory images objectstore-image ENGINE=buildah PYTHON_IMAGE=localhost/python:3.11 DEVICE=cpu
    busybox_image
    tests/stores/servers.sh "$tools" $servers
    wait "$building"
    building=
    echo "==> Starting Kubernetes"
    started=yes
    "$single_node" up 2
    "$single_node" devices 2
    export FACEFOUNDRY_CLUSTER_HOST=10.250.0.1
    if [ -n "${FACEFOUNDRY_CLUSTER_FULL:-}" ]; then
        "$single_node" pretend 25 8
        "$single_node" queues
    fi
    bring "${images[@]/#/$REPOSITORY/}" localhost/busybox:1
    export KUBECONFIG
    KUBECONFIG=$("$single_node" kubeconfig)
}

export REPOSITORY=${REPOSITORY:-localhost/facefoundry}
images=("${images[@]/%/:$TAG}")
[ -n "${KUBECONFIG:-}" ] || own_node
export PATH=$programs:$PATH FACEFOUNDRY_TEST_CLUSTER=1
# Two files at a time; where everything is tested, one after the other, as the load tests need the node for themselves.
side_by_side=(--numprocesses 2 --dist loadfile --no-loadscope-reorder)
[ -z "${FACEFOUNDRY_CLUSTER_FULL:-}" ] || side_by_side=()
.venv/bin/python -m pytest "${side_by_side[@]}" --durations 20 --timeout 600 "$@" \
    tests/cluster tests/services/trainer/backends/test_contract.py
