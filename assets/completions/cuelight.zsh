#compdef cuelight

autoload -U is-at-least

_cuelight() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'--read-only[Open the screen without commands\: nothing can be started or changed]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'-V[Print version]' \
'--version[Print version]' \
'::run -- Open the screen on this run\: its id, its beginning or end, `latest` of this repository, or the URL of a run on a server:_default' \
":: :_cuelight_commands" \
"*::: :->cuelight" \
&& ret=0
    case $state in
    (cuelight)
        words=($line[2] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:cuelight-command-$line[2]:"
        case $line[2] in
            (run)
_arguments "${_arguments_options[@]}" : \
'-e+[The event that starts the workflow \[default\: push, or the likeliest event of a workflow without it\]]:EVENT:_default' \
'--event=[The event that starts the workflow \[default\: push, or the likeliest event of a workflow without it\]]:EVENT:_default' \
'--event-path=[A file with the event'\''s payload, as JSON]:FILE:_files' \
'*--event-set=[A value of the event'\''s payload, such as \`pull_request.number=12\`]:KEY=VALUE:_default' \
'*-j+[Only this job, by id or name, and the jobs that it needs (may be given more than once)]:JOB:_default' \
'*--job=[Only this job, by id or name, and the jobs that it needs (may be given more than once)]:JOB:_default' \
'*--matrix=[Only legs with this value in their matrix (may be given more than once)]:KEY=VALUE:_default' \
'*--env=[A variable for all steps; overrides the \`env\` of the workflow and its jobs]:NAME=VALUE:_default' \
'*-i+[An input of the workflow]:NAME=VALUE:_default' \
'*--input=[An input of the workflow]:NAME=VALUE:_default' \
'*-s+[A secret; without a value it is taken from the environment]:NAME[=VALUE]:_default' \
'*--secret=[A secret; without a value it is taken from the environment]:NAME[=VALUE]:_default' \
'--secret-file=[A file with secrets in the form of \`.env\`]:FILE:_files' \
'*--var=[A configuration variable]:NAME=VALUE:_default' \
'--max-parallel=[Maximum number of jobs at once \[default\: the number of processors\]]:N:_default' \
'--sandbox=[Where jobs without a \`container\:\` run\: host, docker, or docker\:IMAGE]:PLACE:_default' \
'--on-failure=[What happens when a step fails\: its job ends, or is held until you continue it with \`cuelight held\`]:WHAT:((end\:"The steps after it are skipped, and the job ends"
hold\:"The job waits, with its machine, services and files"))' \
'*--break=[Stop before this step, until you continue its job with \`cuelight held\` (may be given more than once)]:JOB/STEP:_default' \
'--hold-minutes=[How long a step is held at most, in minutes]:MINUTES:_default' \
'--format=[\`json\`\: log lines and the result as JSON lines]:FORMAT:_default' \
'--runner=[\`host\`\: every job on this machine and in place, for any \`runs-on\`]:RUNNER:_default' \
'--repository=[The repository'\''s owner/name]:REPOSITORY:_default' \
'(-e --event --event-path --event-set -j --job --matrix --env -s --secret --secret-file --var --max-parallel --in-place --sandbox --skip-unrunnable --offline --on-failure --break --hold-minutes --debug -d --detach --format --runner --repository)--remote[Run the files of this repository, as they are, on its server\: they are pushed to a temporary branch, and the workflow is started there]' \
'--fail-fast[With --remote, cancel the run when the first job has failed]' \
'--in-place[Run in the repository'\''s folder itself instead of a private copy per job]' \
'--skip-unrunnable[Let the run succeed without the jobs whose \`runs-on\` needs another machine]' \
'--offline[Use actions of other repositories only from the cache]' \
'--debug[Keep debug lines and set \`RUNNER_DEBUG\`]' \
'--trust[Trust this repository for this run]' \
'-d[Print the run'\''s id and leave it running]' \
'--detach[Print the run'\''s id and leave it running]' \
'(-d --detach)--json[Print the records, one JSON object per line]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'::workflow -- A workflow file, or the name of one in .github/workflows \[default\: those that the event runs\]:_default' \
&& ret=0
;;
(demo)
_arguments "${_arguments_options[@]}" : \
'--project=[The project to unpack]:PROJECT:((tally\:"In plain shell\: its pipeline needs git and a POSIX shell, and shows a service if Docker answers"
aura\:"A Python service\: needs Docker, Python 3.11, Node.js, and actions from github.com"))' \
'--into=[Unpack into this folder \[default\: \`demo\` or \`aura\` beside the runs\]]:DIR:_files' \
'(--project)--deploy[Deploy a service to three environments in Docker instead\: rolling, blue-green, canary, and a release that fails]' \
'--headless[Print lines instead of opening the screen]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
&& ret=0
;;
(attach)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--json[Print the records, one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(watch)
_arguments "${_arguments_options[@]}" : \
'-R+[Repository on a server \[default\: that of this checkout\]]:[HOST/]OWNER/NAME:_default' \
'--repository=[Repository on a server \[default\: that of this checkout\]]:[HOST/]OWNER/NAME:_default' \
'--timeout=[How long to wait for the first run, such as \`90s\` or \`1h\`]:TIMEOUT:_default' \
'--fail-fast[End with the first job that fails; the runs continue]' \
'--json[Print one JSON object per line for each change]' \
'-h[Print help]' \
'--help[Print help]' \
'::revision -- Commit, branch, or pull request as `#12` or URL \[default\: the commit of this checkout\]:_default' \
&& ret=0
;;
(runs)
_arguments "${_arguments_options[@]}" : \
'-n+[Maximum number of runs to show \[default\: 20\]]:LIMIT:_default' \
'--limit=[Maximum number of runs to show \[default\: 20\]]:LIMIT:_default' \
'-w+[Only runs of this workflow\: its path, or the name of its file with or without extension]:WORKFLOW:_default' \
'--workflow=[Only runs of this workflow\: its path, or the name of its file with or without extension]:WORKFLOW:_default' \
'-b+[Only runs on this branch or tag]:BRANCH:_default' \
'--branch=[Only runs on this branch or tag]:BRANCH:_default' \
'-e+[Only runs of this event]:EVENT:_default' \
'--event=[Only runs of this event]:EVENT:_default' \
'-s+[Only runs with this status or conclusion]:STATUS:_default' \
'--status=[Only runs with this status or conclusion]:STATUS:_default' \
'-c+[Only runs of this commit\: its id or the beginning of it]:SHA:_default' \
'--commit=[Only runs of this commit\: its id or the beginning of it]:SHA:_default' \
'-u+[Only runs on servers that this user started]:USER:_default' \
'--actor=[Only runs on servers that this user started]:USER:_default' \
'--since=[Only runs created since then\: a date, or an age such as \`12h\` or \`7d\`]:SINCE:_default' \
'-R+[Only runs of this repository; its server is asked for the newest \[default\: the known runs of the current folder\]]:OWNER/NAME:_default' \
'--repository=[Only runs of this repository; its server is asked for the newest \[default\: the known runs of the current folder\]]:OWNER/NAME:_default' \
'--before=[Only runs older than this one\: its id, or the beginning or end of its id]:RUN:_default' \
'(-R --repository)--all[Runs of all repositories]' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'(--json)--diff[Print the uncommitted changes that the run used]' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(logs)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'-j+[Only this job]:JOB:_default' \
'--job=[Only this job]:JOB:_default' \
'-s+[Only the step with this number or name]:STEP:_default' \
'--step=[Only the step with this number or name]:STEP:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--failed[Only what failed\: the lines around the first error of each failed step, and why jobs did not start]' \
'--all-lines[With --failed, all lines of each failed step]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(artifacts)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'*--download=[Download these artifacts, or all of them]::NAME:_default' \
'--dir=[Folder for the downloads]:DIR:_files' \
'(--download)*--delete=[Delete these artifacts of a run on this machine]:NAME:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'(--download)--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(cache)
_arguments "${_arguments_options[@]}" : \
'-R+[Only entries of this repository \[default\: the repository of the current folder\]]:OWNER/NAME:_default' \
'--repository=[Only entries of this repository \[default\: the repository of the current folder\]]:OWNER/NAME:_default' \
'(-R --repository)--all[Entries of all repositories]' \
'(--all)--remote[Entries on the server of the repository, instead of entries on this machine]' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
":: :_cuelight__subcmd__cache_commands" \
"*::: :->cache" \
&& ret=0

    case $state in
    (cache)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:cuelight-cache-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
'-R+[Only entries of this repository \[default\: the repository of the current folder\]]:OWNER/NAME:_default' \
'--repository=[Only entries of this repository \[default\: the repository of the current folder\]]:OWNER/NAME:_default' \
'(-R --repository)--all[Entries of all repositories]' \
'(--all)--remote[Entries on the server of the repository, instead of entries on this machine]' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(delete)
_arguments "${_arguments_options[@]}" : \
'-R+[Only entries of this repository \[default\: the repository of the current folder\]]:OWNER/NAME:_default' \
'--repository=[Only entries of this repository \[default\: the repository of the current folder\]]:OWNER/NAME:_default' \
'(-R --repository)--all[Entries of all repositories]' \
'(--all)--remote[Entries on the server of the repository, instead of entries on this machine]' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
':key -- The whole key:_default' \
&& ret=0
;;
        esac
    ;;
esac
;;
(tools)
_arguments "${_arguments_options[@]}" : \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
":: :_cuelight__subcmd__tools_commands" \
"*::: :->tools" \
&& ret=0

    case $state in
    (tools)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:cuelight-tools-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(add)
_arguments "${_arguments_options[@]}" : \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
':folder -- The folder that contains `bin`:_files' \
&& ret=0
;;
(remove)
_arguments "${_arguments_options[@]}" : \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
':folder -- The folder:_files' \
&& ret=0
;;
        esac
    ;;
esac
;;
(explain)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'()--expr=[Explain this expression instead, with or without \`\${{ }}\`]:EXPR:_default' \
'--contexts=[Contexts of the expression\: a file with a JSON object, or \`-\` for standard input]:FILE:_files' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
'::job -- Only this job:_default' \
'::step -- Only the step with this number or name:_default' \
&& ret=0
;;
(cancel)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the numbers of runs]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the numbers of runs]:[HOST/]OWNER/NAME:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--force[Cancel at once\: no further step starts, not even with \`always()\`]' \
'--json[Print JSON, one object for each run]' \
'-h[Print help]' \
'--help[Print help]' \
'*::runs -- The runs\: ids, their beginnings or ends, `latest`\: the newest run of this repository; or runs on a server\: their numbers, OWNER/REPO/NUMBER or URLs:_default' \
&& ret=0
;;
(delete)
_arguments "${_arguments_options[@]}" : \
'-R+[The repository on a server, for the numbers of runs]:[HOST/]OWNER/NAME:_default' \
'--repository=[The repository on a server, for the numbers of runs]:[HOST/]OWNER/NAME:_default' \
'--logs[Delete only the logs on the server; downloaded logs stay]' \
'--json[Print JSON, one object for each run]' \
'-h[Print help]' \
'--help[Print help]' \
'*::runs -- The runs\: ids, their beginnings or ends; or runs on a server, which are deleted there, too\: their numbers, OWNER/REPO/NUMBER or URLs:_default' \
&& ret=0
;;
(rerun)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the numbers of runs]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the numbers of runs]:[HOST/]OWNER/NAME:_default' \
'(--failed)--job=[Only this job, and the jobs that need it]:JOB:_default' \
'--from-step=[Re-run the job from this step (number or name) on, with the files that its last attempt left]:STEP:_default' \
'*-s+[A secret that the run had; without a value it is taken from the environment]:NAME[=VALUE]:_default' \
'*--secret=[A secret that the run had; without a value it is taken from the environment]:NAME[=VALUE]:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--failed[Only the failed jobs, and the jobs that need them]' \
'--debug[Enable debug logging (for a run on a server)]' \
'(--failed --from-step --debug)--debugger[Re-run one job with GitHub'\''s debugger, a preview\: the job given with --job, or else the first that failed. \`cuelight shell\` connects to it]' \
'--trust[Trust the run'\''s repository for this attempt]' \
'-d[Print the run'\''s id and leave it running]' \
'--detach[Print the run'\''s id and leave it running]' \
'(-d --detach)--json[Print the records of the new attempt, one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'*::runs -- The runs\: ids, their beginnings or ends, `latest`\: the newest run of this repository; or runs on a server\: their numbers, OWNER/REPO/NUMBER or URLs:_default' \
&& ret=0
;;
(dispatch)
_arguments "${_arguments_options[@]}" : \
'--ref=[The branch or tag to run on \[default\: the default branch\]]:REF:_default' \
'*-i+[An input of the workflow]:NAME=VALUE:_default' \
'*--input=[An input of the workflow]:NAME=VALUE:_default' \
'-R+[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'--repository=[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'-d[Print the run'\''s id and leave it running]' \
'--detach[Print the run'\''s id and leave it running]' \
'--json[Print the records of the run, one JSON object per line; with --detach, the run]' \
'-h[Print help]' \
'--help[Print help]' \
':workflow -- The workflow\: its file with or without extension, its path, name or id:_default' \
&& ret=0
;;
(workflow)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_cuelight__subcmd__workflow_commands" \
"*::: :->workflow" \
&& ret=0

    case $state in
    (workflow)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:cuelight-workflow-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
'-R+[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'--repository=[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(enable)
_arguments "${_arguments_options[@]}" : \
'-R+[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'--repository=[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':workflow -- The workflow\: its file with or without extension, its path, name or id:_default' \
&& ret=0
;;
(disable)
_arguments "${_arguments_options[@]}" : \
'-R+[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'--repository=[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':workflow -- The workflow\: its file with or without extension, its path, name or id:_default' \
&& ret=0
;;
        esac
    ;;
esac
;;
(resume)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'*--yes=[Skip the question for this production environment (for a deployment)]:ENV:_default' \
'*-s+[A secret that the run had; without a value it is taken from the environment]:NAME[=VALUE]:_default' \
'*--secret=[A secret that the run had; without a value it is taken from the environment]:NAME[=VALUE]:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--trust[Trust the run'\''s repository for this attempt]' \
'-d[Print the run'\''s id and leave it running]' \
'--detach[Print the run'\''s id and leave it running]' \
'(-d --detach)--json[Print the records of the new attempt, one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(approve)
_arguments "${_arguments_options[@]}" : \
'--run=[The run'\''s id, its beginning or end, \`latest\`\: the newest run of this repository that waits for a review, or the URL of a run on a server]:RUN:_default' \
'-c+[Comment for the other reviewers]:TEXT:_default' \
'--comment=[Comment for the other reviewers]:TEXT:_default' \
'*--yes=[Skip the question for this production environment]:ENV:_default' \
'()--all[All environments of the run that you may review]' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
'*::environments -- Names of the environments:_default' \
&& ret=0
;;
(reject)
_arguments "${_arguments_options[@]}" : \
'--run=[The run'\''s id, its beginning or end, \`latest\`\: the newest run of this repository that waits for a review, or the URL of a run on a server]:RUN:_default' \
'-c+[Comment for the other reviewers]:TEXT:_default' \
'--comment=[Comment for the other reviewers]:TEXT:_default' \
'*--yes=[Skip the question for this production environment]:ENV:_default' \
'()--all[All environments of the run that you may review]' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
'*::environments -- Names of the environments:_default' \
&& ret=0
;;
(env)
_arguments "${_arguments_options[@]}" : \
'-R+[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'--repository=[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'-n+[Maximum number of deployments to show]:LIMIT:_default' \
'--limit=[Maximum number of deployments to show]:LIMIT:_default' \
'(-R --repository)--check[Show which secrets and variables of the environment are set here, and which are missing]' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
'::environment -- Name of an environment\: show its rules and its deployments:_default' \
&& ret=0
;;
(deploy)
_arguments "${_arguments_options[@]}" : \
'--reason=[Reason, which \`cuelight audit\` shows]:TEXT:_default' \
'*--yes=[Skip the question for this production environment]:ENV:_default' \
'--plan[Print what would be done, and do nothing]' \
'--override[Override the rules of the environment; needs --reason, and is recorded]' \
'--trust[Trust this repository for this deployment]' \
'-d[Print the run'\''s id and leave it running]' \
'--detach[Print the run'\''s id and leave it running]' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':environment -- Name of the environment:_default' \
'::release -- The release\: a tag, a branch or a commit \[default\: what is checked out\]:_default' \
&& ret=0
;;
(deploys)
_arguments "${_arguments_options[@]}" : \
'-n+[Maximum number of deployments to an environment]:LIMIT:_default' \
'--limit=[Maximum number of deployments to an environment]:LIMIT:_default' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::environment -- Only deployments to this environment:_default' \
&& ret=0
;;
(promote)
_arguments "${_arguments_options[@]}" : \
'--json[Print JSON]' \
'--full[Continue past all later pauses, too]' \
'-h[Print help]' \
'--help[Print help]' \
':environment -- Name of the environment:_default' \
&& ret=0
;;
(pause)
_arguments "${_arguments_options[@]}" : \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':environment -- Name of the environment:_default' \
&& ret=0
;;
(abort)
_arguments "${_arguments_options[@]}" : \
'--reason=[Reason, which \`cuelight audit\` shows]:TEXT:_default' \
'*--yes=[Skip the question for this production environment]:ENV:_default' \
'--json[Print JSON]' \
'-d[Do not follow the rollback of a deployment whose worker was lost]' \
'--detach[Do not follow the rollback of a deployment whose worker was lost]' \
'-h[Print help]' \
'--help[Print help]' \
':environment -- Name of the environment:_default' \
&& ret=0
;;
(rollback)
_arguments "${_arguments_options[@]}" : \
'--to=[The release\: its tag, its commit, or the number of the run that deployed it \[default\: the last other release that succeeded\]]:SHA|TAG|RUN:_default' \
'--from=[Roll back only if this release is live now]:SHA|TAG:_default' \
'--reason=[Reason, for a workflow that takes one]:TEXT:_default' \
'--by=[How to roll back\: \`dispatch\` the workflow again, or \`rerun\` the job \[default\: the first that is possible\]]:dispatch|rerun:_default' \
'*--yes=[Skip the question for this environment]:ENV:_default' \
'-R+[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'--repository=[The repository \[default\: \`GH_REPO\`, or that of the current folder'\''s remotes\]]:[HOST/]OWNER/NAME:_default' \
'--json[Print JSON]' \
'-d[Print the run'\''s id and leave it running]' \
'--detach[Print the run'\''s id and leave it running]' \
'-h[Print help]' \
'--help[Print help]' \
':environment -- Name of the environment:_default' \
&& ret=0
;;
(lock)
_arguments "${_arguments_options[@]}" : \
'--reason=[Reason, for people who want to deploy]:TEXT:_default' \
'--until=[How long, such as \`90m\` or \`2h\` \[default\: until it is unlocked\]]:TIME:_default' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':environment -- Name of the environment:_default' \
&& ret=0
;;
(unlock)
_arguments "${_arguments_options[@]}" : \
'--reason=[Reason, which \`cuelight audit\` shows]:TEXT:_default' \
'--json[Print JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':environment -- Name of the environment:_default' \
&& ret=0
;;
(audit)
_arguments "${_arguments_options[@]}" : \
'(--json)--csv[Print comma-separated values]' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::environment -- Only entries of this environment:_default' \
&& ret=0
;;
(held)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_cuelight__subcmd__held_commands" \
"*::: :->held" \
&& ret=0

    case $state in
    (held)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:cuelight-held-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'-j+[The job\: its id, key or name \[default\: all jobs with a held step\]]:JOB:_default' \
'--job=[The job\: its id, key or name \[default\: all jobs with a held step\]]:JOB:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(retry)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'-j+[The job\: its id, key or name \[default\: all jobs with a held step\]]:JOB:_default' \
'--job=[The job\: its id, key or name \[default\: all jobs with a held step\]]:JOB:_default' \
'--from=[Go back to this earlier step of the job, by name or number, with the variables and outputs as they were before it and the files as they are, and run again from there]:STEP:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--json[Print one JSON object per line]' \
'--sync[First bring the files that you changed, as \`cuelight held sync\` does]' \
'--force[With --sync, overwrite files that the job changed as well]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(skip)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'-j+[The job\: its id, key or name \[default\: all jobs with a held step\]]:JOB:_default' \
'--job=[The job\: its id, key or name \[default\: all jobs with a held step\]]:JOB:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(continue)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'-j+[The job\: its id, key or name \[default\: all jobs with a held step\]]:JOB:_default' \
'--job=[The job\: its id, key or name \[default\: all jobs with a held step\]]:JOB:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--json[Print one JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(sync)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'-j+[The job\: its id, key or name \[default\: all jobs with a held step\]]:JOB:_default' \
'--job=[The job\: its id, key or name \[default\: all jobs with a held step\]]:JOB:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--json[Print one JSON object per line]' \
'--force[Overwrite files that the job changed as well]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(on)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(off)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
        esac
    ;;
esac
;;
(shell)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'--service=[Open the shell in the container of this service of a running job]:NAME:_default' \
'*-s+[A secret that the run had, for the step'\''s environment; without a value it is taken from the environment]:NAME[=VALUE]:_default' \
'*--secret=[A secret that the run had, for the step'\''s environment; without a value it is taken from the environment]:NAME[=VALUE]:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--json[Print one JSON object per line (for a run on GitHub)]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
'::job -- The job\: its id, key or name \[default\: the one that runs or failed\]:_default' \
&& ret=0
;;
(replay)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'-h[Print help]' \
'--help[Print help]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(screenshot)
_arguments "${_arguments_options[@]}" : \
'(--all)-R+[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'(--all)--repository=[The repository on a server, for \`latest\` or the number of a run]:[HOST/]OWNER/NAME:_default' \
'--at=[Seconds after the start of the run \[default\: its end\]]:SECONDS:_default' \
'--size=[Size in columns and rows]:SIZE:_default' \
'--format=[Output format]:FORMAT:((text\:"Plain text"
ansi\:"Text with ANSI colours"
svg\:"An SVG picture"))' \
'--keys=[Keys to press before\: characters, and other keys by name in angle brackets]:KEYS:_default' \
'--colours=[Colours of the picture]:COLOURS:((terminal\:"The 16 colours of the terminal"
colour-blind\:"Blue and orange in place of green and red"
none\:"No colours"))' \
'--all[Let \`latest\` be the newest run of all repositories]' \
'--ascii[Draw with ASCII characters only]' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'::run -- The run'\''s id, its beginning or end, `latest`\: the newest run of this repository; or a run on a server\: its number, OWNER/REPO/NUMBER or its URL:_default' \
&& ret=0
;;
(lint)
_arguments "${_arguments_options[@]}" : \
'--format=[Output format]:FORMAT:((text\:""
json\:""
github\:""
sarif\:"One SARIF 2.1.0 log, for code scanning"))' \
'()--explain=[Explain a rule\: what it reports, why it matters and what to write instead]:RULE:_default' \
'--root=[Look up local actions and workflows below this folder]:ROOT:_files' \
'--refs=[Folder of called workflows of other repositories, as DIR/owner/repo/path@ref]:REFS:_files' \
'--permissions-policy=[Default permissions of the token]:PERMISSIONS_POLICY:(LimitedRead Write)' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'*::files -- Files to check \[default\: the workflows of this repository\]:_files' \
&& ret=0
;;
(plan)
_arguments "${_arguments_options[@]}" : \
'-e+[The event that starts the workflow \[default\: push, or the likeliest event of a workflow without it\]]:EVENT:_default' \
'--event=[The event that starts the workflow \[default\: push, or the likeliest event of a workflow without it\]]:EVENT:_default' \
'--event-path=[A file with the event'\''s payload, as JSON]:FILE:_files' \
'*--event-set=[A value of the event'\''s payload, such as \`pull_request.number=12\`]:KEY=VALUE:_default' \
'--format=[Output format]:FORMAT:((text\:"The graph, and a line per job"
svg\:"The graph as an SVG picture"
json\:"The jobs after matrix expansion"
template\:"The workflow as the parser converts it"
mermaid\:"A Mermaid graph"
dot\:"A Graphviz graph"))' \
'--refs=[Folder of called workflows of other repositories, as DIR/owner/repo/path@ref]:REFS:_files' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'::workflow -- A workflow file, or the name of one in .github/workflows \[default\: list which workflows the event runs, and why\]:_default' \
&& ret=0
;;
(eval)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(trust)
_arguments "${_arguments_options[@]}" : \
'(--revoke --list)--ask[Show what would run and ask, instead of trusting at once]' \
'--revoke[Revoke the trust]' \
'(--revoke)--list[List the trusted repositories]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(auth)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_cuelight__subcmd__auth_commands" \
"*::: :->auth" \
&& ret=0

    case $state in
    (auth)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:cuelight-auth-command-$line[1]:"
        case $line[1] in
            (status)
_arguments "${_arguments_options[@]}" : \
'--json[Print JSON\: one object per host and line]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(login)
_arguments "${_arguments_options[@]}" : \
'--hostname=[The host]:HOSTNAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(logout)
_arguments "${_arguments_options[@]}" : \
'--hostname=[The host]:HOSTNAME:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
        esac
    ;;
esac
;;
(clean)
_arguments "${_arguments_options[@]}" : \
'--keep=[Keep this many of the newest runs \[default\: \`keep_runs\` of the configuration, 50\]]:KEEP:_default' \
'(--keep)--all[Remove all runs that are not in progress]' \
'--dry-run[Show what would be removed, and remove nothing]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(keys)
_arguments "${_arguments_options[@]}" : \
'--json[Print one JSON object per action]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(config)
_arguments "${_arguments_options[@]}" : \
'--example[Print all settings with explanations, as a configuration file]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':shell -- The shell:(bash elvish fish powershell zsh)' \
&& ret=0
;;
(forward)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'*::routes -- Route, such as `6379=redis\:6379`:_default' \
&& ret=0
;;
(worker)
_arguments "${_arguments_options[@]}" : \
'--rerun-job=[]:RERUN_JOB:_default' \
'--from-step=[]:FROM_STEP:_default' \
'--resume[]' \
'--abort[]' \
'--rerun[]' \
'--rerun-failed[]' \
'-h[Print help]' \
'--help[Print help]' \
':folder:_files' \
&& ret=0
;;
        esac
    ;;
esac
}

(( $+functions[_cuelight_commands] )) ||
_cuelight_commands() {
    local commands; commands=(
'run:Run a workflow of this repository' \
'demo:Unpack a small project and run its pipeline\: needs only git and a POSIX shell' \
'attach:Follow a run until it ends' \
'watch:Follow all runs of a commit on a server, from the first after a push until the last has ended' \
'runs:List runs, newest first' \
'show:Show a run\: its jobs and steps and their results' \
'logs:Print the logs of a run' \
'artifacts:List the artifacts of a run, or download them' \
'cache:List what steps saved with actions/cache, or delete it' \
'tools:List the languages on this machine that setup actions find, or add installations' \
'explain:Explain why conditions were true or false, which reviews hold back jobs, and why a deployment failed' \
'cancel:Cancel runs; with --force they end at once' \
'delete:Delete runs, on this machine or at their servers; with --logs only the logs at the servers' \
'rerun:Run again\: all of a run, what failed, or one job and the jobs that need it' \
'dispatch:Start a workflow on a server, and follow its run' \
'workflow:List, enable or disable workflows on a server' \
'resume:Continue a run whose worker was lost, from the first step that had not completed' \
'approve:Approve deployments that wait for a review, or the run of a fork' \
'reject:Reject deployments that wait for a review\: their jobs fail' \
'env:Show the environments of a repository\: the live releases, the rules, the history of one' \
'deploy:Deploy a release to an environment of this repository, and follow it' \
'deploys:List the deployments by this machine, newest first' \
'promote:Continue a paused deployment' \
'pause:Pause a deployment before its next step' \
'abort:Stop a deployment and bring the former release back' \
'rollback:Bring an earlier release back to an environment, and follow it' \
'lock:Lock an environment\: nothing is deployed to it' \
'unlock:Unlock an environment' \
'audit:Print the audit log\: who did what in the environments' \
'held:List, retry, skip or continue failed steps that are held (\`run --on-failure hold\`)' \
'shell:Open a shell in the environment of a running or failed job, or the debugger of a job on GitHub' \
'replay:Play a past run again on the screen, forward and back, at any speed' \
'screenshot:Draw the screen at a moment of a run, as text or as a picture' \
'lint:Check workflow files and action manifests' \
'plan:Show what a workflow would run' \
'eval:Evaluate expressions\: one JSON request per line in, one answer per line out' \
'trust:Trust this repository\: allow its workflows to run on this machine' \
'doctor:Check what runs need\: git, shells, folders, leftovers' \
'auth:Show, get or remove the accounts at GitHub and other servers' \
'clean:Remove old runs' \
'keys:List the keys of the screen' \
'config:Print the settings in force and where each comes from' \
'completions:Print a completion script for a shell' \
'forward:Forward ports of \`localhost\` to services (started in a job'\''s helper container)' \
'worker:Carry out a run (started by \`run\` and \`rerun\`)' \
    )
    _describe -t commands 'cuelight commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__abort_commands] )) ||
_cuelight__subcmd__abort_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight abort commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__approve_commands] )) ||
_cuelight__subcmd__approve_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight approve commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__artifacts_commands] )) ||
_cuelight__subcmd__artifacts_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight artifacts commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__attach_commands] )) ||
_cuelight__subcmd__attach_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight attach commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__audit_commands] )) ||
_cuelight__subcmd__audit_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight audit commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__auth_commands] )) ||
_cuelight__subcmd__auth_commands() {
    local commands; commands=(
'status:Show the account at each host, where its token comes from, and what is left of the request limit' \
'login:Log in with a code that you enter on a page of the host' \
'logout:Log out\: remove the token of an earlier login' \
    )
    _describe -t commands 'cuelight auth commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__auth__subcmd__login_commands] )) ||
_cuelight__subcmd__auth__subcmd__login_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight auth login commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__auth__subcmd__logout_commands] )) ||
_cuelight__subcmd__auth__subcmd__logout_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight auth logout commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__auth__subcmd__status_commands] )) ||
_cuelight__subcmd__auth__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight auth status commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__cache_commands] )) ||
_cuelight__subcmd__cache_commands() {
    local commands; commands=(
'list:List the entries, newest first' \
'delete:Delete the entries of a key, in every version and of every branch' \
    )
    _describe -t commands 'cuelight cache commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__cache__subcmd__delete_commands] )) ||
_cuelight__subcmd__cache__subcmd__delete_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight cache delete commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__cache__subcmd__list_commands] )) ||
_cuelight__subcmd__cache__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight cache list commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__cancel_commands] )) ||
_cuelight__subcmd__cancel_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight cancel commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__clean_commands] )) ||
_cuelight__subcmd__clean_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight clean commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__completions_commands] )) ||
_cuelight__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight completions commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__config_commands] )) ||
_cuelight__subcmd__config_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight config commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__delete_commands] )) ||
_cuelight__subcmd__delete_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight delete commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__demo_commands] )) ||
_cuelight__subcmd__demo_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight demo commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__deploy_commands] )) ||
_cuelight__subcmd__deploy_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight deploy commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__deploys_commands] )) ||
_cuelight__subcmd__deploys_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight deploys commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__dispatch_commands] )) ||
_cuelight__subcmd__dispatch_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight dispatch commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__doctor_commands] )) ||
_cuelight__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight doctor commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__env_commands] )) ||
_cuelight__subcmd__env_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight env commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__eval_commands] )) ||
_cuelight__subcmd__eval_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight eval commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__explain_commands] )) ||
_cuelight__subcmd__explain_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight explain commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__forward_commands] )) ||
_cuelight__subcmd__forward_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight forward commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__held_commands] )) ||
_cuelight__subcmd__held_commands() {
    local commands; commands=(
'list:List the steps that are held' \
'retry:Run the step again, or an earlier step and those after it' \
'skip:Count a failed step as a success, skip one that has not run, and run the steps after it' \
'continue:Go on as without the hold\: a failed step fails, and one that has not run runs' \
'sync:Bring the files that you added, changed or deleted since the checkout into the job'\''s workspace' \
'on:Hold steps of the run that fail from now on' \
'off:Let steps of the run fail from now on; those that are held stay held' \
    )
    _describe -t commands 'cuelight held commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__held__subcmd__continue_commands] )) ||
_cuelight__subcmd__held__subcmd__continue_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight held continue commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__held__subcmd__list_commands] )) ||
_cuelight__subcmd__held__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight held list commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__held__subcmd__off_commands] )) ||
_cuelight__subcmd__held__subcmd__off_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight held off commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__held__subcmd__on_commands] )) ||
_cuelight__subcmd__held__subcmd__on_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight held on commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__held__subcmd__retry_commands] )) ||
_cuelight__subcmd__held__subcmd__retry_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight held retry commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__held__subcmd__skip_commands] )) ||
_cuelight__subcmd__held__subcmd__skip_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight held skip commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__held__subcmd__sync_commands] )) ||
_cuelight__subcmd__held__subcmd__sync_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight held sync commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__keys_commands] )) ||
_cuelight__subcmd__keys_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight keys commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__lint_commands] )) ||
_cuelight__subcmd__lint_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight lint commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__lock_commands] )) ||
_cuelight__subcmd__lock_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight lock commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__logs_commands] )) ||
_cuelight__subcmd__logs_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight logs commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__pause_commands] )) ||
_cuelight__subcmd__pause_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight pause commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__plan_commands] )) ||
_cuelight__subcmd__plan_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight plan commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__promote_commands] )) ||
_cuelight__subcmd__promote_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight promote commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__reject_commands] )) ||
_cuelight__subcmd__reject_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight reject commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__replay_commands] )) ||
_cuelight__subcmd__replay_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight replay commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__rerun_commands] )) ||
_cuelight__subcmd__rerun_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight rerun commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__resume_commands] )) ||
_cuelight__subcmd__resume_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight resume commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__rollback_commands] )) ||
_cuelight__subcmd__rollback_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight rollback commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__run_commands] )) ||
_cuelight__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight run commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__runs_commands] )) ||
_cuelight__subcmd__runs_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight runs commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__screenshot_commands] )) ||
_cuelight__subcmd__screenshot_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight screenshot commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__shell_commands] )) ||
_cuelight__subcmd__shell_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight shell commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__show_commands] )) ||
_cuelight__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight show commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__tools_commands] )) ||
_cuelight__subcmd__tools_commands() {
    local commands; commands=(
'list:List the installations\: on PATH, of version managers, and those that were added' \
'add:Add the installations in a folder' \
'remove:Remove an added folder from the list; its files stay' \
    )
    _describe -t commands 'cuelight tools commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__tools__subcmd__add_commands] )) ||
_cuelight__subcmd__tools__subcmd__add_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight tools add commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__tools__subcmd__list_commands] )) ||
_cuelight__subcmd__tools__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight tools list commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__tools__subcmd__remove_commands] )) ||
_cuelight__subcmd__tools__subcmd__remove_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight tools remove commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__trust_commands] )) ||
_cuelight__subcmd__trust_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight trust commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__unlock_commands] )) ||
_cuelight__subcmd__unlock_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight unlock commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__watch_commands] )) ||
_cuelight__subcmd__watch_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight watch commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__worker_commands] )) ||
_cuelight__subcmd__worker_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight worker commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__workflow_commands] )) ||
_cuelight__subcmd__workflow_commands() {
    local commands; commands=(
'list:List the workflows of a repository on a server, with their states' \
'enable:Enable a workflow' \
'disable:Disable a workflow\: it does not run until it is enabled' \
    )
    _describe -t commands 'cuelight workflow commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__workflow__subcmd__disable_commands] )) ||
_cuelight__subcmd__workflow__subcmd__disable_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight workflow disable commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__workflow__subcmd__enable_commands] )) ||
_cuelight__subcmd__workflow__subcmd__enable_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight workflow enable commands' commands "$@"
}
(( $+functions[_cuelight__subcmd__workflow__subcmd__list_commands] )) ||
_cuelight__subcmd__workflow__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'cuelight workflow list commands' commands "$@"
}

if [ "$funcstack[1]" = "_cuelight" ]; then
    _cuelight "$@"
else
    compdef _cuelight cuelight
fi
