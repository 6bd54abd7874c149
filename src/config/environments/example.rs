//! The part of `cuelight config --example` about environments.

/// Text of the environments in `config.example.toml`.
pub(in crate::config) const EXAMPLE: &str = r#"
# Environments that `cuelight deploy` puts releases of the repository into. Only in .cuelight.toml; the target, the
# checks and the analysis are part of what is trusted. Commands run with `sh` in the root of the repository, with
# DEPLOY_ENVIRONMENT, DEPLOY_ACTION, DEPLOY_ID, DEPLOY_SLOT (blue or green), DEPLOY_RELEASE, DEPLOY_SHA, DEPLOY_REF,
# DEPLOY_TAG, DEPLOY_REPLICAS, DEPLOY_KEEP and DEPLOY_WEIGHT. Commands may be repeated, and must then have the same effect.
# A job of a run on this machine with such an `environment` waits for its rules, too, and is recorded as a deployment.
# [environments.production]
# Releases that may be deployed: "push:BRANCH", "tag:PATTERN" or "pull_request". Default: all.
# on = "tag:v*"
# The same commit must have succeeded there. Default: none.
# after = ["staging"]
# One of them must approve: user, user@host or mail address. Default: none. This is a convention, not a protection:
# anyone who can start the program can change this file.
# reviewers = ["alice", "olu@example.com"]
# prevent_self_review = true
# How long a deployment waits before it begins. Default: "0s".
# wait = "10m"
# Weekly times without deployments, in local time. Default: none.
# freeze = ["Fri 16:00 - Mon 08:00"]
# How the old release is replaced: "recreate" (with a gap), "rolling" (max_surge, default 1, and max_unavailable,
# default 0), "blue-green" (pause before the switch: "person" or a length of time) or "canary" (canary.steps).
# strategy = "canary"
# canary.steps = ["5%", "pause 5m", "25%", "pause"]
# How long the old release runs on after blue-green and canary, so that a rollback is instant. Default: "0s".
# keep_old = "30m"
# How long after a deployment the environment is stopped. The next deployment starts the time again, and
# `cuelight cancel RUN` of the deployment that waits ends it. Not for Kubernetes. Default: never.
# auto_stop = "24h"
# url = "https://app.example.com"
# Where deployments are also recorded: "github", in the repository of the remote, with its states and the url. That never
# delays a deployment or changes its result. Commits must be pushed first. Jobs that deploy are recorded there, too. Default: none.
# record = "github"
# Environment variables that the commands need: `cuelight env production --check` says which are missing. Values of
# secrets, and of variables whose names say so, such as DEPLOY_TOKEN, are masked in logs and messages. Default: none.
# secrets = ["REGISTRY_TOKEN"]
# variables = ["SERVICE"]
# The target: containers of Docker behind HAProxy, which publishes the port. The name of the image contains {sha},
# {short_sha}, {tag} or {release}: the tag, or the short commit. Variables without a value are those of the deployment.
# [environments.production.target]
# kind = "docker"
# service = "shop"
# image = "registry.example.com/shop:{release}"
# replicas = 2
# port = 8080
# publish = 80
# env = ["LOG=info", "DATABASE_URL"]
# network = "shop"
# How long requests in flight may take. Default: "30s".
# drain = "30s"
# Image with haproxy, nc and flock. Default: "cuelight-router:local", from assets/deploy/router.
# router = "cuelight-router:local"
# Engines, one for each host: unix:///path, tcp://host:port or ssh://host. Each host has a router; what spreads requests over
# the hosts is yours. The first host gets a release alone, with the pauses and the shares of the strategy, which are of the
# first host's traffic. Once it is healthy and serves the release, the others follow, hosts_at_once (default 1) at a time,
# without pauses and shares. If a host fails, all that were changed go back. In addresses of checks, {host} stands for web1
# or web2, or 127.0.0.1 for a unix socket; commands of checks have it as DEPLOY_HOST. Default: the engine that docker uses.
# hosts = ["ssh://deploy@web1", "ssh://deploy@web2"]
# hosts_at_once = 1
# The number of releases whose images stay on the engine, at least 2. Those of older ones are removed at the end of a
# deployment, if no environment of the repository needs them. Default: all stay.
# keep_images = 5
# Or a service of a Compose file, which the program of Compose starts with the image of the release: `docker compose` or
# `docker-compose` must be installed. The strategy is recreate or, for a service that publishes no port, rolling. Healthy is
# what its `healthcheck` says. The former image of a service that was started by hand returns when the first deployment fails.
# The file is that of the checkout, whatever the release; `docker compose up` by hand deploys the image of the file again.
# Services that the service depends on are not started: start them by hand.
# [environments.preview.target]
# kind = "compose"
# service = "shop"
# image = "registry.example.com/shop:{release}"
# Default: the files that Compose reads in the root of the repository, and the name that it chooses for the project.
# files = ["compose.yaml", "compose.preview.yaml"]
# project = "shop-preview"
# Default: as many as run, or 1.
# replicas = 2
# timeout = "10m"
# Or a Deployment of Kubernetes, which must exist: each deployment sets its image and its strategy (recreate or rolling, with
# max_surge and max_unavailable), and the cluster replaces its pods. A smoke test runs once they are replaced. Rights that are
# needed in the namespace: get and patch deployments, list replicasets, and get, create and update leases; list pods and
# events, and get pods/log, to explain failures. Or, with rollout = "shop" in place of deployment, a Rollout of Argo Rollouts,
# with the rights to get and patch rollouts and to patch rollouts/status. Its manifest has the strategy, and the environment
# the same: canary with its shares and pauses, blue-green, or rolling for a canary without steps; it is promoted, aborted and
# undone. Pods need a preStop hook that sleeps some seconds, and must then answer with Connection: close, or requests may be
# lost.
# The deadline of the health check is for the whole rollout: by default 1h, as progress_deadline ends one that stands still.
# [environments.staging.target]
# kind = "kubernetes"
# deployment = "shop"
# image = "registry.example.com/shop:{release}"
# Default: the only one.
# container = "web"
# Default: the namespace of the context, the current context, and the kubeconfig of kubectl or the service account of the pod.
# namespace = "shop"
# context = "staging"
# kubeconfig = "~/.kube/config"
# Default: both stay as they are.
# replicas = 3
# progress_deadline = "10m"
# Or commands. start and stop are needed, weight for blue-green and canary. healthy succeeds when all replicas of
# DEPLOY_SLOT are. status prints a line for each slot that has replicas: SLOT COMMIT REPLICAS HEALTHY WEIGHT.
# [environments.development.target]
# start = "./deploy/start"
# healthy = "./deploy/healthy"
# stop = "./deploy/stop"
# weight = "./deploy/weight"
# drain = "./deploy/drain"
# replicas = 2
# timeout = "10m"
# A whole environment of commands, to copy: a clone of the repository (`git clone . /srv/shop`) gets the files of the
# release, and a service of systemd restarts.
# [environments.qa]
# strategy = "recreate"
# [environments.qa.target]
# start = "cd /srv/shop && git fetch && git checkout --force $DEPLOY_SHA && systemctl --user restart shop"
# healthy = "systemctl --user is-active shop"
# stop = "systemctl --user stop shop"
# When a release counts as healthy: http (a path such as /health of each replica in Docker, or an address with http://,
# in which {slot} stands for the slot), tcp, or exec (in Docker a command in each replica). A replica that ends fails its
# deployment, even if it is started again and is healthy then.
# [environments.production.health]
# http = "/health"
# interval = "10s"
# timeout = "5s"
# retries = 30
# start_period = "30s"
# healthy_for = "10s"
# deadline = "6m"
# A test before the new release gets traffic.
# [environments.production.smoke]
# exec = "./deploy/smoke-test"
# The check of the new release while a canary pauses: what the router of Docker sees (errors, latency, min_requests), or
# http, tcp or exec, whose exit code 75 means unknown. Default: the health check. If all answers are unknown, a person
# decides, and bad ones still roll back.
# [environments.production.analysis]
# errors = "1%"
# latency = "500ms"
# min_requests = 50
# every = "100ms"
# failures = 1
# Who is notified: in [notify] for all environments, in [environments.NAME.notify] for one; notify = false for one turns it
# off. A notification is tried up to three times, and never delays a deployment or changes its result. A failed notification
# is recorded. Addresses and keys are secrets: name their environment variables.
# [notify]
# "approval", "started", "paused", "succeeded", "rolled_back" or "failed". Default: all but "started".
# on = ["approval", "paused", "rolled_back", "failed"]
# An incoming webhook of Slack. Each notification is a separate message, because the webhook cannot change an earlier one.
# slack = "${SLACK_WEBHOOK_URL}"
# A server that gets a JSON document by POST over https (http on this machine); it must not redirect. With a key, the header
# X-Cuelight-Signature-256 is sha256= and the HMAC-SHA256 of the body. X-Cuelight-Delivery is the same for each try.
# webhook = "${DEPLOY_WEBHOOK_URL}"
# webhook_key = "${DEPLOY_WEBHOOK_KEY}"
# A command, with DEPLOY_EVENT, DEPLOY_MESSAGE, DEPLOY_COMMAND (to act), DEPLOY_SLACK (the body of a Slack webhook),
# DEPLOY_ENVIRONMENT, DEPLOY_ID, DEPLOY_RELEASE, DEPLOY_SHA and DEPLOY_URL.
# command = "notify-send \"$DEPLOY_MESSAGE\""
# Whether terminals that follow the deployment ring (BEL, OSC 9 and OSC 777). The screen rings, too,
# for events without an alert, unless screen.bell or screen.quiet prevents it. Default: false.
# terminal = true
"#;
