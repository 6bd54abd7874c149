//! Speed of steps in containers, compared with `docker exec` in the same container and the same run.
//!
//! `cargo bench --bench docker` prints a table. It needs a Docker engine and the image `ci-base:local` (`.ci/images`).
//! Nothing is asserted, because machines differ: compare the ratios.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cuelight::engine::sandbox::container::ContainerSpec;
use cuelight::engine::sandbox::docker::client::DockerClient;
use cuelight::engine::sandbox::docker::container::{JobContainer, Setup};
use cuelight::engine::sandbox::docker::labels::Labels;
use cuelight::engine::sandbox::shared::SharedFolder;
use cuelight::engine::sandbox::{Exit, Launch, Sandbox};
use tokio::io::AsyncReadExt;

mod table;

use table::{median, ms, row};

const IMAGE: &str = "ci-base:local";

fn docker(arguments: &[&str]) -> Duration {
    let started = Instant::now();
    let done = Command::new("docker").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(done.expect("docker starts").success(), "docker {arguments:?}");
    started.elapsed()
}

/// Starts a container like that of a job, with or without a supervisor.
async fn container(engine: &DockerClient, folder: &Path, name: &str, supervised: bool) -> JobContainer {
    let description = ContainerSpec::plain(name, IMAGE);
    let setup = Setup {
        container: &description,
        labels: Labels::new(folder, "bench", name),
        network: None,
        shared: vec![SharedFolder::writable(folder, "/__w")],
        workspace: folder.to_owned(),
        control: folder.join(format!("control-{name}")),
        shells: &["sh"],
        supervised,
    };
    JobContainer::start(engine, setup).await.expect("starts")
}

async fn step(sandbox: &JobContainer) -> Duration {
    let launch = Launch {
        program: "/bin/sh".into(),
        args: ["-e", "-c", "true"].map(OsString::from).into(),
        cwd: "/__w".into(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        background: false,
    };
    let started = Instant::now();
    let mut child = sandbox.start(&launch).await.expect("starts");
    let mut output = Vec::new();
    child.output.read_to_end(&mut output).await.expect("read");
    assert_eq!(child.exit.await.expect("an exit status"), Exit::Code(0));
    started.elapsed()
}

async fn steps(sandbox: &JobContainer, count: usize) -> Duration {
    step(sandbox).await;
    let mut times = Vec::new();
    for _ in 0..count {
        times.push(step(sandbox).await);
    }
    median(times)
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let engine = DockerClient::find().await.expect("a Docker engine");
        let folder = tempfile::tempdir().expect("a folder");
        let fast = container(&engine, folder.path(), "fast", true).await;
        let compatible = container(&engine, folder.path(), "compatible", false).await;
        assert!(fast.is_supervised() && !compatible.is_supervised());
        row("what", "figure (median)", "budget");

        let floor =
            median((0..20).map(|_| docker(&["exec", compatible.id(), "/bin/sh", "-e", "-c", "true"])).collect());
        let each = steps(&compatible, 20).await;
        let ratio = each.as_secs_f64() / floor.as_secs_f64();
        let figure = format!("{:.1} ms vs {:.1} ms: {ratio:.2} times", ms(each), ms(floor));
        row("step with `docker exec`, vs plain `docker exec`", &figure, "at most 1.2 times");

        let each = steps(&fast, 200).await;
        row("step with the supervisor", &format!("{:.2} ms", ms(each)), "at most 5 ms");

        // Like act, this does for each step: two archives in, the step, five archives out.
        let file = folder.path().join("file");
        std::fs::write(&file, "x").expect("written");
        let into = format!("{}:/tmp/file", compatible.id());
        let out = folder.path().join("out");
        let (file, out) = (file.to_string_lossy().into_owned(), out.to_string_lossy().into_owned());
        let started = Instant::now();
        for _ in 0..30 {
            for _ in 0..2 {
                docker(&["cp", &file, &into]);
            }
            docker(&["exec", compatible.id(), "/bin/sh", "-e", "-c", "true"]);
            for _ in 0..5 {
                docker(&["cp", &into, &out]);
            }
        }
        let peers = started.elapsed();
        let started = Instant::now();
        for _ in 0..30 {
            step(&fast).await;
        }
        let ours = started.elapsed();
        let figure =
            format!("{:.0} ms vs {:.0} ms: {:.0} times", ms(ours), ms(peers), peers.as_secs_f64() / ours.as_secs_f64());
        row("30 steps, vs `docker exec` with archive calls", &figure, "at least 20 times");

        let found = engine.owned(folder.path(), Some("bench"), None).await.expect("listed");
        engine.remove_all(&found).await.expect("removed");
    });
}
