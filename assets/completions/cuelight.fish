complete --keep-order --exclusive --command cuelight --arguments "(CUELIGHT_COMPLETE=fish cuelight -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
