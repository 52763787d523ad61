// Pair makes the two fakes of a pair of clips: pair A.mp4 B.mp4 OUT. Called again, it goes on where it ended.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"

	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // to decode the details of errors
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "facefoundry/examples/clients/go/gen/facefoundry/v1"
)

// A full replica says when to come back, and gRPC calls again then, until the context ends.
const config = `{"loadBalancingConfig": [{"round_robin": {}}], "methodConfig": [{"name": [{}], "retryPolicy": {
	"maxAttempts": 10000, "initialBackoff": "1s", "maxBackoff": "10s", "backoffMultiplier": 2,
	"retryableStatusCodes": ["RESOURCE_EXHAUSTED"]}}]}`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt) // Ctrl-C cancels the running call
	defer stop()
	options := []grpc.DialOption{grpc.WithDefaultServiceConfig(config), grpc.WithMaxCallAttempts(10000),
		grpc.WithTransportCredentials(insecure.NewCredentials())}
	extractor := pb.NewExtractorServiceClient(must(grpc.NewClient(os.Getenv("FACEFOUNDRY_EXTRACTOR_ADDRESS"), options...)))
	trainer := pb.NewTrainerServiceClient(must(grpc.NewClient(os.Getenv("FACEFOUNDRY_TRAINER_ADDRESS"), options...)))
	converter := pb.NewConverterServiceClient(must(grpc.NewClient(os.Getenv("FACEFOUNDRY_CONVERTER_ADDRESS"), options...)))
	recipe := &pb.Recipe{Name: "preview", Training: &pb.TrainingOptions{Iterations: new(int32(20))}}
	var ids, faces [2]string
	for i, path := range os.Args[1:3] {
		name, clip := filepath.Base(path), must(os.ReadFile(path))
		ids[i] = name[:len(name)-len(filepath.Ext(name))]
		upload := must(extractor.CreateUpload(ctx, &pb.CreateUploadRequest{FileName: name, SizeBytes: int64(len(clip))}))
		for _, part := range upload.Parts {
			send(ctx, "PUT", part.Url, clip[part.OffsetBytes:][:part.SizeBytes])
		}
		source := last(extractor.ImportSource(ctx, &pb.ImportSourceRequest{ObjectUri: upload.ObjectUri})).GetSource()
		faces[i] = last(extractor.Extract(ctx,
			&pb.ExtractRequest{SourceUri: source.Uri, SequenceId: ids[i], Recipe: recipe})).GetExtraction().Uri
	}
	started := must(trainer.StartTraining(ctx, &pb.StartTrainingRequest{
		ExtractionAUri: faces[0], ExtractionBUri: faces[1], PairId: ids[0] + "_" + ids[1], Recipe: recipe}))
	training := last(trainer.WatchTraining(ctx, &pb.WatchTrainingRequest{TrainingUri: started.Training.Uri})).Training
	ensure(training.State == pb.Training_STATE_SUCCEEDED, training.State, training.Failure)
	for i, side := range []pb.Side{pb.Side_SIDE_A, pb.Side_SIDE_B} {
		fake := last(converter.Convert(ctx, &pb.ConvertRequest{ModelUri: training.ModelUri, TargetExtractionUri: faces[i],
			TargetSide: side, TargetId: ids[i], SourceId: ids[1-i], Recipe: recipe})).GetConversion()
		folder := filepath.Join(os.Args[3], ids[i]+"_"+ids[1-i])
		must(0, os.MkdirAll(folder, 0o755))
		for _, file := range must(converter.ListFiles(ctx, &pb.ListFilesRequest{Uri: fake.Uri, PageSize: 500})).Files {
			data := send(ctx, "GET", file.Url, nil)
			ensure(fmt.Sprintf("%x", sha256.Sum256(data)) == file.Sha256, "Expected other bytes:", file)
			must(0, os.WriteFile(filepath.Join(folder, file.Name), data, 0o644))
		}
	}
}

// last prints the messages of a stream and returns the last one.
func last[M any](stream grpc.ServerStreamingClient[M], err error) (message *M) {
	for next, err := must(stream, err).Recv(); err != io.EOF; next, err = stream.Recv() {
		message = must(next, err)
		fmt.Println(message)
	}
	return message
}

func send(ctx context.Context, method, url string, body []byte) []byte {
	response := must(http.DefaultClient.Do(must(http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body)))))
	defer response.Body.Close()
	ensure(response.StatusCode == http.StatusOK, method, response.Request.URL.Path, response.Status)
	return must(io.ReadAll(response.Body))
}

func must[T any](value T, err error) T {
	ensure(err == nil, append([]any{err}, status.Convert(err).Details()...)...)
	return value
}

func ensure(ok bool, otherwise ...any) {
	if !ok {
		log.Fatalln(otherwise...)
	}
}
