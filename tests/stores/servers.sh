#!/usr/bin/env bash
# Build S3 servers for tests, once: servers.sh FOLDER [minio] [versitygw] [garage]; without names all of them.
# SeaweedFS is installed with the product. A server that cannot be built is left out.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=$1
shift
[ $# -gt 0 ] || set -- minio versitygw garage
mkdir -p "$tools"

build() {  # NAME PROGRAM COMMAND...
    local name=$1 program=$2
    shift 2
    [ ! -x "$program" ] || return 0
    command -v "$1" >/dev/null || { echo "$1 was not found: $name is left out." >&2; return 0; }
    echo "==> Building $name: minutes, once"
    "${@:2}" || echo "$name could not be built: it is left out." >&2
}

export CGO_ENABLED=0
minio() { (cd helm/objectstore-dev && go build -ldflags='-s -w' -o "$tools/minio-20260212" github.com/minio/minio); }
versitygw() {
    GOBIN="$tools/build" go install -ldflags='-s -w' github.com/versity/versitygw/cmd/versitygw@v1.8.0 &&
        mv "$tools/build/versitygw" "$tools/versitygw-1.8.0"
}
garage() {
    cargo install garage --version 2.5.0 --locked --no-default-features --features bundled-libs,sqlite \
        --root "$tools/build" && mv "$tools/build/bin/garage" "$tools/garage-2.5.0"
}
for server; do
    case $server in
    minio) build MinIO "$tools/minio-20260212" go minio ;;
    versitygw) build VersityGW "$tools/versitygw-1.8.0" go versitygw ;;
    garage) build Garage "$tools/garage-2.5.0" cargo garage ;;
    *) echo "There is no server $server: minio, versitygw or garage." >&2; exit 2 ;;
    esac
done
