# Runs the steps of a job inside its container, one after the other, until the container ends.
# $1 is the control folder, shared with the host. Its FIFOs carry lines:
#   commands  run NUMBER            start NUMBER/launch, its output into the FIFO NUMBER/out
#   signals   SIGNAL GROUP          signal a process group
#   states    ready                 the supervisor listens
#             started NUMBER GROUP  sent by the launched script
#             ended NUMBER CODE OOM exit code, and whether the kernel killed a process that ran out of memory
# A step runs in the foreground: a shell without job control starts background commands with SIGINT ignored permanently.
control=$1
exec 9>"$control/states" 8<"$control/commands" 7<"$control/signals" || exit 1
command -v setsid >/dev/null 2>&1 || { echo "lacks setsid" >&9; exit 1; }
kills() {
  total=0
  for file in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    [ -r "$file" ] || continue
    while read -r name count; do [ "$name" = oom_kill ] && total=$count; done <"$file"
  done
  echo "$total"
}
before=$(kills)
while read -r signal group <&7; do kill "-$signal" "-$group" 2>/dev/null; done 8<&- 9>&- &
echo ready >&9
while read -r verb number <&8; do
  [ "$verb" = run ] || continue
  # In a subshell, which it replaces: a message of this shell about its end must not be part of the step's output.
  (exec setsid sh "$control/$number/launch" </dev/null >"$control/$number/out" 2>&1 7<&- 8<&-) 2>/dev/null
  code=$?
  oom=0
  if [ "$code" -eq 137 ]; then
    now=$(kills)
    [ "$now" = "$before" ] || oom=1
    before=$now
  fi
  echo "ended $number $code $oom" >&9
done
