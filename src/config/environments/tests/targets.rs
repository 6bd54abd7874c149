//! Targets in Docker, Compose and Kubernetes.

use super::*;

/// Returns an environment in Docker. `own` is added to the target, in place of its default for the same key, and
/// `tables` after it.
fn in_docker(own: &str, tables: &str) -> String {
    let target = "kind = 'docker'\nservice = 'shop'\nimage = 'shop:{sha}'\nport = 8080\npublish = 80";
    let own_key = own.split(' ').next().unwrap_or_default();
    let kept = target.lines().filter(|line| !line.starts_with(&format!("{own_key} ")));
    let kept = kept.collect::<Vec<_>>().join("\n");
    format!("[environments.a]\nstrategy = 'blue-green'\n[environments.a.target]\n{own}\n{kept}\n{tables}")
}

#[test]
fn a_target_in_docker_needs_no_commands_and_its_errors_name_the_position() {
    let config = given(&in_docker("", "")).expect("an environment");
    let TargetSettings::Docker(docker) = &config.environments()["a"].target else { panic!("not Docker") };
    assert_eq!((docker.replicas, docker.drain, &*docker.router), (1, Duration::from_secs(30), ROUTER));
    let health = in_docker("", "[environments.a.health]\nhttp = '/health'\n[environments.a.analysis]\nerrors = '0.5%'");
    let config = given(&health).expect("an environment");
    let settings = &config.environments()["a"];
    let limits = RouterLimits { errors: 50, latency: None, min_requests: 50 };
    assert_eq!(settings.health_check, Some(Probe::Path("/health".to_owned())));
    assert_eq!(settings.analysis.as_ref().map(|analysis| analysis.probe.clone()), Some(Probe::Router(limits)));
    for (own, tables, message) in [
        (
            "image = 'shop:{sh}'",
            "",
            "c:4:1: `environments.a.target.image` has `{sh}`, which is unknown; did you mean `{sha}`?",
        ),
        (
            "image = 'shop:latest'",
            "",
            "c:4:1: `environments.a.target.image` must have one of {sha}, {short_sha}, {tag}, {release}: a rollback needs \
             the image of its release",
        ),
        ("publsh = 8", "", "c:4:1: `environments.a.target.publsh` is unknown; did you mean `publish`?"),
        ("port = 80000", "", "c:4:1: `environments.a.target.port` must be a port from 1 to 65535, not `80000`"),
        ("replicas = 65", "", "c:4:1: `environments.a.target.replicas` must be at most 64, not `65`"),
        ("env = '=x'", "", "c:4:1: `environments.a.target.env` must have `NAME=VALUE` or `NAME`, not `=x`"),
        (
            "network = 'host'",
            "",
            "c:4:1: `environments.a.target.network` must be the name of a network for the service, not `host`",
        ),
        (
            "host = 'web1'",
            "",
            "c:4:1: `environments.a.target.host` must be unix:///path, tcp://host:port or ssh://host, not `web1`",
        ),
        (
            "hosts = ['ssh://web1', 'ssh://']",
            "",
            "c:4:1: `environments.a.target.hosts` must be unix:///path, tcp://host:port or ssh://host, not `ssh://`",
        ),
        (
            "hosts = 'ssh://web1'",
            "",
            "c:4:1: `environments.a.target.hosts` must be a list: write hosts = [\"ssh://web1\"]",
        ),
        (
            "hosts = []",
            "",
            "c:4:1: `environments.a.target.hosts` is empty: write hosts = [\"ssh://deploy@web1\", \"ssh://deploy@web2\"], or \
             leave it out for the engine of docker",
        ),
        (
            "hosts = ['ssh://web1', 'ssh://web2', 'ssh://web1']",
            "",
            "c:4:1: `environments.a.target.hosts` has `ssh://web1` twice: each engine is one host",
        ),
        (
            "hosts = ['ssh://web1', 'ssh://web2']\nhost = 'ssh://web3'",
            "",
            "c:5:1: `environments.a.target.host` is set as well as `hosts`: write all addresses in hosts",
        ),
        (
            "hosts = ['ssh://web1']\nhosts_at_once = 2",
            "",
            "c:5:1: `environments.a.target.hosts_at_once` has no effect without several `hosts`",
        ),
        (
            "hosts = ['ssh://web1', 'ssh://web2']\nhosts_at_once = 0",
            "",
            "c:5:1: `environments.a.target.hosts_at_once` must be a number of at least 1, not `0`",
        ),
        (
            "hosts = ['ssh://web1', 'ssh://web2']",
            "[environments.a.smoke]\nhttp = 'http://web1/health'",
            "c:11:1: `environments.a.smoke.http` is always `http://web1/health`: the target has several hosts, and each is \
             asked: write {host} where the address names the host",
        ),
        (
            "",
            "[environments.a.health]\nhttp = 'http://x'",
            "c:10:17: `environments.a.health` cannot reach the replicas, which publish no port: write a path in http, such \
             as `/health`, or exec; without them, the router connects to target.port",
        ),
        (
            "",
            "[environments.a.analysis]\nlatency = '1s'",
            "c:11:1: `environments.a.analysis.latency` needs `errors`, such as errors = \"1%\"",
        ),
        (
            "",
            "[environments.a.analysis]\nerrors = '101%'",
            "c:11:1: `environments.a.analysis.errors` must be a share such as `1%` or `0.5%`, not `101%`",
        ),
    ] {
        let text = in_docker(own, tables);
        let error = given(&text).expect_err(&text).to_string();
        assert_eq!(error, message, "{text}");
    }
    let incomplete = "[environments.a]\n[environments.a.target]\nkind = 'docker'\nservice = 'shop'";
    let error = given(incomplete).expect_err("no image").to_string();
    let message = "c:2:17: `environments.a.target` has no `image`: write it, such as image = \
                   \"registry.example.com/shop:{release}\"";
    assert_eq!(error, message);
}

