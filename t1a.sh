. /tmp/acc/lib.sh
wstart; sleep 1
say hibernate on with operator killed meanwhile; (sleep 0.4; opkill) & time T=60 P hibernate on a --yes --timeout 50s; st; kubectl get pods,svc,pvc 2>&1 | grep -v kubernetes
say twice; T=40 P hibernate on a --yes --timeout 30s
say switchover hibernated; T=40 P switchover a --target a-2 --yes --timeout 20s
say restart hibernated; T=40 P restart a --yes --timeout 20s
say destroy hibernated; T=40 P destroy a a-3 --yes --timeout 20s
say fence a-1 hibernated; T=20 P fencing on a a-1 --yes --timeout 10s
say off with operator killed; (sleep 0.4; opkill) & T=60 P hibernate off a --yes --timeout 40s; st
kubectl get pods; npx pgherd status a | tail -12
say unfence; T=40 P fencing off a a-1 --yes --timeout 30s; ready; st
say prim $(prim); wstop
say off twice; T=40 P hibernate off a --yes --timeout 30s
