// Verify checks every object of a bucket of FaceFoundry: parts by the SHA-256 in their keys, documents by the one in
// their metadata. It prints each object that does not verify, and then exits with code 1.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"os"
	"regexp"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

var part = regexp.MustCompile(`-([0-9a-f]{64})(\.[A-Za-z0-9.]+)?$`)
var document = regexp.MustCompile(`\.json$`)
var given = regexp.MustCompile(`^(uploads/|runs/[^/]+/input/)`) // by callers: not checked

func main() {
	bucket, ctx := os.Getenv("FACEFOUNDRY_STORE_BUCKET"), context.Background()
	keys := credentials.NewStaticV4(os.Getenv("FACEFOUNDRY_STORE_ACCESS_KEY"), os.Getenv("FACEFOUNDRY_STORE_SECRET_KEY"), "")
	secure := os.Getenv("FACEFOUNDRY_STORE_SECURE") == "true"
	store, err := minio.NewCore(os.Getenv("FACEFOUNDRY_STORE_ENDPOINT"), &minio.Options{Creds: keys, Secure: secure})
	exitOn(err)
	verified, unverified := map[string]int{}, 0
	for object := range store.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
		exitOn(object.Err)
		inKey, kind := part.FindStringSubmatch(object.Key), "parts"
		if given.MatchString(object.Key) || inKey == nil && !document.MatchString(object.Key) {
			continue
		}
		body, _, header, err := store.GetObject(ctx, bucket, object.Key, minio.GetObjectOptions{})
		exitOn(err)
		expected, hash := header.Get("x-amz-meta-sha256"), sha256.New()
		if _, err = io.Copy(hash, body); inKey != nil {
			expected = inKey[1]
		} else {
			kind = "documents"
		}
		body.Close()
		if received := fmt.Sprintf("%x", hash.Sum(nil)); err != nil || received != expected {
			fmt.Printf("%s: expected SHA-256 %q, received %s %v\n", object.Key, expected, received, err)
			unverified++
		} else {
			verified[kind]++
		}
	}
	fmt.Printf("%d documents and %d parts verified, %d unverified\n", verified["documents"], verified["parts"], unverified)
	if unverified > 0 {
		os.Exit(1)
	}
}

func exitOn(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
