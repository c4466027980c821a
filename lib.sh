wstart() { local port; port=$(npx pgherd local status --state $S | awk '/default\/a-rw:5432/{print $NF}' | sed 's/.*://'); 
 PORT=$port PW=$(kubectl get secret a-app -o jsonpath='{.data.password}' | base64 -d) CA=$(kubectl get secret a-ca -o json | $N24 -e 'const d=JSON.parse(require("fs").readFileSync(0)).data;console.log(Buffer.from(d["ca.crt"]??Object.values(d)[0],"base64").toString())')
 export PGHERD_WRITER=$(PORT=$PORT PW="$PW" CA="$CA" WT=${WT:-8000} $N24 -e 'const e=process.env;console.log(JSON.stringify({host:"127.0.0.1",port:+e.PORT,serverName:"a-rw",ca:e.CA,user:"app",password:e.PW,database:"app",table:"w",paceMs:20,timeoutMs:+e.WT,pipeline:0,retryMs:50}))')
 $N24 packages/cli/src/writer/main.ts >/tmp/acc/w.log 2>&1 & WPID=$!; }
