# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cuelight_global_optspecs
    string join \n read-only h/help V/version
end

function __fish_cuelight_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_cuelight_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_cuelight_using_subcommand
    set -l cmd (__fish_cuelight_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c cuelight -n "__fish_cuelight_needs_command" -l read-only -d 'Open the screen without commands: nothing can be started or changed'
complete -c cuelight -n "__fish_cuelight_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cuelight -n "__fish_cuelight_needs_command" -s V -l version -d 'Print version'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "run" -d 'Run a workflow of this repository'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "demo" -d 'Unpack a small project and run its pipeline: needs only git and a POSIX shell'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "attach" -d 'Follow a run until it ends'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "watch" -d 'Follow all runs of a commit on a server, from the first after a push until the last has ended'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "runs" -d 'List runs, newest first'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "show" -d 'Show a run: its jobs and steps and their results'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "logs" -d 'Print the logs of a run'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "artifacts" -d 'List the artifacts of a run, or download them'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "cache" -d 'List what steps saved with actions/cache, or delete it'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "tools" -d 'List the languages on this machine that setup actions find, or add installations'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "explain" -d 'Explain why conditions were true or false, which reviews hold back jobs, and why a deployment failed'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "cancel" -d 'Cancel runs; with --force they end at once'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "delete" -d 'Delete runs, on this machine or at their servers; with --logs only the logs at the servers'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "rerun" -d 'Run again: all of a run, what failed, or one job and the jobs that need it'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "dispatch" -d 'Start a workflow on a server, and follow its run'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "workflow" -d 'List, enable or disable workflows on a server'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "resume" -d 'Continue a run whose worker was lost, from the first step that had not completed'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "approve" -d 'Approve deployments that wait for a review, or the run of a fork'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "reject" -d 'Reject deployments that wait for a review: their jobs fail'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "env" -d 'Show the environments of a repository: the live releases, the rules, the history of one'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "deploy" -d 'Deploy a release to an environment of this repository, and follow it'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "deploys" -d 'List the deployments by this machine, newest first'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "promote" -d 'Continue a paused deployment'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "pause" -d 'Pause a deployment before its next step'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "abort" -d 'Stop a deployment and bring the former release back'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "rollback" -d 'Bring an earlier release back to an environment, and follow it'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "lock" -d 'Lock an environment: nothing is deployed to it'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "unlock" -d 'Unlock an environment'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "audit" -d 'Print the audit log: who did what in the environments'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "held" -d 'List, retry, skip or continue failed steps that are held (`run --on-failure hold`)'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "shell" -d 'Open a shell in the environment of a running or failed job, or the debugger of a job on GitHub'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "replay" -d 'Play a past run again on the screen, forward and back, at any speed'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "screenshot" -d 'Draw the screen at a moment of a run, as text or as a picture'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "lint" -d 'Check workflow files and action manifests'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "plan" -d 'Show what a workflow would run'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "eval" -d 'Evaluate expressions: one JSON request per line in, one answer per line out'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "trust" -d 'Trust this repository: allow its workflows to run on this machine'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "doctor" -d 'Check what runs need: git, shells, folders, leftovers'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "auth" -d 'Show, get or remove the accounts at GitHub and other servers'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "clean" -d 'Remove old runs'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "keys" -d 'List the keys of the screen'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "config" -d 'Print the settings in force and where each comes from'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "completions" -d 'Print a completion script for a shell'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "forward" -d 'Forward ports of `localhost` to services (started in a job\'s helper container)'
complete -c cuelight -n "__fish_cuelight_needs_command" -a "worker" -d 'Carry out a run (started by `run` and `rerun`)'
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -s e -l event -d 'The event that starts the workflow [default: push, or the likeliest event of a workflow without it]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l event-path -d 'A file with the event\'s payload, as JSON' -r -F
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l event-set -d 'A value of the event\'s payload, such as `pull_request.number=12`' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -s j -l job -d 'Only this job, by id or name, and the jobs that it needs (may be given more than once)' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l matrix -d 'Only legs with this value in their matrix (may be given more than once)' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l env -d 'A variable for all steps; overrides the `env` of the workflow and its jobs' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -s i -l input -d 'An input of the workflow' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -s s -l secret -d 'A secret; without a value it is taken from the environment' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l secret-file -d 'A file with secrets in the form of `.env`' -r -F
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l var -d 'A configuration variable' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l max-parallel -d 'Maximum number of jobs at once [default: the number of processors]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l sandbox -d 'Where jobs without a `container:` run: host, docker, or docker:IMAGE' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l on-failure -d 'What happens when a step fails: its job ends, or is held until you continue it with `cuelight held`' -r -f -a "end\t'The steps after it are skipped, and the job ends'
hold\t'The job waits, with its machine, services and files'"
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l break -d 'Stop before this step, until you continue its job with `cuelight held` (may be given more than once)' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l hold-minutes -d 'How long a step is held at most, in minutes' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l format -d '`json`: log lines and the result as JSON lines' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l runner -d '`host`: every job on this machine and in place, for any `runs-on`' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l repository -d 'The repository\'s owner/name' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l remote -d 'Run the files of this repository, as they are, on its server: they are pushed to a temporary branch, and the workflow is started there'
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l fail-fast -d 'With --remote, cancel the run when the first job has failed'
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l in-place -d 'Run in the repository\'s folder itself instead of a private copy per job'
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l skip-unrunnable -d 'Let the run succeed without the jobs whose `runs-on` needs another machine'
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l offline -d 'Use actions of other repositories only from the cache'
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l debug -d 'Keep debug lines and set `RUNNER_DEBUG`'
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l trust -d 'Trust this repository for this run'
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -s d -l detach -d 'Print the run\'s id and leave it running'
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -l json -d 'Print the records, one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cuelight -n "__fish_cuelight_using_subcommand demo" -l project -d 'The project to unpack' -r -f -a "tally\t'In plain shell: its pipeline needs git and a POSIX shell, and shows a service if Docker answers'
aura\t'A Python service: needs Docker, Python 3.11, Node.js, and actions from github.com'"
complete -c cuelight -n "__fish_cuelight_using_subcommand demo" -l into -d 'Unpack into this folder [default: `demo` or `aura` beside the runs]' -r -F
complete -c cuelight -n "__fish_cuelight_using_subcommand demo" -l deploy -d 'Deploy a service to three environments in Docker instead: rolling, blue-green, canary, and a release that fails'
complete -c cuelight -n "__fish_cuelight_using_subcommand demo" -l headless -d 'Print lines instead of opening the screen'
complete -c cuelight -n "__fish_cuelight_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cuelight -n "__fish_cuelight_using_subcommand attach" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand attach" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand attach" -l json -d 'Print the records, one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand attach" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand watch" -s R -l repository -d 'Repository on a server [default: that of this checkout]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand watch" -l timeout -d 'How long to wait for the first run, such as `90s` or `1h`' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand watch" -l fail-fast -d 'End with the first job that fails; the runs continue'
complete -c cuelight -n "__fish_cuelight_using_subcommand watch" -l json -d 'Print one JSON object per line for each change'
complete -c cuelight -n "__fish_cuelight_using_subcommand watch" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -s n -l limit -d 'Maximum number of runs to show [default: 20]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -s w -l workflow -d 'Only runs of this workflow: its path, or the name of its file with or without extension' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -s b -l branch -d 'Only runs on this branch or tag' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -s e -l event -d 'Only runs of this event' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -s s -l status -d 'Only runs with this status or conclusion' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -s c -l commit -d 'Only runs of this commit: its id or the beginning of it' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -s u -l actor -d 'Only runs on servers that this user started' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -l since -d 'Only runs created since then: a date, or an age such as `12h` or `7d`' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -s R -l repository -d 'Only runs of this repository; its server is asked for the newest [default: the known runs of the current folder]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -l before -d 'Only runs older than this one: its id, or the beginning or end of its id' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -l all -d 'Runs of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand runs" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand show" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand show" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand show" -l diff -d 'Print the uncommitted changes that the run used'
complete -c cuelight -n "__fish_cuelight_using_subcommand show" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand show" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand logs" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand logs" -s j -l job -d 'Only this job' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand logs" -s s -l step -d 'Only the step with this number or name' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand logs" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand logs" -l failed -d 'Only what failed: the lines around the first error of each failed step, and why jobs did not start'
complete -c cuelight -n "__fish_cuelight_using_subcommand logs" -l all-lines -d 'With --failed, all lines of each failed step'
complete -c cuelight -n "__fish_cuelight_using_subcommand logs" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand artifacts" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand artifacts" -l download -d 'Download these artifacts, or all of them' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand artifacts" -l dir -d 'Folder for the downloads' -r -F
complete -c cuelight -n "__fish_cuelight_using_subcommand artifacts" -l delete -d 'Delete these artifacts of a run on this machine' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand artifacts" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand artifacts" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand artifacts" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and not __fish_seen_subcommand_from list delete" -s R -l repository -d 'Only entries of this repository [default: the repository of the current folder]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and not __fish_seen_subcommand_from list delete" -l all -d 'Entries of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and not __fish_seen_subcommand_from list delete" -l remote -d 'Entries on the server of the repository, instead of entries on this machine'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and not __fish_seen_subcommand_from list delete" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and not __fish_seen_subcommand_from list delete" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and not __fish_seen_subcommand_from list delete" -f -a "list" -d 'List the entries, newest first'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and not __fish_seen_subcommand_from list delete" -f -a "delete" -d 'Delete the entries of a key, in every version and of every branch'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and __fish_seen_subcommand_from list" -s R -l repository -d 'Only entries of this repository [default: the repository of the current folder]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and __fish_seen_subcommand_from list" -l all -d 'Entries of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and __fish_seen_subcommand_from list" -l remote -d 'Entries on the server of the repository, instead of entries on this machine'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and __fish_seen_subcommand_from delete" -s R -l repository -d 'Only entries of this repository [default: the repository of the current folder]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and __fish_seen_subcommand_from delete" -l all -d 'Entries of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and __fish_seen_subcommand_from delete" -l remote -d 'Entries on the server of the repository, instead of entries on this machine'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and __fish_seen_subcommand_from delete" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand cache; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and not __fish_seen_subcommand_from list add remove" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and not __fish_seen_subcommand_from list add remove" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and not __fish_seen_subcommand_from list add remove" -f -a "list" -d 'List the installations: on PATH, of version managers, and those that were added'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and not __fish_seen_subcommand_from list add remove" -f -a "add" -d 'Add the installations in a folder'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and not __fish_seen_subcommand_from list add remove" -f -a "remove" -d 'Remove an added folder from the list; its files stay'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and __fish_seen_subcommand_from add" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and __fish_seen_subcommand_from remove" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand tools; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand explain" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand explain" -l expr -d 'Explain this expression instead, with or without `${{ }}`' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand explain" -l contexts -d 'Contexts of the expression: a file with a JSON object, or `-` for standard input' -r -F
complete -c cuelight -n "__fish_cuelight_using_subcommand explain" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand explain" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand explain" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand cancel" -s R -l repository -d 'The repository on a server, for `latest` or the numbers of runs' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand cancel" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand cancel" -l force -d 'Cancel at once: no further step starts, not even with `always()`'
complete -c cuelight -n "__fish_cuelight_using_subcommand cancel" -l json -d 'Print JSON, one object for each run'
complete -c cuelight -n "__fish_cuelight_using_subcommand cancel" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand delete" -s R -l repository -d 'The repository on a server, for the numbers of runs' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand delete" -l logs -d 'Delete only the logs on the server; downloaded logs stay'
complete -c cuelight -n "__fish_cuelight_using_subcommand delete" -l json -d 'Print JSON, one object for each run'
complete -c cuelight -n "__fish_cuelight_using_subcommand delete" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -s R -l repository -d 'The repository on a server, for `latest` or the numbers of runs' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -l job -d 'Only this job, and the jobs that need it' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -l from-step -d 'Re-run the job from this step (number or name) on, with the files that its last attempt left' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -s s -l secret -d 'A secret that the run had; without a value it is taken from the environment' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -l failed -d 'Only the failed jobs, and the jobs that need them'
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -l debug -d 'Enable debug logging (for a run on a server)'
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -l debugger -d 'Re-run one job with GitHub\'s debugger, a preview: the job given with --job, or else the first that failed. `cuelight shell` connects to it'
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -l trust -d 'Trust the run\'s repository for this attempt'
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -s d -l detach -d 'Print the run\'s id and leave it running'
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -l json -d 'Print the records of the new attempt, one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand rerun" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand dispatch" -l ref -d 'The branch or tag to run on [default: the default branch]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand dispatch" -s i -l input -d 'An input of the workflow' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand dispatch" -s R -l repository -d 'The repository [default: `GH_REPO`, or that of the current folder\'s remotes]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand dispatch" -s d -l detach -d 'Print the run\'s id and leave it running'
complete -c cuelight -n "__fish_cuelight_using_subcommand dispatch" -l json -d 'Print the records of the run, one JSON object per line; with --detach, the run'
complete -c cuelight -n "__fish_cuelight_using_subcommand dispatch" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and not __fish_seen_subcommand_from list enable disable" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and not __fish_seen_subcommand_from list enable disable" -f -a "list" -d 'List the workflows of a repository on a server, with their states'
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and not __fish_seen_subcommand_from list enable disable" -f -a "enable" -d 'Enable a workflow'
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and not __fish_seen_subcommand_from list enable disable" -f -a "disable" -d 'Disable a workflow: it does not run until it is enabled'
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and __fish_seen_subcommand_from list" -s R -l repository -d 'The repository [default: `GH_REPO`, or that of the current folder\'s remotes]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and __fish_seen_subcommand_from enable" -s R -l repository -d 'The repository [default: `GH_REPO`, or that of the current folder\'s remotes]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and __fish_seen_subcommand_from enable" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and __fish_seen_subcommand_from disable" -s R -l repository -d 'The repository [default: `GH_REPO`, or that of the current folder\'s remotes]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and __fish_seen_subcommand_from disable" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand workflow; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand resume" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand resume" -l yes -d 'Skip the question for this production environment (for a deployment)' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand resume" -s s -l secret -d 'A secret that the run had; without a value it is taken from the environment' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand resume" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand resume" -l trust -d 'Trust the run\'s repository for this attempt'
complete -c cuelight -n "__fish_cuelight_using_subcommand resume" -s d -l detach -d 'Print the run\'s id and leave it running'
complete -c cuelight -n "__fish_cuelight_using_subcommand resume" -l json -d 'Print the records of the new attempt, one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand resume" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand approve" -l run -d 'The run\'s id, its beginning or end, `latest`: the newest run of this repository that waits for a review, or the URL of a run on a server' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand approve" -s c -l comment -d 'Comment for the other reviewers' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand approve" -l yes -d 'Skip the question for this production environment' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand approve" -l all -d 'All environments of the run that you may review'
complete -c cuelight -n "__fish_cuelight_using_subcommand approve" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand approve" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand reject" -l run -d 'The run\'s id, its beginning or end, `latest`: the newest run of this repository that waits for a review, or the URL of a run on a server' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand reject" -s c -l comment -d 'Comment for the other reviewers' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand reject" -l yes -d 'Skip the question for this production environment' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand reject" -l all -d 'All environments of the run that you may review'
complete -c cuelight -n "__fish_cuelight_using_subcommand reject" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand reject" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand env" -s R -l repository -d 'The repository [default: `GH_REPO`, or that of the current folder\'s remotes]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand env" -s n -l limit -d 'Maximum number of deployments to show' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand env" -l check -d 'Show which secrets and variables of the environment are set here, and which are missing'
complete -c cuelight -n "__fish_cuelight_using_subcommand env" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand env" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand deploy" -l reason -d 'Reason, which `cuelight audit` shows' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand deploy" -l yes -d 'Skip the question for this production environment' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand deploy" -l plan -d 'Print what would be done, and do nothing'
complete -c cuelight -n "__fish_cuelight_using_subcommand deploy" -l override -d 'Override the rules of the environment; needs --reason, and is recorded'
complete -c cuelight -n "__fish_cuelight_using_subcommand deploy" -l trust -d 'Trust this repository for this deployment'
complete -c cuelight -n "__fish_cuelight_using_subcommand deploy" -s d -l detach -d 'Print the run\'s id and leave it running'
complete -c cuelight -n "__fish_cuelight_using_subcommand deploy" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand deploy" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand deploys" -s n -l limit -d 'Maximum number of deployments to an environment' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand deploys" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand deploys" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand promote" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand promote" -l full -d 'Continue past all later pauses, too'
complete -c cuelight -n "__fish_cuelight_using_subcommand promote" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand pause" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand pause" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand abort" -l reason -d 'Reason, which `cuelight audit` shows' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand abort" -l yes -d 'Skip the question for this production environment' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand abort" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand abort" -s d -l detach -d 'Do not follow the rollback of a deployment whose worker was lost'
complete -c cuelight -n "__fish_cuelight_using_subcommand abort" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand rollback" -l to -d 'The release: its tag, its commit, or the number of the run that deployed it [default: the last other release that succeeded]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand rollback" -l from -d 'Roll back only if this release is live now' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand rollback" -l reason -d 'Reason, for a workflow that takes one' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand rollback" -l by -d 'How to roll back: `dispatch` the workflow again, or `rerun` the job [default: the first that is possible]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand rollback" -l yes -d 'Skip the question for this environment' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand rollback" -s R -l repository -d 'The repository [default: `GH_REPO`, or that of the current folder\'s remotes]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand rollback" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand rollback" -s d -l detach -d 'Print the run\'s id and leave it running'
complete -c cuelight -n "__fish_cuelight_using_subcommand rollback" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand lock" -l reason -d 'Reason, for people who want to deploy' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand lock" -l until -d 'How long, such as `90m` or `2h` [default: until it is unlocked]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand lock" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand lock" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand unlock" -l reason -d 'Reason, which `cuelight audit` shows' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand unlock" -l json -d 'Print JSON'
complete -c cuelight -n "__fish_cuelight_using_subcommand unlock" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand audit" -l csv -d 'Print comma-separated values'
complete -c cuelight -n "__fish_cuelight_using_subcommand audit" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand audit" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and not __fish_seen_subcommand_from list retry skip continue sync on off" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and not __fish_seen_subcommand_from list retry skip continue sync on off" -f -a "list" -d 'List the steps that are held'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and not __fish_seen_subcommand_from list retry skip continue sync on off" -f -a "retry" -d 'Run the step again, or an earlier step and those after it'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and not __fish_seen_subcommand_from list retry skip continue sync on off" -f -a "skip" -d 'Count a failed step as a success, skip one that has not run, and run the steps after it'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and not __fish_seen_subcommand_from list retry skip continue sync on off" -f -a "continue" -d 'Go on as without the hold: a failed step fails, and one that has not run runs'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and not __fish_seen_subcommand_from list retry skip continue sync on off" -f -a "sync" -d 'Bring the files that you added, changed or deleted since the checkout into the job\'s workspace'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and not __fish_seen_subcommand_from list retry skip continue sync on off" -f -a "on" -d 'Hold steps of the run that fail from now on'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and not __fish_seen_subcommand_from list retry skip continue sync on off" -f -a "off" -d 'Let steps of the run fail from now on; those that are held stay held'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from list" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from list" -s j -l job -d 'The job: its id, key or name [default: all jobs with a held step]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from list" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from list" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from retry" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from retry" -s j -l job -d 'The job: its id, key or name [default: all jobs with a held step]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from retry" -l from -d 'Go back to this earlier step of the job, by name or number, with the variables and outputs as they were before it and the files as they are, and run again from there' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from retry" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from retry" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from retry" -l sync -d 'First bring the files that you changed, as `cuelight held sync` does'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from retry" -l force -d 'With --sync, overwrite files that the job changed as well'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from skip" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from skip" -s j -l job -d 'The job: its id, key or name [default: all jobs with a held step]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from skip" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from skip" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from skip" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from continue" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from continue" -s j -l job -d 'The job: its id, key or name [default: all jobs with a held step]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from continue" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from continue" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from continue" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from sync" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from sync" -s j -l job -d 'The job: its id, key or name [default: all jobs with a held step]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from sync" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from sync" -l json -d 'Print one JSON object per line'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from sync" -l force -d 'Overwrite files that the job changed as well'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from sync" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from on" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from on" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from on" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from off" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from off" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand held; and __fish_seen_subcommand_from off" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand shell" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand shell" -l service -d 'Open the shell in the container of this service of a running job' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand shell" -s s -l secret -d 'A secret that the run had, for the step\'s environment; without a value it is taken from the environment' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand shell" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand shell" -l json -d 'Print one JSON object per line (for a run on GitHub)'
complete -c cuelight -n "__fish_cuelight_using_subcommand shell" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand replay" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand replay" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand replay" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand screenshot" -s R -l repository -d 'The repository on a server, for `latest` or the number of a run' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand screenshot" -l at -d 'Seconds after the start of the run [default: its end]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand screenshot" -l size -d 'Size in columns and rows' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand screenshot" -l format -d 'Output format' -r -f -a "text\t'Plain text'
ansi\t'Text with ANSI colours'
svg\t'An SVG picture'"
complete -c cuelight -n "__fish_cuelight_using_subcommand screenshot" -l keys -d 'Keys to press before: characters, and other keys by name in angle brackets' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand screenshot" -l colours -d 'Colours of the picture' -r -f -a "terminal\t'The 16 colours of the terminal'
colour-blind\t'Blue and orange in place of green and red'
none\t'No colours'"
complete -c cuelight -n "__fish_cuelight_using_subcommand screenshot" -l all -d 'Let `latest` be the newest run of all repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand screenshot" -l ascii -d 'Draw with ASCII characters only'
complete -c cuelight -n "__fish_cuelight_using_subcommand screenshot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cuelight -n "__fish_cuelight_using_subcommand lint" -l format -d 'Output format' -r -f -a "text\t''
json\t''
github\t''
sarif\t'One SARIF 2.1.0 log, for code scanning'"
complete -c cuelight -n "__fish_cuelight_using_subcommand lint" -l explain -d 'Explain a rule: what it reports, why it matters and what to write instead' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand lint" -l root -d 'Look up local actions and workflows below this folder' -r -F
complete -c cuelight -n "__fish_cuelight_using_subcommand lint" -l refs -d 'Folder of called workflows of other repositories, as DIR/owner/repo/path@ref' -r -F
complete -c cuelight -n "__fish_cuelight_using_subcommand lint" -l permissions-policy -d 'Default permissions of the token' -r -f -a "LimitedRead\t''
Write\t''"
complete -c cuelight -n "__fish_cuelight_using_subcommand lint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cuelight -n "__fish_cuelight_using_subcommand plan" -s e -l event -d 'The event that starts the workflow [default: push, or the likeliest event of a workflow without it]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand plan" -l event-path -d 'A file with the event\'s payload, as JSON' -r -F
complete -c cuelight -n "__fish_cuelight_using_subcommand plan" -l event-set -d 'A value of the event\'s payload, such as `pull_request.number=12`' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand plan" -l format -d 'Output format' -r -f -a "text\t'The graph, and a line per job'
svg\t'The graph as an SVG picture'
json\t'The jobs after matrix expansion'
template\t'The workflow as the parser converts it'
mermaid\t'A Mermaid graph'
dot\t'A Graphviz graph'"
complete -c cuelight -n "__fish_cuelight_using_subcommand plan" -l refs -d 'Folder of called workflows of other repositories, as DIR/owner/repo/path@ref' -r -F
complete -c cuelight -n "__fish_cuelight_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cuelight -n "__fish_cuelight_using_subcommand eval" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand trust" -l ask -d 'Show what would run and ask, instead of trusting at once'
complete -c cuelight -n "__fish_cuelight_using_subcommand trust" -l revoke -d 'Revoke the trust'
complete -c cuelight -n "__fish_cuelight_using_subcommand trust" -l list -d 'List the trusted repositories'
complete -c cuelight -n "__fish_cuelight_using_subcommand trust" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand auth; and not __fish_seen_subcommand_from status login logout" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand auth; and not __fish_seen_subcommand_from status login logout" -f -a "status" -d 'Show the account at each host, where its token comes from, and what is left of the request limit'
complete -c cuelight -n "__fish_cuelight_using_subcommand auth; and not __fish_seen_subcommand_from status login logout" -f -a "login" -d 'Log in with a code that you enter on a page of the host'
complete -c cuelight -n "__fish_cuelight_using_subcommand auth; and not __fish_seen_subcommand_from status login logout" -f -a "logout" -d 'Log out: remove the token of an earlier login'
complete -c cuelight -n "__fish_cuelight_using_subcommand auth; and __fish_seen_subcommand_from status" -l json -d 'Print JSON: one object per host and line'
complete -c cuelight -n "__fish_cuelight_using_subcommand auth; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand auth; and __fish_seen_subcommand_from login" -l hostname -d 'The host' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand auth; and __fish_seen_subcommand_from login" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand auth; and __fish_seen_subcommand_from logout" -l hostname -d 'The host' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand auth; and __fish_seen_subcommand_from logout" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand clean" -l keep -d 'Keep this many of the newest runs [default: `keep_runs` of the configuration, 50]' -r
complete -c cuelight -n "__fish_cuelight_using_subcommand clean" -l all -d 'Remove all runs that are not in progress'
complete -c cuelight -n "__fish_cuelight_using_subcommand clean" -l dry-run -d 'Show what would be removed, and remove nothing'
complete -c cuelight -n "__fish_cuelight_using_subcommand clean" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand keys" -l json -d 'Print one JSON object per action'
complete -c cuelight -n "__fish_cuelight_using_subcommand keys" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand config" -l example -d 'Print all settings with explanations, as a configuration file'
complete -c cuelight -n "__fish_cuelight_using_subcommand config" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand completions" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand forward" -s h -l help -d 'Print help'
complete -c cuelight -n "__fish_cuelight_using_subcommand worker" -l rerun-job -r
complete -c cuelight -n "__fish_cuelight_using_subcommand worker" -l from-step -r
complete -c cuelight -n "__fish_cuelight_using_subcommand worker" -l resume
complete -c cuelight -n "__fish_cuelight_using_subcommand worker" -l abort
complete -c cuelight -n "__fish_cuelight_using_subcommand worker" -l rerun
complete -c cuelight -n "__fish_cuelight_using_subcommand worker" -l rerun-failed
complete -c cuelight -n "__fish_cuelight_using_subcommand worker" -s h -l help -d 'Print help'
