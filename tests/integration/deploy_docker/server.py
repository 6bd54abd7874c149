"""A service: answers with its release, slowly below /slow, and with errors if its release says so. Ends at /end."""
import os, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RELEASE = os.environ["RELEASE"]
FAULT = os.environ.get("FAULT", "")

if FAULT == "ends":
    print("cannot open the database", flush=True)
    sys.exit(3)


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self):
        if self.path == "/end":
            os._exit(3)
        if self.path == "/slow":
            time.sleep(2)
        if FAULT == "late" and self.path == "/health":
            time.sleep(0.5)
        if FAULT == "slow" and self.path == "/":
            time.sleep(2)
        is_bad = FAULT == "errors" and self.path != "/health" or FAULT == "sick" and self.path == "/health"
        body = RELEASE.encode()
        self.send_response(500 if is_bad else 200)
        is_broken = FAULT == "breaks" and self.path != "/health"
        self.send_header("Content-Length", str(len(body) + is_broken))
        if self.close_connection:
            # Otherwise the client may send its next request on a connection that is about to be closed.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection |= is_broken

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_):
        pass


if FAULT == "dies":
    # It is healthy at first, also after each restart.
    threading.Timer(3, lambda: os._exit(3)).start()

server = Server(("", 8080), Service)
if FAULT == "stays":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"{RELEASE} listens", flush=True)
server.serve_forever()
