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
	ctx, bucket, verified, unverified := context.Background(), setting("BUCKET"), map[string]int{}, 0
	keys := credentials.NewStaticV4(setting("ACCESS_KEY"), setting("SECRET_KEY"), "")
	options := &minio.Options{Creds: keys, Secure: setting("SECURE") == "true"}
	store, err := minio.NewCore(setting("ENDPOINT"), options)
	exitOn(err)
	for object := range store.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		exitOn(object.Err)
		match := digested.FindStringSubmatch(object.Key)
		if match == nil || given.MatchString(object.Key) {
			continue
		}
		body, _, header, err := store.GetObject(ctx, bucket, object.Key, minio.GetObjectOptions{})
		exitOn(err)
		kind, expected, hash := "parts", match[1], sha256.New()
		if expected == "" {
			kind, expected = "documents", header.Get("x-amz-meta-sha256")
		}
		_, err = io.Copy(hash, body)
		exitOn(err)
		body.Close()
		if received := hex.EncodeToString(hash.Sum(nil)); received == expected {
			verified[kind]++
		} else {
			unverified++
			fmt.Printf("%s: expected SHA-256 %s, received %s\n", object.Key, expected, received)
		}
	}
	fmt.Printf("%d documents and %d parts verified, %d unverified\n", verified["documents"], verified["parts"], unverified)
	if unverified > 0 {
		os.Exit(1)
	}
}

func setting(name string) string { return os.Getenv("FACEFOUNDRY_STORE_" + name) }

func exitOn(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
