#!/usr/bin/env bash
# A real Kubernetes of one node, without Docker, in a network namespace of its own. Needs root; cgroups v1 or v2.
#   single-node.sh build        install the Debian packages it needs and build its programs from Go modules
#                               (about 15 minutes on 2 cores, once)
#   single-node.sh up [GPUS]    start it: etcd, kube-apiserver, controller manager, scheduler, containerd, kubelet,
#                               kube-proxy, CoreDNS and metrics-server; the node says it has GPUS x nvidia.com/gpu (2)
#   single-node.sh pretend NODES GPUS
#                               add nodes of label type=kwok and GPUS x nvidia.com/gpu each, whose pods only seem to run
#   single-node.sh devices NUMBER
#                               offer devices by DRA, driver test-driver.cdi.k8s.io
#   single-node.sh queues       install Kueue
#   single-node.sh load FILE    bring images (docker-archive or oci-archive) onto the node; - reads standard input
#   single-node.sh down         stop it and remove its state
#   single-node.sh kubeconfig   print where its kubeconfig is
# Node 10.250.0.2, pods 10.244.0.0/24, services 10.96.0.0/16; this machine is 10.250.0.1 and reaches all of them.
# NetworkPolicies are not enforced.
set -eo pipefail

here=$(cd "$(dirname "$0")" && pwd)
state=${SINGLE_NODE_STATE:-/var/tmp/facefoundry-single-node}
programs=${SINGLE_NODE_PROGRAMS:-${XDG_CACHE_HOME:-$HOME/.cache}/facefoundry/single-node}
namespace=facefoundry-node
version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$here/kubernetes/go.mod")
export PATH=$programs:$PATH

build() {
    local packages=(runc containernetworking-plugins conntrack iptables nftables ethtool socat iproute2 kmod openssl gcc
        libc6-dev util-linux procps)
    if ! dpkg-query --show "${packages[@]}" >/dev/null 2>&1; then
        echo "==> Installing Debian packages for a Kubernetes node"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
    fi
    command -v go >/dev/null || { echo "Go 1.26 is needed to build Kubernetes." >&2; exit 1; }
    mkdir -p "$programs"
    programs kubernetes k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubelet,kube-proxy,kubectl}
    programs kubernetes go.etcd.io/etcd/server/v3 k8s.io/kubernetes/test/e2e/dra/test-driver
    programs containerd github.com/containerd/containerd/v2/cmd/{containerd,ctr,containerd-shim-runc-v2}
    programs coredns github.com/coredns/coredns
    programs metrics-server sigs.k8s.io/metrics-server/cmd/metrics-server
}