#[test]
fn one_engine_or_several_are_the_hosts_of_a_target_in_docker() {
    let docker = |own: &str, tables: &str| {
        let config = given(&in_docker(own, tables)).expect("an environment");
        match config.environments()["a"].target.clone() {
            TargetSettings::Docker(docker) => (docker.hosts, docker.hosts_at_once),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(docker("", ""), (Vec::new(), 1));
    assert_eq!(docker("host = 'ssh://web1'", ""), (vec!["ssh://web1".to_owned()], 1));
    let smoke = "[environments.a.smoke]\nhttp = 'http://{host}/health'";
    let several = docker("hosts = ['ssh://web1', 'tcp://web2:2376', 'ssh://web3']\nhosts_at_once = 2", smoke);
    assert_eq!(several, (["ssh://web1", "tcp://web2:2376", "ssh://web3"].map(str::to_owned).into(), 2));
}

#[test]
fn a_target_in_kubernetes_has_a_deployment_and_refuses_what_it_cannot_deliver() {
    let environment = |strategy: &str, own: &str, tables: &str| {
        let target = "kind = 'kubernetes'\ndeployment = 'shop'\nimage = 'shop:{release}'";
        given(&format!("[environments.a]\n{strategy}\n[environments.a.target]\n{own}\n{target}\n{tables}"))
    };
    let config = environment("strategy = 'rolling'", "replicas = 3\ncontext = 'eu/prod'", "").expect("an environment");
    let settings = &config.environments()["a"];
    let TargetSettings::Kubernetes(kubernetes) = &settings.target else { panic!("not Kubernetes") };
    assert_eq!((kubernetes.replicas, kubernetes.context.as_deref()), (Some(3), Some("eu/prod")));
    assert!(settings.health_check.is_none(), "the pods have their own checks");
    assert_eq!(settings.health.deadline, Duration::from_hours(1));
    // The stored settings do not name the kind of the target, so it is recognized by its keys.
    let stored = serde_json::to_string(settings).expect("JSON");
    assert_eq!(&serde_json::from_str::<EnvironmentSettings>(&stored).expect("settings"), settings);
    let even = "a Deployment gives each ready pod the same share of the traffic: use `rolling`, or a Rollout of Argo";
    for (strategy, own, tables, message) in [
        ("strategy = 'blue-green'", "", "", format!("c:2:1: `environments.a.strategy` cannot be `blue-green`: {even}")),
        (
            "strategy = 'canary'\ncanary.steps = ['10%']",
            "",
            "",
            format!("c:2:1: `environments.a.strategy` cannot be `canary`: {even}"),
        ),
        (
            "",
            "namespace = 'My Shop'",
            "",
            "c:4:1: `environments.a.target.namespace` must be a name of lower-case letters, digits and `-` that begins and ends with a letter or digit, not `My Shop`"
                .to_owned(),
        ),
        ("", "contex = 'x'", "", "c:4:1: `environments.a.target.contex` is unknown; did you mean `context`?".to_owned()),
        (
            "",
            "progress_deadline = '0s'",
            "",
            "c:4:1: `environments.a.target.progress_deadline` must be at least 1s".to_owned(),
        ),
        (
            "",
            "",
            "[environments.a.health]\nhttp = '/health'",
            "c:9:1: `environments.a.health.http` must be an address with http://, not `/health`".to_owned(),
        ),
        (
            "",
            "",
            "[environments.a.analysis]\nerrors = '1%'",
            "c:8:17: `environments.a.analysis` needs one of http, tcp and exec".to_owned(),
        ),
    ] {
        let error = environment(strategy, own, tables).expect_err(own).to_string();
        assert_eq!(error, message);
    }
    let rollout = |strategy: &str, own: &str| {
        let target = "kind = 'kubernetes'\nrollout = 'shop'\nimage = 'shop:{release}'";
        given(&format!("[environments.a]\n{strategy}\n[environments.a.target]\n{own}\n{target}\n"))
    };
    let config = rollout("strategy = 'canary'\ncanary.steps = ['10%', 'pause']", "").expect("a Rollout moves shares");
    let settings = &config.environments()["a"];
    let TargetSettings::Kubernetes(kubernetes) = &settings.target else { panic!("not Kubernetes") };
    assert_eq!(kubernetes.workload.to_string(), "Rollout shop");
    let stored = serde_json::to_string(settings).expect("JSON");
    assert_eq!(&serde_json::from_str::<EnvironmentSettings>(&stored).expect("settings"), settings);
    for (strategy, own, message) in [
        (
            "",
            "",
            "c:1:15: `environments.a` has the strategy `recreate`, which a Rollout does not have: write `rolling`, \
             `blue-green` or `canary`, as in its manifest",
        ),
        (
            "strategy = 'rolling'",
            "deployment = 'shop'",
            "c:6:1: `environments.a.target.rollout` cannot be combined with `deployment`: a target has one workload",
        ),
    ] {
        let error = rollout(strategy, own).expect_err(own).to_string();
        assert_eq!(error, message);
    }
    let incomplete = "[environments.a.target]\nkind = 'kubernetes'\nimage = 'shop:{sha}'";
    let error = given(incomplete).expect_err("no Deployment").to_string();
    let message = "c:1:17: `environments.a.target` has no `deployment`: write it, such as deployment = \"shop\"";
    assert_eq!(error, message);
}

#[test]
fn a_service_of_compose_is_recreated_or_rolled_and_nothing_else() {
    let environment = |strategy: &str, own: &str| {
        let target = "kind = 'compose'\nservice = 'shop'\nimage = 'shop:{release}'";
        given(&format!("[environments.a]\n{strategy}\n[environments.a.target]\n{own}\n{target}"))
    };
    let config = environment("strategy = 'rolling'", "replicas = 2\nfiles = 'compose.yaml'").expect("an environment");
    let settings = &config.environments()["a"];
    let TargetSettings::Compose(compose) = &settings.target else { panic!("not Compose") };
    assert_eq!((compose.replicas, &*compose.files), (Some(2), &["compose.yaml".to_owned()][..]));
    assert!(settings.health_check.is_none(), "the service has its own check");
    let stored = serde_json::to_string(settings).expect("JSON");
    assert_eq!(&serde_json::from_str::<EnvironmentSettings>(&stored).expect("settings"), settings);
    let moves = "Compose cannot move traffic: use `recreate` or, for a service that publishes no port, `rolling`";
    for (strategy, own, message) in [
        ("strategy = 'blue-green'", "", format!("c:2:1: `environments.a.strategy` cannot be `blue-green`: {moves}")),
        (
            "strategy = 'recreate'",
            "project = 'My Shop'",
            "c:4:1: `environments.a.target.project` must be lower-case letters, digits, `-` and `_`, not `My Shop`"
                .to_owned(),
        ),
        (
            "keep_old = '1m'",
            "",
            "c:2:1: `environments.a.keep_old` is for the strategies `blue-green` and `canary`, which have two slots"
                .to_owned(),
        ),
        (
            "strategy = 'recreate'",
            "port = 80",
            "c:4:1: `environments.a.target.port` is unknown; known here: kind, service, image, files, project, replicas, \
             timeout, keep_images"
                .to_owned(),
        ),
    ] {
        let error = environment(strategy, own).expect_err(&message).to_string();
        assert_eq!(error, message);
    }
}
