//! Makes the two fakes of a pair of clips: pair A.mp4 B.mp4 OUT. Called again, it goes on where it ended.
use std::{env, fmt::Debug, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use tonic::{Response, Status, Streaming};
use tonic_types::StatusExt;

tonic::include_proto!("facefoundry.v1");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().collect();
    // Ctrl-C drops the future of the pair, and with it the stream of the running call, which cancels the call.
    let made = tokio::select! { made = make(&arguments) => made, _ = tokio::signal::ctrl_c() => bail!("Interrupted") };
    let details = made.as_ref().err().and_then(|error| error.downcast_ref()).map(Status::get_error_details);
    made.with_context(|| format!("{details:?}"))
}

async fn make(arguments: &[String]) -> Result<()> {
    let training = Some(TrainingOptions { iterations: Some(20), ..Default::default() });
    let recipe = Some(Recipe { name: "preview".into(), training, ..Default::default() });
    let (a, b) = (extract(arguments[1].as_ref(), &recipe).await?, extract(arguments[2].as_ref(), &recipe).await?);
    let mut trainer = trainer_service_client::TrainerServiceClient::connect(url("TRAINER")?).await?;
    let pair_id = format!("{}_{}", a.0, b.0);
    let pair = StartTrainingRequest { pair_id, recipe: recipe.clone(), ..Default::default() };
    let request = StartTrainingRequest { extraction_a_uri: a.1.clone(), extraction_b_uri: b.1.clone(), ..pair };
    let started = trainer.start_training(request).await?.into_inner().training.context("no training")?;
    let request = WatchTrainingRequest { training_uri: started.uri, ..Default::default() };
    let ended = last(async || trainer.watch_training(request.clone()).await).await?.training.context("no training")?;
    ensure!(ended.state() == training::State::Succeeded, "{:?}", ended.failure);
    let mut converter = converter_service_client::ConverterServiceClient::connect(url("CONVERTER")?).await?;
    let model = ConvertRequest { model_uri: ended.model_uri, recipe, ..Default::default() };
    for (target, source, target_side) in [(&a, &b, Side::A as i32), (&b, &a, Side::B as i32)] {
        let (target_id, source_id, target_extraction_uri) = (target.0.clone(), source.0.clone(), target.1.clone());
        let request = ConvertRequest { target_extraction_uri, target_side, target_id, source_id, ..model.clone() };
        let event = last(async || converter.convert(request.clone()).await).await?.event;
        let Some(convert_response::Event::Conversion(fake)) = event else { bail!("no conversion") };
        let folder = Path::new(&arguments[3]).join(format!("{}_{}", target.0, source.0));
        fs::create_dir_all(&folder)?;
        let request = ListFilesRequest { uri: fake.uri, page_size: 500, ..Default::default() };
        for file in converter.list_files(request).await?.into_inner().files {
            let data = reqwest::get(file.url).await?.error_for_status()?.bytes().await?;
            ensure!(format!("{:x}", Sha256::digest(&data)) == file.sha256, "{} has other bytes", file.name);
            fs::write(folder.join(file.name), data)?;
        }
    }
    Ok(())
}

async fn extract(path: &Path, recipe: &Option<Recipe>) -> Result<(String, String)> {
    let mut extractor = extractor_service_client::ExtractorServiceClient::connect(url("EXTRACTOR")?).await?;
    let [file_name, id] = [path.file_name(), path.file_stem()].map(|it| it.unwrap().to_string_lossy().into());
    let clip = fs::read(path)?;
    let request = CreateUploadRequest { file_name, size_bytes: clip.len() as i64, ..Default::default() };
    let upload = extractor.create_upload(request).await?.into_inner();
    for UploadPart { offset_bytes, size_bytes, url, .. } in upload.parts {
        let bytes = clip[offset_bytes as usize..][..size_bytes as usize].to_vec();
        reqwest::Client::new().put(url).body(bytes).send().await?.error_for_status()?;
    }
    let request = ImportSourceRequest { object_uri: upload.object_uri, ..Default::default() };
    let event = last(async || extractor.import_source(request.clone()).await).await?.event;
    let Some(import_source_response::Event::Source(Source { uri: source_uri, .. })) = event else { bail!("no source") };
    let request = ExtractRequest { source_uri, sequence_id: id, recipe: recipe.clone(), ..Default::default() };
    let event = last(async || extractor.extract(request.clone()).await).await?.event;
    let Some(extract_response::Event::Extraction(faces)) = event else { bail!("no extraction") };
    Ok((request.sequence_id, faces.uri))
}

fn url(service: &str) -> Result<String> {
    Ok(format!("http://{}", env::var(format!("FACEFOUNDRY_{service}_ADDRESS"))?))
}

/// Prints the messages of a stream and returns the last one. A full replica says when to call again.
async fn last<M: Debug>(mut call: impl AsyncFnMut() -> tonic::Result<Response<Streaming<M>>>) -> Result<M> {
    let mut answer = call().await;
    while let Err(Some(delay)) = answer.as_ref().map_err(|full| full.get_details_retry_info()?.retry_delay) {
        tokio::time::sleep(delay).await;
        answer = call().await;
    }
    let (mut last, mut stream) = (None, answer?.into_inner());
    while let Some(message) = stream.message().await? {
        last = Some(message).inspect(|it| println!("{it:?}"));
    }
    last.context("no message")
}
