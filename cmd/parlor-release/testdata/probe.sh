# Installs the package at /root/out/p.deb under systemd, and tries what its units promise. It ends
# with the word whole if all of that holds.
set -ex
secret=0123456789abcdef0123456789abcdef
never() { if "$@"; then echo "and it should not: $*"; exit 1; fi; } # set -e does not look at "!"
main() { systemctl show -P MainPID parlor; }
log() { cat /root/out/log; }
ready() { curl -sf --max-time 30 --retry 20 --retry-all-errors --retry-delay 1 http://127.0.0.1:8080/readyz; }

dpkg -i /root/out/p.deb
printf 'jwt-secret: %s\n' $secret >> /etc/parlor/parlor.yaml
mkdir -p /etc/systemd/system/parlor.service.d
printf '[Service]\nStandardOutput=append:/root/out/log\nStandardError=append:/root/out/log\n' > /etc/systemd/system/parlor.service.d/log.conf
systemctl daemon-reload
systemctl enable --now parlor.socket parlor
ready

never grep -E 'sign-in failed|WARN.*config:' /root/out/log # it asks no model of itself, and its file is as it should be
log | grep 'provider=llamacpp .*not asked'

# What the process may not do.
status=/proc/$(main)/status
grep '^NoNewPrivs:.*1' $status
grep '^Seccomp:.*2' $status
grep '^CapBnd:.*0000000000000000' $status
test "$(stat -c %U /proc/$(main))" = parlor
nsenter -t "$(main)" -m -r sh -c '! touch /etc/parlor/x && ! touch /usr/x && ! ls /root/out && touch /var/lib/parlor/x'
test "$(stat -c %a /var/lib/parlor)" = 700

# What it has to do all the same: a chat, a file, a PDF that a process of its own reads.
token=$(parlor token --user ada --jwt-secret $secret)
api() { curl -sS -H "Authorization: Bearer $token" "$@"; }
chat=$(api http://127.0.0.1:8080/api/v1/chat -H 'Content-Type: application/json' -d '{"model_id": "eliza"}' | cut -d'"' -f4)
api "http://127.0.0.1:8080/api/v1/chat/$chat/messages" -H 'Content-Type: application/json' -d '{"content": "I am curious"}' | grep message_id
cat > /root/a.pdf <<'PDF'
%PDF-1.4
1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj
2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>> endobj
4 0 obj <</Length 39>> stream
BT /F 12 Tf 20 100 Td (a red kite) Tj ET
endstream endobj
5 0 obj <</Type/Font/Subtype/Type1/BaseFont/Helvetica>> endobj
trailer <</Root 1 0 R>>
PDF
api "http://127.0.0.1:8080/api/v1/chat/$chat/upload" -F files=@/root/a.pdf | grep '"content_type":"application/pdf"'

# A reload says what has changed.
echo 'log-level: debug' >> /etc/parlor/parlor.yaml
systemctl reload parlor
for i in $(seq 100); do if log | grep 'reload: the log has another level'; then break; fi; sleep 0.1; done
log | grep 'reload: the log has another level'

# Nobody is refused while it starts again.
touch /root/asking
for asker in 1 2 3 4; do
  (set +x; while test -e /root/asking; do curl -s --max-time 60 -o /dev/null -w '%{http_code}\n' http://127.0.0.1:8080/healthz || echo refused; done >> /root/answers) &
done
systemctl restart parlor
systemctl restart parlor
ready
rm /root/asking
wait
sort /root/answers | uniq -c
never grep -v '^200$' /root/answers

# It comes back after a crash, and after a watchdog that was not told anything.
old=$(main)
kill -9 "$old"
ready
test "$(main)" != "$old"
printf '[Service]\nWatchdogSec=10\n' > /etc/systemd/system/parlor.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart parlor
ready
old=$(main)
sleep 12
test "$(main)" = "$old" # it tells the watchdog
kill -STOP "$old" # what systemd sends to end it also wakes it, so it may answer once more
for i in $(seq 300); do
  new=$(main)
  if test "$new" != "$old" && test "$new" != 0; then break; fi
  sleep 0.2
done
test "$new" != "$old"
ready

# Wrong settings are said once, and not again and again.
echo 'log-level: loud' >> /etc/parlor/parlor.yaml
never systemctl restart parlor
sleep 2
test "$(systemctl show -P ActiveState parlor)" = failed
test "$(systemctl show -P ExecMainStatus parlor)" = 2
sed -i '/loud/d' /etc/parlor/parlor.yaml
systemctl restart parlor
ready

dpkg -r parlor
never systemctl is-active parlor.socket parlor.service
echo whole
