#!/usr/bin/env bash
# Makes the two fakes of a pair of clips: pair.sh A.mp4 B.mp4 OUT. Called again, it goes on where it ended.
# Needs grpcurl, curl and jq. Ctrl-C ends grpcurl, which cancels the running call.
set -euo pipefail
shopt -s inherit_errexit

recipe='{"name": "preview", "training": {"iterations": 20}}'
error=$(mktemp)
trap 'rm -f "$error"' EXIT

# Calls SERVICE METHOD with a request of the given --arg NAME TEXT and --argjson NAME VALUE. Prints every message on
# stderr, and the last one on stdout. A full replica (72 is RESOURCE_EXHAUSTED) says when to come back.
call() {
    local address="FACEFOUNDRY_${1^^}_ADDRESS" request code
    request=$(jq -n '$ARGS.named' "${@:3}")
    while code=0
        grpcurl -plaintext -format-error -d "$request" "${!address}" "facefoundry.v1.${1^}Service/$2" 2>"$error" |
            jq --unbuffered -c . | tee -a /dev/stderr | tail -n 1 || code=$?
        [ "$code" = 72 ]
    do
        sleep "$(jq -r '.details[] | .retryDelay // empty | rtrimstr("s")' "$error")"
    done
    [ "$code" = 0 ] || { cat "$error" >&2; exit "$code"; }
}

declare -A ids faces
for side in 1 2; do
    clip=${!side} name=$(basename "${!side}")
    ids[$side]=${name%.*}
    upload=$(call extractor CreateUpload --arg fileName "$name" --argjson sizeBytes "$(stat -c %s "$clip")")
    jq -r '.parts[] | [.offsetBytes // 0, .sizeBytes, .url] | @tsv' <<<"$upload" | while read -r offset size url; do
        dd if="$clip" bs=1M iflag=skip_bytes,count_bytes skip="$offset" count="$size" status=none |
            curl -fsS -X PUT --data-binary @- "$url"
    done
    source=$(call extractor ImportSource --arg objectUri "$(jq -r .objectUri <<<"$upload")" | jq -r .source.uri)
    faces[$side]=$(call extractor Extract --arg sourceUri "$source" --arg sequenceId "${ids[$side]}" \
        --argjson recipe "$recipe" | jq -r .extraction.uri)
done

training=$(call trainer StartTraining --arg extractionAUri "${faces[1]}" --arg extractionBUri "${faces[2]}" \
    --arg pairId "${ids[1]}_${ids[2]}" --argjson recipe "$recipe" | jq -r .training.uri)
ended=$(call trainer WatchTraining --arg trainingUri "$training")
model=$(jq -er .training.modelUri <<<"$ended")

for side in 1 2; do
    target=${ids[$side]} source=${ids[$((3 - side))]}
    fake=$(call converter Convert --arg modelUri "$model" --arg targetExtractionUri "${faces[$side]}" \
        --argjson targetSide "$side" --arg targetId "$target" --arg sourceId "$source" --argjson recipe "$recipe" |
        jq -r .conversion.uri)
    folder=$3/${target}_$source
    mkdir -p "$folder"
    call converter ListFiles --arg uri "$fake" --argjson pageSize 500 | jq -r '.files[] | [.name, .sha256, .url] | @tsv' |
        while read -r name sha256 url; do
            curl -fsS -o "$folder/$name" "$url"
            sha256sum --check --quiet <<<"$sha256  $folder/$name"
        done
done
