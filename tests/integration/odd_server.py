"""An HTTP server on loopback that misbehaves on request, for the tests of lib/http."""

import socket
import struct
import threading
import time


class Server:
    """Answers depending on the path, and records each request with its connection."""

    def __init__(self, tls=None):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self.listener.getsockname()[1]
        self.tls = tls
        self.lock = threading.Lock()
        self.requests = []  # (connection number, request line, headers, body)
        self.n_connections = 0
        self.n_waiting = self.most_waiting = 0
        self.release = threading.Event()  # ends every wait
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, path, host="127.0.0.1"):
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def close(self):
        self.release.set()
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.n_connections += 1
                number = self.n_connections
            threading.Thread(target=self.serve, args=(connection, number), daemon=True).start()

    def serve(self, connection, number):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                served = 0
                while self.serve_one(connection, stream, number, served):
                    served += 1
        except OSError:
            pass

    def serve_one(self, connection, stream, number, served):
        line = stream.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            return False
        headers = []
        while (header := stream.readline().decode("latin-1").rstrip("\r\n")):
            headers.append(header)
        lengths = [h.split(":")[1] for h in headers if h.lower().startswith("content-length:")]
        path = line.split(" ")[1].split("?")[0]
        if path == "/rude" or (path == "/rude-on-second" and served > 0):  # hangs up on the body
            return self.reset(connection)
        body = stream.read(int(lengths[0])) if lengths else b""
        with self.lock:
            self.requests.append((number, line, headers, body))
        answer = getattr(self, "answer_" + path.strip("/").replace("-", "_"), self.answer_ok)
        return answer(connection, served)

    def reset(self, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        return False

    def send(self, connection, body=b"hello", headers=""):
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)
        return True

    def answer_ok(self, connection, served):
        return self.send(connection)

    def answer_slow(self, connection, served):
        with self.lock:
            self.n_waiting += 1
            self.most_waiting = max(self.most_waiting, self.n_waiting)
        self.release.wait(0.3)
        with self.lock:
            self.n_waiting -= 1
        return self.send(connection)

    def answer_never(self, connection, served):
        self.release.wait(30)
        return False

    def answer_trickle(self, connection, served):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not self.release.wait(0.05):
            connection.sendall(b"x")
        return False

    def answer_chunked(self, connection, served):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-After\r\n\r\n")
        connection.sendall(b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX-After: yes\r\n\r\n")
        return True

    def answer_until_close(self, connection, served):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
        return False

    def answer_interim(self, connection, served):
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nX-Which: interim\r\n\r\n")
        return self.send(connection, headers="X-Which: final\r\n")

    def answer_big_length(self, connection, served):
        return self.send(connection, b"x" * 200_000)

    def answer_big_chunked(self, connection, served):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")
        return False

    def answer_big_until_close(self, connection, served):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000)
        return False

    def answer_head_of_big(self, connection, served):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
        return True

    def answer_many_headers(self, connection, served):
        return self.send(connection, headers="".join(f"X-{i}: {'y' * 1000}\r\n" for i in range(100)))

    def answer_long_header(self, connection, served):
        return self.send(connection, headers=f"X-Long: {'y' * 300_000}\r\n")

    def answer_endless_header(self, connection, served):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not self.release.is_set():
            connection.sendall(b"y" * 10_000)
        return False

    def answer_cut(self, connection, served):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        return False

    def answer_cut_chunk(self, connection, served):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhello")
        return False

    def answer_reset(self, connection, served):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        time.sleep(0.05)
        return self.reset(connection)

    def answer_hang_up(self, connection, served):
        return False

    def answer_garbage(self, connection, served):
        connection.sendall(b"\x00\x01garbage\r\n\r\n")
        return False

    def answer_redirect(self, connection, served):
        connection.sendall(b"HTTP/1.1 307 Temporary\r\nLocation: /target\r\nContent-Length: 0\r\n\r\n")
        return True

    def answer_close_idle(self, connection, served):
        """Announces keep-alive, but closes the connection after the answer."""
        self.send(connection)
        return False

    def answer_die_on_second(self, connection, served):
        """Reads the request, then closes the connection without an answer."""
        return self.send(connection) if served == 0 else False

    def answer_reset_on_second(self, connection, served):
        return self.send(connection) if served == 0 else self.reset(connection)
