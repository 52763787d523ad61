import com.google.protobuf.*;
import com.google.rpc.ErrorDetailsProto;
import facefoundry.v1.*;
import io.grpc.*;
import java.net.http.*;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.*;

/** Makes the two fakes of a pair of clips: pair A.mp4 B.mp4 OUT. Called again, it goes on where it ended. */
class Pair {
    // A full replica says when to come back, and gRPC calls again then. Numbers must be doubles.
    static final Map<String, ?> CONFIG = Map.of("methodConfig", List.of(Map.of("name", List.of(Map.of()), "retryPolicy",
            Map.of("maxAttempts", 10000.0, "initialBackoff", "1s", "maxBackoff", "10s", "backoffMultiplier", 2.0,
                    "retryableStatusCodes", List.of("RESOURCE_EXHAUSTED")))));
    // With the types of the details, the printer shows them decoded.
    static final TextFormat.Printer PRINTER = TextFormat.printer().emittingSingleLine(true).usingTypeRegistry(
            TypeRegistry.newBuilder().add(ErrorDetailsProto.getDescriptor().getMessageTypes()).build());
    static final Recipe RECIPE = Recipe.newBuilder().setName("preview")
            .setTraining(TrainingOptions.newBuilder().setIterations(20)).build();

    record Faces(String id, String uri) {}

    public static void main(String[] arguments) throws Exception {
        var context = Context.current().withCancellation();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> context.cancel(null))); // Ctrl-C cancels the running call
        try {
            context.call(() -> make(extract(arguments[0]), extract(arguments[1]), arguments[2]));
        } catch (StatusRuntimeException error) {
            System.err.println(PRINTER.printToString(io.grpc.protobuf.StatusProto.fromThrowable(error)));
            System.exit(1);
        }
    }

    static Faces extract(String path) throws Exception {
        String name = Path.of(path).getFileName().toString(), id = name.replaceFirst("\\.[^.]*$", "");
        byte[] clip = Files.readAllBytes(Path.of(path));
        var extractor = ExtractorServiceGrpc.newBlockingStub(channel("EXTRACTOR"));
        var file = CreateUploadRequest.newBuilder().setFileName(name).setSizeBytes(clip.length).build();
        var upload = extractor.createUpload(file);
        for (var part : upload.getPartsList())
            send(HttpRequest.newBuilder(java.net.URI.create(part.getUrl())).PUT(HttpRequest.BodyPublishers.ofByteArray(
                    clip, (int) part.getOffsetBytes(), (int) part.getSizeBytes())));
        var object = ImportSourceRequest.newBuilder().setObjectUri(upload.getObjectUri()).build();
        var source = last(extractor.importSource(object)).getSource();
        var request = ExtractRequest.newBuilder().setSourceUri(source.getUri()).setSequenceId(id).setRecipe(RECIPE);
        return new Faces(id, last(extractor.extract(request.build())).getExtraction().getUri());
    }

    static Void make(Faces a, Faces b, String out) throws Exception {
        var trainer = TrainerServiceGrpc.newBlockingStub(channel("TRAINER"));
        var converter = ConverterServiceGrpc.newBlockingStub(channel("CONVERTER"));
        var started = trainer.startTraining(StartTrainingRequest.newBuilder().setPairId(a.id + "_" + b.id)
                .setExtractionAUri(a.uri).setExtractionBUri(b.uri).setRecipe(RECIPE).build()).getTraining();
        var watch = WatchTrainingRequest.newBuilder().setTrainingUri(started.getUri()).build();
        var training = last(trainer.watchTraining(watch)).getTraining();
        if (training.getState() != Training.State.STATE_SUCCEEDED) throw new Exception(training.toString());
        for (Side side : List.of(Side.SIDE_A, Side.SIDE_B)) {
            Faces target = side == Side.SIDE_A ? a : b, source = target == a ? b : a;
            var request = ConvertRequest.newBuilder().setModelUri(training.getModelUri()).setTargetSide(side)
                    .setTargetExtractionUri(target.uri).setTargetId(target.id).setSourceId(source.id).setRecipe(RECIPE);
            var fake = last(converter.convert(request.build())).getConversion();
            Path folder = Files.createDirectories(Path.of(out, target.id + "_" + source.id));
            var files = ListFilesRequest.newBuilder().setUri(fake.getUri()).setPageSize(500).build();
            for (var file : converter.listFiles(files).getFilesList()) {
                byte[] data = send(HttpRequest.newBuilder(java.net.URI.create(file.getUrl())));
                var sha256 = HexFormat.of().formatHex(java.security.MessageDigest.getInstance("SHA-256").digest(data));
                if (!sha256.equals(file.getSha256())) throw new Exception(file.getName() + " has other bytes");
                Files.write(folder.resolve(file.getName()), data);
            }
        }
        return null;
    }

    /** Prints the messages of a stream and returns the last one. */
    static <M extends Message> M last(Iterator<M> stream) {
        M message = null;
        while (stream.hasNext()) System.out.println(PRINTER.printToString(message = stream.next()));
        return message;
    }

    static byte[] send(HttpRequest.Builder request) throws Exception {
        var answer = HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        if (answer.statusCode() != 200) throw new Exception(answer.statusCode() + " from " + answer.uri().getPath());
        return answer.body();
    }

    static ManagedChannel channel(String name) {
        return ManagedChannelBuilder.forTarget(System.getenv("FACEFOUNDRY_" + name + "_ADDRESS")).usePlaintext()
                .defaultServiceConfig(CONFIG).maxRetryAttempts(10000).build();
    }
}
