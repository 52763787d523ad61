// Verify checks every object of a bucket of FaceFoundry: parts by the SHA-256 in their keys, documents by the one in
// their metadata. It prints each object that does not verify, and then exits with code 1.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"os"
	"regexp"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

var digested = regexp.MustCompile(`(?:-([0-9a-f]{64})(?:\.[A-Za-z0-9.]+)?|\.json)$`)
var given = regexp.MustCompile(`^(uploads/[^/]+/|runs/[^/]+/input/)`) // objects of callers have no digest

func main() {
	ctx, bucket, count := context.Background(), setting("BUCKET"), map[string]int{}
	keys := credentials.NewStaticV4(setting("ACCESS_KEY"), setting("SECRET_KEY"), "")
	store := must(minio.New(setting("ENDPOINT"), &minio.Options{Creds: keys, Secure: setting("SECURE") == "true"}))
	for object := range store.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		match := digested.FindStringSubmatch(must(object.Key, object.Err))
		if match == nil || given.MatchString(object.Key) {
			continue
		}
		body := must(store.GetObject(ctx, bucket, object.Key, minio.GetObjectOptions{}))
		kind, expected, hash := "parts", match[1], sha256.New()
		if expected == "" {
			kind, expected = "documents", must(body.Stat()).UserMetadata["Sha256"]
		}
		must(io.Copy(hash, body))
		if received := hex.EncodeToString(hash.Sum(nil)); received != expected {
			kind = "unverified"
			fmt.Printf("%s: expected SHA-256 %s, received %s\n", object.Key, expected, received)
		}
		count[kind]++
		body.Close()
	}
	fmt.Printf("%d documents and %d parts verified, %d unverified\n", count["documents"], count["parts"], count["unverified"])
	os.Exit(min(count["unverified"], 1))
}

func setting(name string) string { return os.Getenv("FACEFOUNDRY_STORE_" + name) }

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
