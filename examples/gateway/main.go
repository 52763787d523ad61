// Gateway offers the calls of the three services as HTTP and JSON: gateway HOST:PORT.
package main

import (
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	_ "google.golang.org/genproto/googleapis/rpc/errdetails" // to decode the details of errors
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	pb "facefoundry/examples/gateway/gen/facefoundry/v1"
)

type register = func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	root, calls := http.NewServeMux(), newMux()
	root.Handle("/", calls)
	// Every service answers GetInfo, so its path has the name of the service in front: /trainer/v1/info.
	connect(ctx, root, calls, "extractor", "FACEFOUNDRY_EXTRACTOR_ADDRESS", pb.RegisterExtractorServiceHandler)
	connect(ctx, root, calls, "trainer", "FACEFOUNDRY_TRAINER_ADDRESS", pb.RegisterTrainerServiceHandler)
	connect(ctx, root, calls, "converter", "FACEFOUNDRY_CONVERTER_ADDRESS", pb.RegisterConverterServiceHandler)
	server := &http.Server{Addr: os.Args[1], Handler: root, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() }) // cancels the running calls
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

func connect(ctx context.Context, root *http.ServeMux, calls *runtime.ServeMux, name, variable string, handle register) {
	connection, err := grpc.NewClient(os.Getenv(variable), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`))
	exitOn(err)
	exitOn(handle(ctx, calls, connection))
	info := newMux()
	exitOn(pb.RegisterInfoServiceHandler(ctx, info, connection))
	root.Handle("/"+name+"/", http.StripPrefix("/"+name, info))
}

// newMux refuses fields that the contract does not have; by default they are dropped.
func newMux() *runtime.ServeMux {
	marshaler := &runtime.JSONPb{MarshalOptions: protojson.MarshalOptions{EmitUnpopulated: true}}
	return runtime.NewServeMux(runtime.WithMarshalerOption(runtime.MIMEWildcard, marshaler))
}

func exitOn(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