programs() { # module folder, packages; clients cannot parse a server's version that was not set
    local of=k8s.io/component-base/version minor package name missing=() names=()
    for package in "${@:2}"; do
        name=${package##*/}
        [[ $name != v[0-9]* ]] || name=$(basename "${package%/*}")
        [ -x "$programs/$name" ] || { missing+=("$package"); names+=("$name"); }
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "==> Building ${names[*]} of $1"
    minor=$(cut -d. -f2 <<<"$version")
    (cd "$here/$1" && CGO_ENABLED=0 go build -o "$programs/" -gcflags=all=-dwarf=false \
        -ldflags="-s -w -X $of.gitVersion=$version -X $of.gitMajor=1 -X $of.gitMinor=$minor" "${missing[@]}")
}

# Not `ip netns exec`: that hides /sys/fs/cgroup.
inside() { nsenter --net="/run/netns/$namespace" "$@"; }

start() { # name, command...
    local name=$1
    shift
    setsid nsenter --net="/run/netns/$namespace" "$@" >"$state/log/$name.log" 2>&1 </dev/null &
    echo $! >"$state/run/$name.pid"
}

wait_for() {
    for _ in $(seq 240); do "$@" >/dev/null 2>&1 && return; sleep 0.5; done
    echo "Waited two minutes for: $*. The logs are in $state/log." >&2
    return 1
}

account() { # kubeconfig, token
    cat >"$state/$1.conf" <<X
apiVersion: v1
kind: Config
clusters: [{name: single-node, cluster: {server: "https://10.250.0.2:6443", certificate-authority: $state/pki/api/apiserver.crt}}]
users: [{name: user, user: {token: $2}}]
contexts: [{name: single-node, context: {cluster: single-node, user: user}}]
current-context: single-node
X
}

network() {
    ip netns add $namespace
    ip link add ff0 type veth peer name ff1
    ip link set ff1 netns $namespace
    ip addr add 10.250.0.1/24 dev ff0 && ip link set ff0 up
    ip route add 10.244.0.0/24 via 10.250.0.2 && ip route add 10.96.0.0/16 via 10.250.0.2
    inside ip addr add 10.250.0.2/24 dev ff1 && inside ip link set ff1 up && inside ip link set lo up
    inside ip addr add 10.96.0.10/32 dev lo
    inside ip route add default via 10.250.0.1
    inside sysctl -qw net.ipv4.ip_forward=1
    cat >"$state/cni/10-bridge.conflist" <<X
{"cniVersion":"0.4.0","name":"single-node","plugins":[{"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,
 "ipam":{"type":"host-local","dataDir":"$state/ipam","ranges":[[{"subnet":"10.244.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
X
}

identities() {
    local pki=$state/pki token
    {
        openssl genrsa -out "$pki/sa.key" 2048
        openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub"
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=single-node -keyout "$pki/ca.key" -out "$pki/ca.crt"
        openssl req -newkey rsa:2048 -nodes -subj /CN=front-proxy -keyout "$pki/fp.key" -out "$pki/fp.csr"
        openssl x509 -req -in "$pki/fp.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -days 30 -out "$pki/fp.crt"
    } 2>/dev/null
    token=$(openssl rand -hex 16)
    printf '%s\n' "$token-a,admin,admin,\"system:masters\"" "$token-n,system:node:node1,node1,\"system:nodes\"" \
        "$token-c,system:kube-controller-manager,cm" "$token-s,system:kube-scheduler,sched" \
        "$token-p,system:kube-proxy,proxy" >"$pki/tokens.csv"
    account admin "$token-a"
    account node "$token-n"
    account controller-manager "$token-c"
    account scheduler "$token-s"
    account proxy "$token-p"
}

control_plane() {
    local pki=$state/pki
    # etcd: Go names a program after the folder of its package.
    start etcd server --data-dir "$state/etcd" --unsafe-no-fsync --initial-cluster default=http://127.0.0.1:12380 \
        --listen-client-urls http://127.0.0.1:12379 --advertise-client-urls http://127.0.0.1:12379 \
        --listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380
    start apiserver kube-apiserver --etcd-servers=http://127.0.0.1:12379 --secure-port=6443 --bind-address=10.250.0.2 \
        --advertise-address=10.250.0.2 --cert-dir="$pki/api" --token-auth-file="$pki/tokens.csv" \
        --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.pub" \
        --service-account-signing-key-file="$pki/sa.key" --service-cluster-ip-range=10.96.0.0/16 \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
        --kubelet-preferred-address-types=InternalIP --enable-aggregator-routing=true \
        --client-ca-file="$pki/ca.crt" --requestheader-client-ca-file="$pki/ca.crt" \
        --requestheader-allowed-names=front-proxy --requestheader-username-headers=X-Remote-User \
        --requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
        --proxy-client-cert-file="$pki/fp.crt" --proxy-client-key-file="$pki/fp.key"
    wait_for kubectl get --raw /readyz
    start controller-manager kube-controller-manager --kubeconfig="$state/controller-manager.conf" \
        --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/api/apiserver.crt" \
        --use-service-account-credentials --cluster-cidr=10.244.0.0/16 --allocate-node-cidrs=true --leader-elect=false
    start scheduler kube-scheduler --kubeconfig="$state/scheduler.conf" --leader-elect=false
}

node() { # GPUs
    # This machine may lack CAP_SYS_RESOURCE: hence restrict_oom_score_adj.
    cat >"$state/containerd.toml" <<X
version = 3
root = "$state/containerd/root"
state = "$state/containerd/state"
[grpc]
  address = "$state/containerd/c.sock"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "localhost/pause:1"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$state/cni"
X
    start containerd containerd -c "$state/containerd.toml"
    wait_for test -S "$state/containerd/c.sock"
    pause_image
    cat >"$state/kubelet.yaml" <<X
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
failSwapOn: false
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix://$state/containerd/c.sock
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
clusterDomain: cluster.local
clusterDNS: ["10.96.0.10"]
# Images that were brought here cannot be fetched again, so a full disk must not make the kubelet remove them.
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: "0%", imagefs.available: "0%", memory.available: "100Mi"}
X
    start kubelet kubelet --config="$state/kubelet.yaml" --kubeconfig="$state/node.conf" --hostname-override=node1 \
        --node-ip=10.250.0.2 --root-dir="$state/kubelet" --cert-dir="$state/kubelet/pki"
    kubectl create clusterrolebinding proxy --clusterrole=system:node-proxier --user=system:kube-proxy >/dev/null
    start proxy kube-proxy --kubeconfig="$state/proxy.conf" --hostname-override=node1 --proxy-mode=nftables \
        --cluster-cidr=10.244.0.0/16 --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0s \
        --conntrack-tcp-timeout-close-wait=0s
    wait_for kubectl get node node1
    kubectl wait --for=condition=Ready node/node1 --timeout=120s >/dev/null
    # No device plugin is behind this: pods that ask for a GPU are counted, and see none.
    kubectl patch node node1 --subresource=status --type=json \
        -p "[{\"op\":\"add\",\"path\":\"/status/capacity/nvidia.com~1gpu\",\"value\":\"$1\"}]" >/dev/null
    kubectl label node node1 --overwrite nvidia.com/gpu.present=true >/dev/null
}

pause_image() { # every pod's first container
    cat >"$state/pause.c" <<X
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void stop(int s) { _exit(0); }
static void reap(int s) { while (waitpid(-1, 0, WNOHANG) > 0); }
int main() { signal(SIGINT, stop); signal(SIGTERM, stop); signal(SIGCHLD, reap); for (;;) pause(); }
X
    gcc -Os -static -o "$state/pause" "$state/pause.c" 2>/dev/null
    "$here/program-image.sh" localhost/pause:1 "$state/pause" | load -
}

names_and_metrics() {
    cat >"$state/Corefile" <<X
.:53 {
  bind 10.96.0.10
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $KUBECONFIG
    pods insecure
  }
  cache 5
}
X
    start coredns coredns -conf "$state/Corefile"
    start metrics-server metrics-server --kubeconfig="$KUBECONFIG" --authentication-kubeconfig="$KUBECONFIG" \
        --authorization-kubeconfig="$KUBECONFIG" --secure-port=4443 --bind-address=10.250.0.2 \
        --cert-dir="$state/pki/metrics" --kubelet-insecure-tls --kubelet-preferred-address-types=InternalIP \
        --metric-resolution=10s --kubelet-request-timeout=5s
    kubectl apply -f - >/dev/null <<X
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: kube-system}
spec: {ports: [{port: 443, targetPort: 4443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: metrics-server, namespace: kube-system, labels: {kubernetes.io/service-name: metrics-server}}
addressType: IPv4
ports: [{port: 4443, protocol: TCP}]
endpoints: [{addresses: [10.250.0.2]}]
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec: {service: {name: metrics-server, namespace: kube-system}, group: metrics.k8s.io, version: v1beta1, insecureSkipTLSVerify: true, groupPriorityMinimum: 100, versionPriority: 100}
X
}

volumes() { # claims without a storage class bind to these, each once
    local number
    for number in $(seq 12); do
        mkdir -p "$state/volumes/$number" && chmod 0777 "$state/volumes/$number"
        cat <<X
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: volume-$number}
spec:
  capacity: {storage: 20Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: $state/volumes/$number}
X
    done | kubectl apply -f - >/dev/null
}

up() {
    [ "$(id -u)" = 0 ] || { echo "A node needs root: network namespaces, cgroups, mounts." >&2; exit 1; }
    down
    mkdir -p "$state"/{run,log,pki/api,cni}
    export KUBECONFIG=$state/admin.conf
    { echo none; ls /run/netns 2>/dev/null || true; } >"$state/others-networks"
    network
    identities
    control_plane
    node "${1:-2}"
    names_and_metrics
    volumes
    wait_for kubectl get --raw /apis/metrics.k8s.io/v1beta1
}

devices() { # number: Kubernetes' own test driver offers them; it looks into no device
    local plugins=$state/kubelet/plugins
    export KUBECONFIG=$state/admin.conf
    mkdir -p "$plugins/test-driver.cdi.k8s.io"
    start test-driver test-driver kubelet-plugin --kubeconfig="$KUBECONFIG" --node-name=node1 --num-devices="$1" \
        --datadir="$plugins" --plugin-registration-path="$state/kubelet/plugins_registry" --cdi-dir=/var/run/cdi
    wait_for has_devices
}

has_devices() { kubectl get resourceslices --output name | grep -q .; }

# Kueue by its own manifests; its webhooks see every Job and pod from here on. One replica needs no lease, which a busy
# machine would lose.
queues() {
    local module
    export KUBECONFIG=$state/admin.conf
    programs kueue sigs.k8s.io/kueue/cmd/kueue
    module=$(cd "$here/kueue" && go list -m -f '{{.Dir}}' sigs.k8s.io/kueue)
    "$here/program-image.sh" localhost/kueue:1 "$programs/kueue" /manager | load -
    kubectl kustomize "$module/config/default" | sed -e 's|image: .*/kueue:main|image: localhost/kueue:1|' \
        -e 's|PullPolicy: Always|PullPolicy: Never|' -e 's|cpu: 500m|cpu: 50m|' -e 's|leaderElect: true|leaderElect: false|' \
        -e 's|zap-log-level=2|zap-log-level=info|' | kubectl apply --server-side -f - >/dev/null
    kubectl --namespace kueue-system rollout status deployment kueue-controller-manager --timeout=180s >/dev/null
    kubectl wait --for=condition=Available apiservice v1beta2.visibility.kueue.x-k8s.io --timeout=60s >/dev/null
}

pretend() { # nodes, GPUs each: kwok plays their kubelets
    local number stages
    export KUBECONFIG=$state/admin.conf
    programs kubernetes sigs.k8s.io/kwok/cmd/kwok
    stages=$(cd "$here/kubernetes" && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
    # A Job's pods end after some seconds, or as long as their annotation pod-complete.stage.kwok.x-k8s.io/delay says.
    for number in "$stages"/pod/fast/pod-{ready,delete}.yaml "$stages"/pod/general/pod-complete.yaml \
        "$stages"/node/fast/node-initialize.yaml "$stages"/node/heartbeat-with-lease/*.yaml; do
        case $number in */kustomization.yaml) continue ;; esac
        echo ---
        cat "$number"
    done >"$state/stages.yaml"
    start kwok kwok --kubeconfig="$KUBECONFIG" --manage-nodes-with-label-selector=type=kwok --node-ip=10.250.0.2 \
        --node-lease-duration-seconds=40 --config="$state/stages.yaml"
    for number in $(seq "$1"); do
        cat <<X
---
apiVersion: v1
kind: Node
metadata:
  name: kwok-$number
  labels: {type: kwok, kubernetes.io/hostname: kwok-$number, nvidia.com/gpu.present: "true"}
spec: {taints: [{key: type, value: kwok, effect: NoSchedule}]}
status:
  allocatable: {cpu: "64", memory: 512Gi, ephemeral-storage: 1Ti, pods: "110", nvidia.com/gpu: "$2"}
  capacity: {cpu: "64", memory: 512Gi, ephemeral-storage: 1Ti, pods: "110", nvidia.com/gpu: "$2"}
X
    done | kubectl apply -f - >/dev/null
    kubectl wait --for=condition=Ready node --selector type=kwok --timeout=120s >/dev/null
}

# The packed layers are not kept beside the unpacked ones.
load() {
    ctr -a "$state/containerd/c.sock" -n k8s.io images import --local --discard-unpacked-layers "$1" >/dev/null
}

stop() { # signal, names...
    local signal=$1 name pid
    shift
    for name; do pid=$(cat "$state/run/$name.pid" 2>/dev/null) && kill "-$signal" "$pid" 2>/dev/null || true; done
}

down() {
    [ -d "$state" ] || return 0
    local one at="ctr -a $state/containerd/c.sock -n k8s.io"
    stop TERM kubelet scheduler controller-manager metrics-server coredns proxy kwok test-driver
    if [ -S "$state/containerd/c.sock" ]; then
        for one in $($at tasks ls -q 2>/dev/null); do $at tasks kill -s KILL "$one" 2>/dev/null || true; done
        sleep 1
        for one in $($at tasks ls -q 2>/dev/null); do $at tasks rm -f "$one" >/dev/null 2>&1 || true; done
        for one in $($at containers ls -q 2>/dev/null); do $at containers rm "$one" 2>/dev/null || true; done
    fi
    stop TERM containerd apiserver etcd
    sleep 1
    stop KILL kubelet scheduler controller-manager metrics-server coredns proxy kwok test-driver containerd apiserver etcd
    for one in $(pgrep -f "containerd-shim-runc-v2 .*-address $state/" || true); do kill -9 "$one" 2>/dev/null || true; done
    awk -v under="$state/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r | xargs -r umount -l 2>/dev/null || true
    for one in $(ls /run/netns 2>/dev/null | grep '^cni-' | grep -vxF -f "$state/others-networks"); do
        ip netns del "$one" 2>/dev/null || true
    done
    ip link del ff0 2>/dev/null || true
    ip netns del $namespace 2>/dev/null || true
    rm -rf "$state"
}

case "${1:-}" in
build | down) "$1" ;;
up | load | pretend | devices | queues) "$@" ;;
kubeconfig) echo "$state/admin.conf" ;;
*) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
