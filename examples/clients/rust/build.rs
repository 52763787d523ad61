fn main() -> Result<(), Box<dyn std::error::Error>> {
    let services = ["extractor", "trainer", "converter"].map(|name| format!("facefoundry/v1/{name}.proto"));
    let files = protox::compile(services, ["../../../protos", "../../../protos/third_party"])?;
    Ok(tonic_prost_build::configure().build_server(false).compile_fds(files)?)
}
